"""The audit: a shop after real orders is clean, each planted breach is named by its check, views take no writes."""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import text

from app.db.audit import run_audit
from app.db.audit_checks import CHECKS
from app.db.queue import Job
from app.db.session import Sessions, database_address, transaction
from app.domain.checkout.jobs import checkout_jobs
from app.domain.stores.models import Store
from app.integrations.test_payments import TestPayments
from app.kit.clock import utc_now
from app.main import build_shop, close_shop
from tests.canaries import SECRET_KEY
from tests.conftest import make_store
from tests.domain.planted_breaches import BREACHES
from tests.shop import Guest, add_variant, open_till, running_shop, settings_for

COLUMNS = {
    "stock": "variant_id stocked sold_net on_hand reserved",
    "reservations": "variant_id checkout_ref qty state expires_at",
    "orders": "order_id checkout_ref customer_id status currency "
    "lines_minor shipping_minor tax_minor discount_minor total_minor",
    "payments": "payment_id order_id provider_ref state currency captured_minor refunded_minor created_at",
    "ledger": "txn_id account currency amount_minor order_id",
    "coupons": "coupon_id customer_ref uses max_uses max_per_customer",
    "jobs": "kind dedupe_key state tries created_at",
}


@dataclass(frozen=True)
class Scene:
    """A store after a day of business; the ids that a breach can be planted at."""

    store: Store
    variant: int
    order: int  # paid by card
    manual: int  # placed, to be paid
    payment: int
    declined: int  # an attempt
    checkout: int  # of `order`
    waiting: int  # a checkout whose shopper has a second step to do
    now: datetime

    @property
    def ids(self) -> dict[str, Any]:
        names = ("variant", "order", "manual", "payment", "declined", "checkout", "waiting")
        return {"store": self.store.id, **{name: getattr(self, name) for name in names}}


@pytest.fixture(scope="module")
async def client(database_url: str, redis_url: str):
    settings = settings_for(database_url, redis_url, STOREFRONT_LIMITS="off")
    async with running_shop(settings) as made:
        yield made


def service_of(sessions: Sessions, client: httpx.AsyncClient) -> TestPayments:
    return TestPayments(sessions, public_url=str(client.base_url), secrets=(SECRET_KEY,), window=300)


async def scalar(sessions: Sessions, sql: str, **values: Any) -> Any:
    async with sessions() as session:
        return await session.scalar(text(sql), values)


async def decide(sessions: Sessions, url: str, state: str) -> None:
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE test_charges SET state = :state WHERE reference = :reference"),
            {"reference": url.rpartition("/")[2], "state": state},
        )


def order_of(answer: httpx.Response) -> int:
    assert answer.status_code == 204, answer.text
    return int(answer.headers["location"].rpartition("/")[2])


@pytest.fixture(scope="module")
async def scene(client: httpx.AsyncClient, sessions: Sessions) -> Scene:
    store = await make_store(sessions)
    option = await open_till(sessions, store, rate=82_500)
    variant = await add_variant(sessions, store, on_hand=50, price=1999)

    async def checkout(quantity: int = 1) -> tuple[Guest, int]:
        guest = Guest(client, store, option)
        found = await guest.prepare(variant, quantity)
        return guest, found["totals"]["total"]

    guest, total = await checkout(3)
    order = order_of(await guest.pay(total))
    guest, total = await checkout()
    assert (await guest.pay(total, payment_token="decline")).status_code == 402
    guest, total = await checkout()
    assert (await guest.pay(total, payment_token="decline")).status_code == 402
    order_of(await guest.pay(total))
    guest, total = await checkout(2)
    manual = order_of(await guest.pay(total, service="manual", payment_token=""))
    guest, total = await checkout()
    asked = await guest.pay(total, payment_token="second_step")
    await decide(sessions, asked.json()["next_step_url"], "captured")
    done = await guest.call("POST", f"/checkout/{guest.token}/payment/test/confirm", {})
    assert done.json()["state"] == "completed"
    guest, total = await checkout()
    assert (await guest.pay(total, payment_token="late")).status_code == 202
    key = await scalar(
        sessions, "SELECT key FROM payments WHERE store_id = :s AND state = 'unknown'", s=store.id
    )
    await service_of(sessions, client).deliver(
        {"key": key}, address=f"{client.base_url}/storefront/v1/webhooks/test"
    )
    assert (await guest.read_checkout())["state"] == "completed"
    guest, total = await checkout()
    assert (await guest.pay(total, payment_token="second_step")).status_code == 402
    of_store = "FROM payments WHERE store_id = :s AND"
    return Scene(
        store=store,
        variant=variant,
        order=order,
        manual=manual,
        payment=await scalar(sessions, f"SELECT id {of_store} order_id = :o", s=store.id, o=order),
        declined=await scalar(sessions, f"SELECT max(id) {of_store} state = 'declined'", s=store.id),
        checkout=await scalar(sessions, f"SELECT checkout_id {of_store} order_id = :o", s=store.id, o=order),
        waiting=await scalar(sessions, f"SELECT checkout_id {of_store} state = 'action_needed'", s=store.id),
        now=utc_now(),
    )


