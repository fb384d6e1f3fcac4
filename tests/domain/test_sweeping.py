"""What the worker ends and forgets by the clock, and what it never does: anything that money has touched."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.db import queue
from app.db.audit import run_audit
from app.db.reads import Reads
from app.db.session import Sessions, create_engine, create_sessions, transaction
from app.domain.carts.service import add_item
from app.domain.checkout import jobs, sweeping
from app.domain.checkout.jobs import KEEP, sweep
from app.kit.clock import utc_now
from tests.conftest import fresh_database, make_store
from tests.people import make_customer
from tests.shop import Guest, add_order_link, add_variant, config_of, open_till, running_shop, settings_for

TABLES = (
    "carts",
    "checkouts",
    "orders",
    "order_lines",
    "payments",
    "reservations",
    "order_links",
    "idempotency_records",
    "payment_events",
    "jobs",
)


@pytest.fixture(scope="module")
async def own_url(database_server: str) -> AsyncIterator[str]:
    """A database of this module's own: sweeping, and growing old, look at every store."""
    async with fresh_database(database_server) as url:
        yield url


@pytest.fixture(scope="module")
async def sessions(own_url: str) -> AsyncIterator[Sessions]:
    engine = create_engine(own_url, pool_size=5)
    yield create_sessions(engine)
    await engine.dispose()


@pytest.fixture(scope="module")
async def client(own_url: str, redis_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with running_shop(settings_for(own_url, redis_url)) as made:
        yield made


@pytest.fixture
async def guest(client: httpx.AsyncClient, sessions: Sessions):
    store = await make_store(sessions)
    return Guest(client, store, await open_till(sessions, store))


async def counts(sessions: Sessions, guest: Guest) -> dict[str, int]:
    """How many rows of each table the guest's store has."""
    found = {}
    async with sessions() as session:
        for table in TABLES:
            query = text(f"SELECT count(*) FROM {table} WHERE store_id = :store")
            found[table] = int(await session.scalar(query, {"store": guest.store.id}) or 0)
    return found


async def age(sessions: Sessions, days: int) -> None:
    """Let everything lie about for so many days."""
    past = f"- interval '{days} days'"
    async with transaction(sessions) as session:
        for statement in (
            f"UPDATE checkouts SET updated_at = updated_at {past}, expires_at = expires_at {past}",
            f"UPDATE orders SET created_at = created_at {past}",
            f"UPDATE payments SET updated_at = updated_at {past}",
            f"UPDATE payment_events SET received_at = received_at {past}",
            f"UPDATE jobs SET finished_at = finished_at {past}",
            f"UPDATE idempotency_records SET expires_at = expires_at {past}",
            f"UPDATE order_links SET expires_at = expires_at {past}",
            f"UPDATE carts SET expires_at = expires_at - interval '91 days' {past}",
        ):
            await session.execute(text(statement))


async def rounds(sessions: Sessions) -> None:
    """What expires in one round is old in another."""
    await sweep(sessions, now=utc_now())
    await age(sessions, 31)
    await sweep(sessions, now=utc_now())


async def test_an_order_that_was_never_placed_goes_with_its_checkout_and_cart(guest, sessions):
    variant = await add_variant(sessions, guest.store, on_hand=5)
    checkout = await guest.prepare(variant)
    declined = await guest.pay(
        checkout["totals"]["total"], payment_token="decline", **{"Idempotency-Key": "1"}
    )
    assert declined.status_code == 402
    await age(sessions, 2)
    await sweep(sessions, now=utc_now())
    young = await counts(sessions, guest)
    assert (young["orders"], young["payments"], young["idempotency_records"]) == (1, 1, 0)
    await age(sessions, 31)
    await sweep(sessions, now=utc_now())
    found = await counts(sessions, guest)
    assert {table: number for table, number in found.items() if number} == {}
    async with sessions() as session:
        stock = await session.execute(
            text("SELECT on_hand, reserved FROM stock_items WHERE variant_id = :id"), {"id": variant}
        )
        assert tuple(stock.one()) == (5, 0)


@pytest.mark.parametrize("service", ["test", "manual"])
async def test_a_placed_order_and_its_payment_stay_for_good(guest, sessions, service):
    checkout = await guest.prepare(await add_variant(sessions, guest.store))
    assert (await guest.pay(checkout["totals"]["total"], service=service)).status_code == 204
    await rounds(sessions)
    found = await counts(sessions, guest)
    assert (found["orders"], found["order_lines"], found["payments"], found["checkouts"]) == (1, 1, 1, 1)


async def test_a_cart_whose_time_is_over_is_empty_for_whoever_bought_from_it_and_comes_back(guest, sessions):
    bought, left, new = [await add_variant(sessions, guest.store) for _ in range(3)]
    checkout = await guest.prepare(bought)
    assert (await guest.pay(checkout["totals"]["total"], service="manual")).status_code == 204
    await guest.add(left)
    customer = await make_customer(sessions, guest.store)
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE carts SET customer_id = :customer, note = 'Ring twice.' WHERE uuid = :uuid"),
            {"customer": customer, "uuid": guest.cart_uuid},
        )
    held = text(
        "SELECT l.variant_id FROM carts c LEFT JOIN cart_lines l ON l.cart_id = c.id WHERE c.customer_id = :id"
    )
    await sweep(sessions, now=utc_now())
    async with sessions() as session:
        assert (await session.scalars(held, {"id": customer})).all() == [left]
    await age(sessions, 31)
    await sweep(sessions, now=utc_now())
    async with transaction(sessions) as session:
        assert (await session.scalars(held, {"id": customer})).all() == []
        await add_item(
            session,
            config_of(guest.store),
            uuid=None,
            customer_id=customer,
            variant_id=new,
            quantity=1,
            now=utc_now(),
            keep_seconds=3600,
        )
        assert (await session.scalars(held, {"id": customer})).all() == [new]
    found = await counts(sessions, guest)
    assert (found["orders"], found["checkouts"], found["carts"]) == (1, 1, 2)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


