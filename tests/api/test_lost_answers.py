"""Requests whose transaction collides, or whose COMMIT is not answered: one effect, and an answer that is true."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from litestar import Litestar, Router, post
from litestar.datastructures import State
from litestar.params import FromPath
from sqlalchemy import text

from app.api.dependencies import STATE_KEY, GivenSession, GivenShop, dependencies
from app.api.edge import create_edge
from app.api.transactions import transactional
from app.db.audit import run_audit
from app.db.reads import Reads
from app.db.session import Sessions
from app.domain.stores.models import Store
from app.kit.clock import utc_now
from app.main import build_shop, close_shop
from tests.api.live import serve
from tests.api.test_checkout_flow import stock_of
from tests.api.test_idempotency import KEY
from tests.shop import ADDRESS, Guest, add_variant, open_till, running_shop, settings_for
from tests.standins.postgres_line import Line, postgres_line


@pytest.fixture(scope="module")
async def line(database_url: str) -> AsyncIterator[Line]:
    async with postgres_line(database_url) as made:
        yield made


@pytest.fixture(scope="module")
async def far_client(line: Line, redis_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A shop at the other end of the line."""
    async with running_shop(settings_for(line.url, redis_url)) as client:
        yield client


@pytest.fixture
async def guest(far_client, line: Line, sessions: Sessions, reads: Reads, store: Store):
    yield Guest(far_client, store, await open_till(sessions, store))
    line.mend()
    assert await run_audit(reads, utc_now(), store_id=store.id) == []


async def count(sessions: Sessions, store: Store, what: str) -> int:
    async with sessions() as session:
        found = await session.scalar(
            text(f"SELECT count(*) FROM {what} WHERE store_id = :id"), {"id": store.id}
        )
        return int(found or 0)


@pytest.mark.parametrize("fault", ["after", "before"])
async def test_a_keyed_add_whose_commit_was_not_answered_adds_once(guest, sessions, line, fault):
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant)
    body = {"product_id": variant, "quantity": 2, "cart_uuid": guest.cart_uuid}
    line.cut(fault)
    added = await guest.call("POST", "/cart/items", body, **{KEY: uuid4().hex})
    assert (added.status_code, added.json()["quantity"]) == (200, 3)
    # Where the first run took effect, the record of the key answers.
    assert added.headers.get("Idempotency-Replayed") == ("true" if fault == "after" else None)


@pytest.mark.parametrize(("fault", "quantity"), [("after", 3), ("before", 1)])
async def test_an_add_without_a_key_says_that_its_outcome_is_unknown(guest, sessions, line, fault, quantity):
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant)
    line.cut(fault)
    unknown = await guest.add(variant, 2)
    assert (unknown.status_code, unknown.json()["code"]) == (503, "outcome_unknown")
    assert int(unknown.headers["retry-after"]) >= 1
    cart = await guest.client.get(
        "/storefront/v1/cart", params={"cart_uuid": guest.cart_uuid}, headers=guest.headers
    )
    assert cart.json()["items"][0]["quantity"] == quantity


@pytest.mark.parametrize(("fault", "carts"), [("after", 1), ("before", 0)])
async def test_nor_is_it_known_of_a_cart_that_one_statement_makes(guest, sessions, line, fault, carts):
    variant = await add_variant(sessions, guest.store)
    line.cut(fault)
    unknown = await guest.add(variant)
    assert (unknown.status_code, unknown.json()["code"]) == (503, "outcome_unknown")
    assert await count(sessions, guest.store, "carts") == carts


@pytest.mark.parametrize("fault", ["after", "before"])
async def test_a_checkout_that_one_statement_changes_is_changed_whatever_was_lost(
    guest, sessions, line, fault
):
    variant = await add_variant(sessions, guest.store)
    checkout = await guest.prepare(variant)
    line.cut(fault)
    way = f"/checkout/{guest.token}/customer"
    body = {"email": "grace@example.com", "shipping_address": ADDRESS}
    changed = await guest.call("PUT", way, body)
    assert (changed.status_code, changed.json()["totals"]) == (200, checkout["totals"])
    assert (await guest.call("GET", f"/checkout/{guest.token}")).json()["email"] == "grace@example.com"


@pytest.mark.parametrize("fault", ["after", "before"])
async def test_setting_a_quantity_is_simply_done_again(guest, sessions, line, fault):
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant)
    line.cut(fault)
    body = {"product_id": variant, "quantity": 4, "cart_uuid": guest.cart_uuid}
    changed = await guest.call("PUT", "/cart/items", body)
    assert (changed.status_code, changed.json()["quantity"]) == (200, 4)