@pytest.fixture
async def connection(database_url: str):
    made = await asyncpg.connect(database_address(database_url).asyncpg)
    yield made
    await made.close()


@asynccontextmanager
async def undone(connection: Any):
    """A transaction in which triggers and foreign keys look away, and of which nothing stays."""
    started = connection.transaction()
    await started.start()
    try:
        await connection.execute("SET LOCAL session_replication_role = replica")
        yield connection
    finally:
        await started.rollback()


async def test_a_shop_after_real_orders_is_clean(scene: Scene, reads):
    assert await run_audit(reads, scene.now, store_id=scene.store.id) == []


async def test_the_views_have_their_columns(scene: Scene, connection):
    rows = await connection.fetch(
        "SELECT table_name, string_agg(column_name, ' ' ORDER BY ordinal_position) AS columns "
        "FROM information_schema.columns WHERE table_schema = 'audit' GROUP BY table_name"
    )
    assert dict(rows) == COLUMNS


async def test_the_views_tell_what_happened(scene: Scene, connection):
    stock = await connection.fetchrow("SELECT * FROM audit.stock WHERE variant_id = $1", scene.variant)
    assert tuple(stock) == (scene.variant, 50, 8, 42, 1)
    held = await connection.fetch(
        "SELECT qty FROM audit.reservations WHERE variant_id = $1 AND state = 'held'", scene.variant
    )
    assert [row["qty"] for row in held] == [1]
    order = await connection.fetchrow("SELECT * FROM audit.orders WHERE order_id = $1", scene.order)
    assert (order["lines_minor"], order["tax_minor"], order["total_minor"]) == (5997, 495, 6992)
    paid = await connection.fetchrow("SELECT * FROM audit.payments WHERE order_id = $1", scene.order)
    assert (paid["state"], paid["captured_minor"], paid["refunded_minor"]) == ("captured", 6992, 0)
    booked = await connection.fetch("SELECT * FROM audit.ledger WHERE order_id = $1", scene.order)
    assert {row["account"]: row["amount_minor"] for row in booked} == {
        "payments:test": 6992,
        "sales": -5997,
        "shipping": -500,
        "tax": -495,
    }


@pytest.mark.parametrize("view", COLUMNS)
async def test_a_view_refuses_writes(scene: Scene, connection, view: str):
    column = COLUMNS[view].split(maxsplit=1)[0]
    for statement in (
        f"UPDATE audit.{view} SET {column} = {column}",
        f"DELETE FROM audit.{view}",
        f"INSERT INTO audit.{view} ({column}) VALUES (NULL)",
    ):
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
            await connection.execute(statement)


# Only time makes these a breach: a moment after it happened the shop may still be at it.
OVERDUE = {"reservation_of_dead_checkout": 970, "captured_without_order": 130}