async def test_a_cart_that_an_order_came_from_is_emptied_once_and_not_looked_at_again(guest, sessions):
    checkout = await guest.prepare(await add_variant(sessions, guest.store))
    assert (await guest.pay(checkout["totals"]["total"])).status_code == 204
    assert (await guest.add(await add_variant(sessions, guest.store))).status_code == 200
    await rounds(sessions)

    async def looked_at() -> tuple[int, int]:
        """How many rows of carts and lines the steps about carts read when they run once more."""
        read = 0
        async with transaction(sessions) as session:
            await session.execute(text("SET LOCAL enable_seqscan = off"))
            for step in (sweeping._FORGET_CARTS, sweeping._EMPTY_CARTS):
                plan = await session.scalar(
                    text(f"EXPLAIN (ANALYZE, FORMAT JSON) {step}"), {"now": utc_now(), "batch": 200}
                )
                read += sum(found["Actual Rows"] for found in nodes(plan[0]["Plan"]) if "Index Name" in found)
            carts = await session.scalar(
                text("SELECT count(*) FROM carts WHERE store_id = :store AND emptied_at IS NOT NULL"),
                {"store": guest.store.id},
            )
        return read, carts or 0

    assert await looked_at() == (0, 1)


async def test_an_order_whose_payment_is_not_known_stays(guest, sessions):
    checkout = await guest.prepare(await add_variant(sessions, guest.store))
    assert (await guest.pay(checkout["totals"]["total"], payment_token="second_step")).status_code == 402
    await age(sessions, 31)
    await rounds(sessions)
    found = await counts(sessions, guest)
    assert (found["orders"], found["payments"], found["reservations"]) == (1, 1, 1)