@pytest.mark.parametrize("key", [{}, {KEY: "one"}])
@pytest.mark.parametrize("service", ["test", "manual"])
@pytest.mark.parametrize("fault", ["after", "before"])
async def test_reserving_without_an_answer_makes_one_order_and_charges_it(
    guest, sessions, line, fault, service, key
):
    variant = await add_variant(sessions, guest.store, on_hand=5)
    checkout = await guest.prepare(variant)
    line.cut(fault)
    paid = await guest.pay(checkout["totals"]["total"], service=service, **key)
    assert paid.status_code == 204, paid.text
    assert await stock_of(sessions, variant) == (4, 0)
    assert await count(sessions, guest.store, "orders") == 1
    assert await count(sessions, guest.store, "payments") == 1


@pytest.mark.parametrize("fault", ["after", "before"])
async def test_settling_without_an_answer_places_the_order_once(guest, sessions, line, fault):
    variant = await add_variant(sessions, guest.store, on_hand=5)
    checkout = await guest.prepare(variant)
    # The reservation, the test service's own books, and then what settles.
    line.cut("", "", fault)
    paid = await guest.pay(checkout["totals"]["total"])
    assert paid.status_code == 204, paid.text
    assert await stock_of(sessions, variant) == (4, 0)
    assert await count(sessions, guest.store, "ledger_transactions") == 1
    async with sessions() as session:
        events = await session.scalars(
            text("SELECT event FROM order_events WHERE store_id = :id ORDER BY id"), {"id": guest.store.id}
        )
        assert list(events) == ["placed", "paid"]


class Bench:
    """What the handlers of this small application meet on their first run."""

    def begin(self) -> None:
        """Each test anew."""
        self.table = f"bench_{uuid4().hex}"
        self.runs: list[str] = []
        self.both = asyncio.Barrier(2)


BENCH = Bench()


@post("/crossing/{first:str}/{second:str}", status_code=200)
@transactional
async def crossing(first: FromPath[str], second: FromPath[str], session: GivenSession) -> dict[str, int]:
    """Locks two rows in the order that the caller names, and waits in between for the other caller."""
    BENCH.runs.append(first)
    add = text(f"UPDATE {BENCH.table} SET n = n + 1 WHERE id = :id")
    await session.execute(add, {"id": first})
    if BENCH.runs.count(first) == 1:
        await BENCH.both.wait()
    await session.execute(add, {"id": second})
    return {"runs": BENCH.runs.count(first)}


@post("/hung-up", status_code=200)
@transactional
async def hung_up(session: GivenSession, shop: GivenShop) -> dict[str, int]:
    """Loses its connection on the first run."""
    BENCH.runs.append("hung up")
    await session.execute(text(f"UPDATE {BENCH.table} SET n = n + 1 WHERE id = 'a'"))
    if BENCH.runs.count("hung up") == 1:
        pid = await session.scalar(text("SELECT pg_backend_pid()"))
        async with shop.sessions() as other:
            await other.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    await session.execute(text(f"UPDATE {BENCH.table} SET n = n + 1 WHERE id = 'b'"))
    return {"runs": BENCH.runs.count("hung up")}


@pytest.fixture
async def bench(database_url: str, redis_url: str, sessions: Sessions) -> AsyncIterator[httpx.AsyncClient]:
    settings = settings_for(database_url, redis_url)
    shop = build_shop(settings)
    BENCH.begin()
    async with sessions.begin() as session:
        await session.execute(text(f"CREATE TABLE {BENCH.table} (id text PRIMARY KEY, n int NOT NULL)"))
        await session.execute(text(f"INSERT INTO {BENCH.table} VALUES ('a', 0), ('b', 0)"))
    app = create_edge(
        settings,
        route_handlers=[Router("/bench", route_handlers=[crossing, hung_up], dependencies=dependencies())],
        checks={},
        state=State({STATE_KEY: shop}),
    )
    async with serve(app) as url, httpx.AsyncClient(base_url=f"{url}/bench", timeout=20) as client:
        yield client
    await close_shop(shop)


async def counted(sessions: Sessions) -> dict[str, int]:
    async with sessions() as session:
        return {row.id: row.n for row in await session.execute(text(f"SELECT id, n FROM {BENCH.table}"))}


async def test_two_calls_that_deadlock_both_succeed(bench, sessions):
    answers = await asyncio.gather(bench.post("/crossing/a/b"), bench.post("/crossing/b/a"))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert sorted(answer.json()["runs"] for answer in answers) == [1, 2]
    assert await counted(sessions) == {"a": 2, "b": 2}


async def test_a_call_whose_connection_is_ended_is_run_again(bench, sessions):
    answer = await bench.post("/hung-up")
    assert (answer.status_code, answer.json()) == (200, {"runs": 2})
    assert await counted(sessions) == {"a": 1, "b": 1}


def test_a_handler_that_nobody_commits_is_refused_at_the_start(database_url, redis_url):
    @post("/forgetful")
    async def forgetful(session: GivenSession) -> None:
        await session.execute(text("SELECT 1"))

    def build() -> Litestar:
        return create_edge(
            settings_for(database_url, redis_url),
            route_handlers=[Router("/bench", route_handlers=[forgetful], dependencies=dependencies())],
            checks={},
        )

    with pytest.raises(TypeError, match="not @transactional"):
        build()
