"""What a process keeps of answers: sent without a statement while nothing has changed, and never once it has."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from sqlalchemy import text

from app.api.dependencies import STATE_KEY
from app.api.kept import KeptAnswers
from app.db import versions as versions_module
from app.db.reads import Reads
from app.db.session import transaction
from app.domain.stores import directory
from app.main import create_app
from tests.api.catalogue_shop import Shelf, fill
from tests.api.live import serve
from tests.conftest import make_store
from tests.shop import Guest, open_till, settings_for

PATHS = (
    "/products",
    "/products/ridge-tent",
    "/products/types",
    "/products/variants?order_by=price",
    "/products/search?q=tent",
    "/collections/by-hand/products?limit=5",
    "/categories",
)


@dataclass
class Keeper:
    """A running shop that keeps answers, how it is spoken to, and what it keeps."""

    shelf: Shelf
    kept: KeptAnswers
    statements: list[str]

    async def price(self) -> int:
        found: int = (await self.shelf.json("/products/ridge-tent"))["variants"][0]["price"]
        return found

    async def listens(self) -> None:
        async with asyncio.timeout(10):
            while not self.kept.versions.listening:
                await self.shelf.client.get("/health")


@pytest.fixture
async def keeper(database_url, redis_url, sessions, store, tmp_path, monkeypatch) -> AsyncIterator[Keeper]:
    monkeypatch.setattr(directory, "FRESH_SECONDS", 3600)
    # Time alone shall not make anything old in these tests; how much of it does is a test of its own.
    monkeypatch.setattr(versions_module, "FRESH_SECONDS", 3600)
    statements: list[str] = []
    original = Reads._run

    async def reading(self, call):
        statements.append("read")
        return await original(self, call)

    monkeypatch.setattr(Reads, "_run", reading)
    ids = await fill(sessions, store)
    settings = settings_for(
        database_url,
        redis_url,
        STOREFRONT_CACHE_BYTES="1000000",
        STOREFRONT_DATA_DIR=str(tmp_path),
    )
    app = create_app(settings)
    async with serve(app) as url, httpx.AsyncClient(base_url=url, timeout=20) as client:
        keeper = Keeper(Shelf(client, store, ids), app.state[STATE_KEY].kept, statements)
        await keeper.listens()
        yield keeper


async def set_price(sessions, store, price: int) -> None:
    """As somebody does who knows nothing of the shop's processes."""
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE variants SET price = :price WHERE store_id = :store"),
            {"price": price, "store": store.id},
        )


async def until_price(keeper: Keeper, price: int) -> None:
    async with asyncio.timeout(10):
        while await keeper.price() != price:
            pass