@pytest.mark.parametrize(
    "planted",
    ["state = 'late', captured = 1, refunded = 1", "captured = 1, refunded = 1", "state = 'unknown'"],
)
async def test_an_order_that_money_has_touched_stays(guest, sessions, planted):
    checkout = await guest.prepare(await add_variant(sessions, guest.store))
    await guest.pay(checkout["totals"]["total"], payment_token="decline")
    async with transaction(sessions) as session:
        query = text(f"UPDATE payments SET {planted} WHERE store_id = :store")
        await session.execute(query, {"store": guest.store.id})
    await age(sessions, 31)
    await rounds(sessions)
    found = await counts(sessions, guest)
    assert (found["orders"], found["payments"], found["checkouts"]) == (1, 1, 1)


async def test_an_attempt_of_yesterday_keeps_its_order(guest, sessions):
    checkout = await guest.prepare(await add_variant(sessions, guest.store))
    await guest.pay(checkout["totals"]["total"], payment_token="decline")
    await age(sessions, 31)
    await sweep(sessions, now=utc_now())
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE checkouts SET updated_at = updated_at - interval '31 days'"))
        await session.execute(text("UPDATE payments SET updated_at = now() - interval '1 day'"))
    await sweep(sessions, now=utc_now())
    assert (await counts(sessions, guest))["orders"] == 1


async def test_done_jobs_received_events_and_links_are_forgotten_and_jobs_about_money_never(guest, sessions):
    now = utc_now()
    checkout = await guest.prepare(await add_variant(sessions, guest.store))
    paid = await guest.pay(checkout["totals"]["total"])
    order_id = int(paid.headers["location"].rpartition("/")[2])
    async with transaction(sessions) as session:
        for kind in ("payments.refund", "test.waiting", "test.parked"):
            await queue.enqueue(
                session, store_id=guest.store.id, kind=kind, dedupe_key="one", payload={}, run_at=now
            )
        await session.execute(
            text("UPDATE jobs SET state = 'done', finished_at = now() WHERE kind NOT LIKE 'test.%'")
        )
        await session.execute(
            text("UPDATE jobs SET state = 'parked', finished_at = now() WHERE kind = 'test.parked'")
        )
        await session.execute(
            text(
                "INSERT INTO payment_events (store_id, service, event_id, kind, payload, outcome) "
                "VALUES (:store, 'test', 'one', 'x', '{}', 'settled')"
            ),
            {"store": guest.store.id},
        )
        await add_order_link(session, guest.store.id, order_id)
    await sweep(sessions, now=now)
    young = await counts(sessions, guest)
    assert (young["jobs"], young["payment_events"], young["order_links"]) == (5, 1, 1)
    await age(sessions, 31)
    await sweep(sessions, now=utc_now())
    old = await counts(sessions, guest)
    assert (old["payment_events"], old["order_links"]) == (0, 0)
    async with sessions() as session:
        query = text("SELECT kind FROM jobs WHERE store_id = :store ORDER BY kind")
        kinds = await session.scalars(query, {"store": guest.store.id})
        assert list(kinds) == ["payments.refund", "test.parked", "test.waiting"]


async def test_more_than_a_batch_goes_in_several_and_what_is_held_is_left_alone(guest, sessions, monkeypatch):
    monkeypatch.setattr(jobs, "BATCH", 2)
    async with transaction(sessions) as session:
        await session.execute(
            text(
                "INSERT INTO payment_events (store_id, service, event_id, kind, payload, outcome, received_at) "
                "SELECT :store, 'test', n::text, 'x', '{}', 'settled', :old FROM generate_series(1, 7) n"
            ),
            {"old": utc_now() - KEEP - timedelta(days=1), "store": guest.store.id},
        )
    async with sessions() as holder:
        await holder.execute(text("SELECT 1 FROM payment_events WHERE event_id = '7' FOR UPDATE"))
        await sweep(sessions, now=utc_now())
        assert (await counts(sessions, guest))["payment_events"] == 1
    await sweep(sessions, now=utc_now())
    assert (await counts(sessions, guest))["payment_events"] == 0


@pytest.fixture(autouse=True)
async def clean(guest, sessions, own_url):
    """Whatever is forgotten, the books must add up."""
    yield
    reads = Reads(own_url, size=1)
    found = await run_audit(reads, utc_now(), store_id=guest.store.id)
    await reads.close()
    assert found == []
