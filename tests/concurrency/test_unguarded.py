"""The controls: the storms' races with their guards taken away, so that it is the guards that calm them.

What runs is the product's own code in a database of its own; only the locks, keys or the one statement in
question are replaced by what a shop without them would do: look first, then write.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from app.api.dependencies import Shop
from app.db import idempotency
from app.db.audit import run_audit
from app.db.idempotency import Key
from app.db.session import transaction
from app.domain.carts.queries import load_cart
from app.domain.carts.service import add_item
from app.domain.checkout import completing, placing, refunds
from app.domain.checkout.locking import ToBuy
from app.domain.checkout.models import Checkout
from app.domain.checkout.placing import reserve, settle
from app.domain.checkout.queries import price_checkout
from app.domain.checkout.refunds import note_refund
from app.domain.ledger.service import post_entries, posted_values
from app.domain.orders import writing as orders
from app.domain.orders.models import Order
from app.domain.payments.models import Payment
from app.domain.payments.service import find_payment
from app.domain.payments.services import Captured, Refused, ServiceRefund
from app.domain.stores.models import Store
from app.domain.stores.queries import StoreConfig
from app.kit.actor import GUEST
from app.kit.clock import utc_now
from app.main import build_shop, close_shop
from tests.conftest import fresh_database, make_store
from tests.shop import Guest, add_variant, open_till, running_shop, settings_for

HANDS = 6


@dataclass
class Bare:
    """A guest at a store of their own, and the parts of the shop, in a database that may be bent."""

    guest: Guest
    shop: Shop
    config: StoreConfig
    variant: int

    @property
    def store(self) -> Store:
        return self.guest.store

    async def value(self, query: str, **values: Any) -> Any:
        async with self.shop.sessions() as session:
            return await session.scalar(text(query), {"store": self.store.id, **values})

    async def change(self, statement: str) -> None:
        async with transaction(self.shop.sessions) as session:
            await session.execute(text(statement))

    async def waiting_payment(self) -> Payment:
        """An attempt that waits for its shopper's second step."""
        checkout = await self.guest.prepare(self.variant)
        answer = await self.guest.pay(checkout["totals"]["total"], payment_token="second_step")
        assert answer.json()["code"] == "second_step_required"
        found = await self.value("SELECT id FROM payments WHERE store_id = :store")
        async with self.shop.sessions() as session:
            payment = await find_payment(session, self.store.id, found)
        assert payment is not None
        return payment

    async def tell(self, payment: Payment, finding: Captured | Refused) -> None:
        async with transaction(self.shop.sessions) as session:
            await settle(session, self.config, payment=payment, finding=finding, now=utc_now())


@pytest.fixture
async def bare(database_server: str, redis_url: str) -> AsyncIterator[Bare]:
    async with fresh_database(database_server) as url:
        settings = settings_for(url, redis_url)
        shop = build_shop(settings)
        await shop.reads.open()
        try:
            store = await make_store(shop.sessions)
            option = await open_till(shop.sessions, store)
            variant = await add_variant(shop.sessions, store, on_hand=100)
            config = await shop.stores.get(store.id)
            async with running_shop(settings) as client:
                yield Bare(Guest(client, store, option), shop, config, variant)
        finally:
            await close_shop(shop)


def read_together(model: Any, column: str, together: asyncio.Barrier | None = None) -> Any:
    """In a lock's place: read the row without one, and, with a barrier, wait until everybody has."""

    async def read(session, store_id, wanted):
        query = select(model).where(model.store_id == store_id, getattr(model, column) == wanted)
        found = (await session.scalars(query)).one()
        if together is not None:
            await together.wait()
        return found

    return read


def take_locks_away(monkeypatch: pytest.MonkeyPatch, together: asyncio.Barrier) -> None:
    monkeypatch.setattr(placing, "lock_checkout_by_id", read_together(Checkout, "id"))
    for module in (placing, refunds):
        monkeypatch.setattr(module, "lock_order", read_together(Order, "id"))
        monkeypatch.setattr(module, "lock_payment", read_together(Payment, "id", together))


def forget_ledger_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    async def post(session, store_id, *, key, **entries):
        return await post_entries(session, store_id, key=f"{key}-{uuid4().hex}", **entries)

    def values(key, currency, amounts):
        return posted_values(f"{key}-{uuid4().hex}", currency, amounts)

    monkeypatch.setattr(orders, "posted_values", values)
    monkeypatch.setattr(placing, "post_entries", post)


def place_whatever_is_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = copy(orders._PLACE)
    bare._sql = bare._sql.replace(" AND o.status = 'pending'", "")
    assert bare._sql != orders._PLACE._sql
    monkeypatch.setattr(orders, "_PLACE", bare)