@pytest.mark.parametrize("path", PATHS)
async def test_the_second_answer_takes_no_statement_and_is_the_same_to_the_last_header(keeper, path):
    first = await keeper.shelf.get(path)
    keeper.statements.clear()
    again = await keeper.shelf.get(path)
    assert keeper.statements == []
    assert (again.status_code, again.content) == (200, first.content)
    varying = {"x-request-id", "date"}
    assert {k: v for k, v in again.headers.items() if k not in varying} == {
        k: v for k, v in first.headers.items() if k not in varying
    }
    assert again.headers["cache-control"].startswith("public, max-age=")
    assert "stale-while-revalidate" in again.headers["cache-control"]
    assert "X-Store" in again.headers["vary"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_reader_who_has_the_answer_costs_one_look_up_at_most(keeper, path):
    tag = (await keeper.shelf.get(path)).headers["etag"]
    for forgotten, most in ((False, 0), (True, 1)):
        if forgotten:
            keeper.kept.forget()
            keeper.kept.versions._known.clear()
        keeper.statements.clear()
        answer = await keeper.shelf.get(path, headers={"If-None-Match": f'"other", {tag}'})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
        # A length would be taken for that of the answer which the reader has.
        assert not {"content-length", "content-type"} & set(answer.headers)
        assert len(keeper.statements) == most


async def test_a_tag_is_of_one_address_and_a_tag_of_another_is_none(keeper):
    tag = (await keeper.shelf.get("/products/ridge-tent")).headers["etag"]
    for path in ("/products/kettle", "/products/ridge-tent?expand=", "/products/no-such-thing"):
        assert (await keeper.shelf.get(path, headers={"If-None-Match": tag})).status_code in (200, 404)


async def test_another_store_is_never_answered_with_what_is_kept_of_the_first(keeper, sessions):
    other = await make_store(sessions)
    assert (await keeper.shelf.get("/products/ridge-tent")).status_code == 200
    answer = await keeper.shelf.get("/products/ridge-tent", headers={"X-Store": other.code})
    assert answer.status_code == 404


async def test_whoever_names_two_stores_puts_nothing_of_the_first_in_the_place_of_the_second(
    keeper, sessions
):
    other = await make_store(sessions)
    path = "/storefront/v1/products/ridge-tent"
    twice = [("X-Store", keeper.shelf.store.code), ("X-Store", other.code)]
    assert (await keeper.shelf.client.get(path, headers=twice)).status_code == 200
    assert (await keeper.shelf.client.get(path, headers=twice[1:])).status_code == 404


async def test_head_has_the_headers_of_what_is_kept(keeper):
    first = await keeper.shelf.get("/products/ridge-tent")
    headers = {"X-Store": keeper.shelf.store.code}
    head = await keeper.shelf.client.head("/storefront/v1/products/ridge-tent", headers=headers)
    assert (head.headers["etag"], head.headers["content-length"]) == (
        first.headers["etag"],
        str(len(first.content)),
    )
    assert head.content == b""


async def test_a_price_that_somebody_else_changes_is_told_of_and_shown(keeper, sessions, store):
    assert await keeper.price() == 24900
    await set_price(sessions, store, 100)
    await until_price(keeper, 100)


async def test_what_nobody_told_of_is_shown_after_a_second(keeper, sessions, store, monkeypatch):
    monkeypatch.setattr(versions_module, "FRESH_SECONDS", 1.0)
    now = 1_000_000.0
    monkeypatch.setattr(versions_module.time, "monotonic", lambda: now)
    keeper.kept.versions._known.clear()
    before = (await keeper.shelf.json("/products/ridge-tent"))["variants"][0]["inventory_quantity"]
    async with transaction(sessions) as session:  # stock is counted and not told of
        await session.execute(
            text("UPDATE stock_items SET on_hand = on_hand + 1 WHERE store_id = :store"), {"store": store.id}
        )
    seen = []
    for now in (1_000_000.99, 1_000_001.0):  # noqa: B007 - the clock above reads it
        page = await keeper.shelf.json("/products/ridge-tent")
        seen.append(page["variants"][0]["inventory_quantity"] - before)
    assert seen == [0, 1]


async def test_who_buys_sees_the_stock_fall_at_once(keeper, sessions, store):
    guest = Guest(keeper.shelf.client, store, await open_till(sessions, store))
    product = await keeper.shelf.json("/products/ridge-tent")
    variant = product["variants"][0]
    checkout = await guest.prepare(variant["id"], 2)
    paid = await guest.pay(checkout["totals"]["total"], service="manual")
    assert paid.status_code == 204, paid.text
    after = (await keeper.shelf.json("/products/ridge-tent"))["variants"][0]
    assert after["inventory_quantity"] == variant["inventory_quantity"] - 2


@asynccontextmanager
async def deaf(keeper: Keeper, sessions, monkeypatch) -> AsyncIterator[None]:
    """The listening connection is ended and no new one is to be had."""

    async def refuse(*_args, **_options):
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(versions_module, "connect", refuse)
        async with sessions() as session:
            await session.execute(
                text(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE application_name = 'storefront-listener' AND datname = current_database()"
                )
            )
        async with asyncio.timeout(10):
            while keeper.kept.versions.listening:
                await keeper.shelf.client.get("/health")
        yield


async def test_without_a_listening_connection_nothing_is_kept_and_nothing_old_is_sent(
    keeper, sessions, store, monkeypatch
):
    tag = (await keeper.shelf.get("/products/ridge-tent")).headers["etag"]
    async with deaf(keeper, sessions, monkeypatch):
        assert keeper.kept._kept == {}
        for price in (1, 2, 3):
            await set_price(sessions, store, price)
            assert await keeper.price() == price
            again = await keeper.shelf.get("/products/ridge-tent", headers={"If-None-Match": tag})
            assert again.status_code == 200
        assert keeper.kept._kept == {}
    await keeper.listens()
    await keeper.price()
    keeper.statements.clear()
    assert (await keeper.price(), keeper.statements) == (3, [])


async def test_what_is_kept_stays_within_its_bytes(keeper):
    for number in range(200):
        answer = await keeper.shelf.get(f"/products?number={number}")
        assert len(answer.content) > 6_000
    kept = keeper.kept
    assert 50 < len(kept._kept) < 200
    assert kept._bytes <= 1_000_000
    assert kept._bytes == sum(entry.size for entry in kept._kept.values())


async def test_what_is_wrong_is_not_kept(keeper):
    for _ in range(2):
        assert (await keeper.shelf.get("/products/no-such-thing")).status_code == 404
        assert (await keeper.shelf.get("/products?page=0")).status_code == 422
    assert keeper.kept._kept == {}
