"""Carts merged by several calls at once: everybody's lines arrive, once, and nobody waits for ever."""

import asyncio
from uuid import UUID

from sqlalchemy import text

from app.db.session import transaction
from app.domain.carts.service import add_item
from app.domain.checkout.claiming import Taken, take_cart
from app.kit.clock import utc_now
from tests.people import make_customer
from tests.shop import add_variant, config_of

KEEP = 3600


async def fill(sessions, store, variant: int, quantity: int, *, customer: int | None = None) -> UUID:
    async with transaction(sessions) as session:
        uuid, _ = await add_item(
            session,
            config_of(store),
            uuid=None,
            customer_id=customer,
            variant_id=variant,
            quantity=quantity,
            now=utc_now(),
            keep_seconds=KEEP,
        )
    return uuid


async def merge(sessions, store, customer: int, uuid: UUID) -> Taken:
    async with transaction(sessions) as session:
        return await take_cart(
            session,
            store.id,
            customer_id=customer,
            uuid=uuid,
            replace=False,
            now=utc_now(),
            keep_seconds=KEEP,
        )


async def held(sessions, store) -> list[tuple[int | None, int]]:
    async with sessions() as session:
        rows = await session.execute(
            text(
                "SELECT c.customer_id, l.quantity FROM carts c JOIN cart_lines l ON l.cart_id = c.id "
                "WHERE c.store_id = :store ORDER BY l.id"
            ),
            {"store": store.id},
        )
        return [(owner, quantity) for owner, quantity in rows]


async def test_a_cart_merged_by_eight_calls_at_once_arrives_once(sessions, store):
    variant = await add_variant(sessions, store, on_hand=100)
    for round_ in range(5):
        customer = await make_customer(sessions, store)
        uuid = await fill(sessions, store, variant, 3)
        wanted = 3
        if round_ % 2:
            await fill(sessions, store, variant, 4, customer=customer)
            wanted = 7
        await asyncio.gather(*(merge(sessions, store, customer, uuid) for _ in range(8)))
        assert (customer, wanted) == (await held(sessions, store))[-1]


async def test_eight_carts_that_become_one_customers_at_once_lose_nothing(sessions, store):
    variant = await add_variant(sessions, store, on_hand=500)
    for _ in range(5):
        customer = await make_customer(sessions, store)
        uuids = [await fill(sessions, store, variant, 2) for _ in range(8)]
        taken = await asyncio.gather(*(merge(sessions, store, customer, uuid) for uuid in uuids))
        assert all(one.found for one in taken)
        mine = [quantity for owner, quantity in await held(sessions, store) if owner == customer]
        assert mine == [16]


async def test_one_cart_goes_to_one_of_two_customers(sessions, store):
    variant = await add_variant(sessions, store, on_hand=500)
    for _ in range(5):
        pair = [await make_customer(sessions, store) for _ in range(2)]
        uuid = await fill(sessions, store, variant, 2)
        taken = await asyncio.gather(*(merge(sessions, store, customer, uuid) for customer in pair))
        assert sorted(one.found for one in taken) == [False, True]


async def test_merging_while_lines_are_added_loses_none(sessions, store):
    variant = await add_variant(sessions, store, on_hand=900)
    customer = await make_customer(sessions, store)
    uuid = await fill(sessions, store, variant, 1)

    async def add_more() -> None:
        await fill(sessions, store, variant, 1, customer=customer)

    await asyncio.gather(
        *(add_more() for _ in range(10)), *(merge(sessions, store, customer, uuid) for _ in range(4))
    )
    assert sum(quantity for _, quantity in await held(sessions, store)) == 11