@pytest.mark.parametrize(("check", "statements"), BREACHES, ids=[name for name, _ in BREACHES])
async def test_a_planted_breach_is_named(scene: Scene, connection, check: str, statements: list[str]):
    now = scene.now + timedelta(seconds=OVERDUE.get(check, 0))
    async with undone(connection):
        for statement in statements:
            done = await connection.execute(statement.format(**scene.ids))
            assert not done.endswith(" 0"), f"nothing was planted by {statement}"
        found = await run_audit(connection, now, store_id=scene.store.id)
        assert check in {breach.check for breach in found}
        if check in OVERDUE:
            early = await run_audit(connection, scene.now, store_id=scene.store.id)
            assert check not in {breach.check for breach in early}


def test_each_check_has_a_planted_breach():
    assert {name for name, _ in BREACHES} == set(CHECKS)


async def test_a_breach_says_whose_row_it_is(scene: Scene, connection):
    async with undone(connection):
        await connection.execute(
            "UPDATE stock_items SET on_hand = on_hand + 1 WHERE variant_id = $1", scene.variant
        )
        found = await run_audit(connection, scene.now, store_id=scene.store.id)
        everywhere = await run_audit(connection, scene.now)
        elsewhere = await run_audit(connection, scene.now, store_id=scene.store.id - 1)
    assert [(b.check, b.store_id, b.subject, b.detail) for b in found] == [
        (
            "stock_not_accounted",
            scene.store.id,
            f"variant {scene.variant}",
            "43 on hand, and 50 stocked less 8 sold",
        )
    ]
    assert found[0] in everywhere
    assert found[0] not in elsewhere


async def test_held_stock_of_an_unknown_payment_is_no_breach_however_long_it_takes(scene: Scene, connection):
    async with undone(connection):
        await connection.execute(
            "UPDATE payments SET state = 'unknown' WHERE checkout_id = $1", scene.waiting
        )
        found = await run_audit(connection, scene.now + timedelta(days=2), store_id=scene.store.id)
    assert {breach.check for breach in found} == {"job_stuck"}


async def test_a_parked_job_is_not_stuck(scene: Scene, connection):
    async with undone(connection):
        await connection.execute(
            "UPDATE jobs SET state = 'parked', reason = 'no' WHERE store_id = $1", scene.store.id
        )
        later = scene.now + timedelta(days=2)
        assert await run_audit(connection, later, store_id=scene.store.id) == []


async def test_a_late_capture_is_a_breach_only_while_its_refund_is_overdue(
    client: httpx.AsyncClient, sessions: Sessions, reads, database_url: str, redis_url: str
):
    store = await make_store(sessions)
    guest = Guest(client, store, await open_till(sessions, store))
    checkout = await guest.prepare(await add_variant(sessions, store))
    asked = await guest.pay(checkout["totals"]["total"], payment_token="second_step")
    await decide(sessions, asked.json()["next_step_url"], "declined")
    refused = await guest.call("POST", f"/checkout/{guest.token}/payment/test/confirm", {})
    assert refused.status_code == 402
    await decide(sessions, asked.json()["next_step_url"], "processing")
    key = await scalar(sessions, "SELECT key FROM payments WHERE store_id = :s", s=store.id)
    await service_of(sessions, client).deliver(
        {"key": key}, address=f"{client.base_url}/storefront/v1/webhooks/test"
    )
    assert await run_audit(reads, utc_now(), store_id=store.id) == []
    overdue = utc_now() + timedelta(seconds=130)
    assert [breach.check for breach in await run_audit(reads, overdue, store_id=store.id)] == [
        "captured_without_order"
    ]
    shop = build_shop(settings_for(database_url, redis_url))
    refund = checkout_jobs(till=shop.till, stores=shop.stores, clock=utc_now)["payments.refund"]
    payment = await scalar(sessions, "SELECT id FROM payments WHERE store_id = :s", s=store.id)
    await refund(Job(0, store.id, "payments.refund", f"payment-{payment}", {"payment_id": payment}, 1))
    await close_shop(shop)
    assert await run_audit(reads, overdue, store_id=store.id) == []