def place_whatever_was_bought(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = {}
    for shape, statement in completing._AT_ONCE.items():
        bare[shape] = copy(statement)
        bare[shape]._sql, found = re.subn(r"FOR UPDATE SKIP LOCKED", "", statement._sql)
        assert found == 1
    monkeypatch.setattr(completing, "_AT_ONCE", bare)


async def test_without_lock_and_unique_key_one_checkout_makes_many_orders(bare: Bare, monkeypatch):
    checkout = await bare.guest.prepare(bare.variant)
    together = asyncio.Barrier(HANDS)

    look = read_together(Checkout, "token", together)

    async def look_to_buy(session, store, token, *, at_once):
        checkout = await look(session, store.id, token)
        order_id = await session.scalar(text("SELECT nextval('orders_id_seq')"))
        return ToBuy(checkout, await load_cart(session, store, checkout.cart_id), order_id)

    monkeypatch.setattr(placing, "take_to_buy", look_to_buy)
    place_whatever_was_bought(monkeypatch)
    await bare.change("ALTER TABLE orders DROP CONSTRAINT orders_store_id_checkout_id_key")

    async def pay() -> None:
        async with transaction(bare.shop.sessions) as session:
            await reserve(
                session,
                bare.config,
                token=bare.guest.token,
                service="manual",
                payment_token="",
                mark=uuid4().hex,
                amount=checkout["totals"]["total"],
                additional_fields=None,
                hold_seconds=60,
                now=utc_now(),
                spender=GUEST.customer,
            )

    await asyncio.gather(*(pay() for _ in range(HANDS)))
    query = "SELECT count(*) FROM orders WHERE store_id = :store AND status = 'open'"
    assert await bare.value(query) == HANDS


async def test_without_locks_states_and_keys_each_event_books_the_money_again(bare: Bare, monkeypatch):
    payment = await bare.waiting_payment()
    finding = Captured(payment.reference, payment.amount, payment.currency)
    take_locks_away(monkeypatch, asyncio.Barrier(HANDS))
    forget_ledger_keys(monkeypatch)
    place_whatever_is_placed(monkeypatch)
    await asyncio.gather(*(bare.tell(payment, finding) for _ in range(HANDS)))
    booked = "SELECT sum(amount) FROM ledger_entries WHERE store_id = :store AND account = 'payments:test'"
    assert await bare.value(booked) == HANDS * payment.amount


async def test_without_locks_and_references_each_note_of_a_refund_books_it_again(bare: Bare, monkeypatch):
    payment = await bare.waiting_payment()
    await bare.tell(payment, Captured(payment.reference, payment.amount + 1, payment.currency))
    take_locks_away(monkeypatch, asyncio.Barrier(HANDS))

    async def note(number: int) -> None:
        refund = ServiceRefund(f"re_{number}", payment.amount + 1, payment.currency)
        async with transaction(bare.shop.sessions) as session:
            await note_refund(session, payment=payment, refund=refund, now=utc_now())

    await asyncio.gather(*(note(number) for number in range(HANDS)))
    booked = "SELECT sum(amount) FROM ledger_entries WHERE store_id = :store AND account = 'payments:test'"
    assert await bare.value(booked) == (1 - HANDS) * (payment.amount + 1)


async def test_without_locks_a_hold_is_given_back_although_it_was_paid_for(bare: Bare, monkeypatch):
    payment = await bare.waiting_payment()
    take_locks_away(monkeypatch, asyncio.Barrier(2))
    paid = asyncio.Event()
    give_back = placing._give_back

    async def give_back_late(*args, **named):
        await paid.wait()
        await give_back(*args, **named)

    monkeypatch.setattr(placing, "_give_back", give_back_late)

    async def pay() -> None:
        await bare.tell(payment, Captured(payment.reference, payment.amount, payment.currency))
        paid.set()

    run_out = bare.tell(payment, Refused("cancelled", payment.reference))
    await asyncio.gather(pay(), run_out)
    found = await run_audit(bare.shop.reads, utc_now(), store_id=bare.store.id)
    assert "paid_without_payment" in {breach.check for breach in found}


async def test_looking_for_a_key_before_writing_it_repeats_the_effect(bare: Bare):
    await bare.guest.add(bare.variant)
    key = Key(key_digest=b"k" * 32, body_digest=b"b" * 32)
    together = asyncio.Barrier(HANDS)
    find = text("SELECT 1 FROM idempotency_records WHERE store_id = :store AND key_digest = :key")

    async def add_once() -> None:
        async with transaction(bare.shop.sessions) as session:
            known = await session.scalar(find, {"store": bare.store.id, "key": key.key_digest})
            await together.wait()
            if not known:
                await add(session)
                await idempotency.claim(session, bare.store.id, key, now=utc_now(), keep_seconds=60)

    add = partial(
        add_item,
        store=bare.config,
        uuid=UUID(bare.guest.cart_uuid),
        customer_id=None,
        variant_id=bare.variant,
        quantity=1,
        now=utc_now(),
        keep_seconds=60,
    )
    await asyncio.gather(*(add_once() for _ in range(HANDS)))
    query = "SELECT quantity FROM cart_lines WHERE store_id = :store"
    assert await bare.value(query) == 1 + HANDS


async def test_reading_a_line_before_writing_it_loses_adds(bare: Bare):
    await bare.guest.add(bare.variant)
    together = asyncio.Barrier(HANDS)
    read = text("SELECT quantity FROM cart_lines WHERE store_id = :store")
    write = text("UPDATE cart_lines SET quantity = :quantity WHERE store_id = :store")

    async def add() -> None:
        async with transaction(bare.shop.sessions) as session:
            quantity = await session.scalar(read, {"store": bare.store.id})
            await together.wait()
            await session.execute(write, {"store": bare.store.id, "quantity": quantity + 1})

    await asyncio.gather(*(add() for _ in range(HANDS)))
    assert await bare.value("SELECT quantity FROM cart_lines WHERE store_id = :store") == 2


async def test_a_total_that_is_not_frozen_is_another_one_after_the_charge(bare: Bare):
    checkout = await bare.guest.prepare(bare.variant)
    async with bare.shop.sessions() as session:
        row = (await session.scalars(select(Checkout).where(Checkout.store_id == bare.store.id))).one()
        cart = await load_cart(session, bare.config, row.cart_id)
        charged = (await price_checkout(session, bare.config, row, cart, now=utc_now())).quote.total
        assert charged == checkout["totals"]["total"]
        await bare.guest.add(bare.variant)
        cart = await load_cart(session, bare.config, row.cart_id)
        now_due = (await price_checkout(session, bare.config, row, cart, now=utc_now())).quote.total
    assert now_due == charged + 2500
