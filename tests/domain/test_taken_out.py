"""How what an order bought leaves its cart: line by line in one order, and no more than was bought."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.db.session import transaction
from app.domain.carts.service import take_out_bought
from app.kit.clock import utc_now
from tests.shop import waiting_for_locks

# A cart of four lines and an order of the first three, which stand in it the other way round.
_BOUGHT = text(
    """
    WITH cart AS (
        INSERT INTO carts (store_id, uuid, currency, updated_at, expires_at)
        VALUES (:store_id, :uuid, 'USD', :now, :now) RETURNING id, store_id
    ), held AS (
        INSERT INTO cart_lines (store_id, cart_id, variant_id, quantity, added_price, added_currency, added_title)
        SELECT store_id, id, variant, 5, 100, '', '' FROM cart, unnest('{4, 3, 2, 1}'::int[]) AS variant
    ), sale AS (
        INSERT INTO orders (store_id, checkout_id, checkout_token, number, name, email, status, currency, tax_included,
            items_total, discount_total, shipping_total, tax_total, total, placed_at)
        VALUES (:store_id, 1, 'token', 7, '#7', 'a@example.com', 'open', 'USD', false, 0, 0, 0, 0, 0, :now)
        RETURNING id, store_id
    ), lines AS (
        INSERT INTO order_lines (store_id, order_id, position, variant_id, product_id, title, variant_title, quantity,
            price, line_price, discount, tax, tax_rate, grams, requires_shipping, gift)
        SELECT sale.store_id, sale.id, 1, l.variant, 1, '', '', l.units, 0, 0, 0, 0, 0, 0, true, l.gift
        FROM sale, (VALUES (1, 5, false), (2, 2, false), (3, 9, false), (4, 1, true)) AS l (variant, units, gift)
    )
    SELECT cart.id AS cart_id, sale.id AS order_id FROM cart, sale
    """
)
_LINES = text("SELECT id, variant_id, quantity FROM cart_lines WHERE cart_id = :cart_id ORDER BY id")
_LOCK = text("SELECT FROM cart_lines WHERE id = :id FOR UPDATE NOWAIT")


@pytest.fixture
async def bought(sessions, store) -> dict[str, int]:
    async with transaction(sessions) as session:
        values = {"store_id": store.id, "uuid": uuid4(), "now": utc_now()}
        return dict((await session.execute(_BOUGHT, values)).mappings().one())


async def take_out(sessions, store, bought) -> None:
    async with transaction(sessions) as session:
        # The plan that comes upon the lines in the order of their variants, as it may with many carts.
        for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin"):
            await session.execute(text(f"SET LOCAL enable_{way} = off"))
        await take_out_bought(session, store.id, bought["cart_id"], order_id=bought["order_id"])


async def lines(sessions, bought) -> list[tuple[int, int, int]]:
    async with sessions() as session:
        return [tuple(row) for row in await session.execute(_LINES, bought)]


async def test_what_was_bought_leaves_the_cart_and_what_was_added_and_given_stays(sessions, store, bought):
    await take_out(sessions, store, bought)
    assert [(variant, quantity) for _, variant, quantity in await lines(sessions, bought)] == [(4, 5), (2, 3)]


async def test_lines_are_locked_in_one_order_whatever_the_order_of_what_was_bought(sessions, store, bought):
    """Somebody holds the first line: whoever takes all out waits there, and holds none of the others meanwhile."""
    _, first, second, third = [line_id for line_id, _, _ in await lines(sessions, bought)]
    async with sessions() as holder:
        await holder.execute(_LOCK, {"id": first})
        taking = asyncio.create_task(take_out(sessions, store, bought))
        await waiting_for_locks(sessions, 1)
        try:
            for line_id in (second, third):
                await holder.execute(_LOCK, {"id": line_id})
            free = True
        except DBAPIError:
            free = False
        await holder.rollback()
        await taking
    assert free


async def test_what_is_added_while_the_order_waits_stays(sessions, store, bought):
    async with transaction(sessions) as holder:
        change = text("UPDATE cart_lines SET quantity = 7 WHERE cart_id = :cart_id AND variant_id = 1")
        await holder.execute(change, bought)
        taking = asyncio.create_task(take_out(sessions, store, bought))
        await waiting_for_locks(sessions, 1)
        await holder.commit()
        await taking
    assert [(variant, quantity) for _, variant, quantity in await lines(sessions, bought)] == [
        (4, 5),
        (2, 3),
        (1, 2),
    ]
