"""Calls that a process has answered before: the same address again needs no routing, and everything is read anew."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from sqlalchemy import text

from app.api.dependencies import STATE_KEY
from app.api.known_calls import LONGEST, KnownCalls
from app.api.rate_limits import LIMIT
from app.db.reads import Reads
from app.db.session import transaction
from app.main import create_app
from tests.api.catalogue_shop import Shelf, fill
from tests.api.live import serve
from tests.conftest import make_store
from tests.shop import settings_for

# One of each kind; {id} is a variant's.
PATHS = (
    "/products",
    "/products?limit=2&page=2",
    "/products/ridge-tent",
    "/products/types",
    "/products/variants?order_by=price&color[]=rust&expand=product",
    "/products/variants?search=tent",
    "/products/variants/{id}",
    "/products/variants/by-ids?product_ids[]={id}",
    "/products/variants/by-colors?colors[]=aa3311",
    "/collections?expand=category",
    "/collections/by-hand",
    "/collections/by-hand/products?limit=2",
    "/collections/by-hand/products?order_by=title&order_type=desc",
    "/categories",
    "/category/outdoor",
    "/category/outdoor/products?page=1",
)


@dataclass
class Known:
    """A running shop that keeps no answers, what it knows of calls, and which of them it routed and read."""

    app: Litestar
    shelf: Shelf
    calls: KnownCalls
    routed: list[str]
    read: list[str]

    async def ask(self, path: str, **headers: str) -> tuple[httpx.Response, int, int]:
        """The answer, how many routes it took, and how many statements."""
        self.routed.clear()
        self.read.clear()
        answer = await self.shelf.get(path, headers=headers)
        return answer, len(self.routed), len(self.read)


@pytest.fixture
async def known(database_url, redis_url, sessions, store, monkeypatch) -> AsyncIterator[Known]:
    ids = await fill(sessions, store)
    routed: list[str] = []
    read: list[str] = []
    handle, run = HTTPRoute.handle, Reads._run

    async def routing(self, scope, receive, send):
        routed.append(scope["path"])
        return await handle(self, scope, receive, send)

    async def reading(self, call):
        read.append("read")
        return await run(self, call)

    monkeypatch.setattr(HTTPRoute, "handle", routing)
    monkeypatch.setattr(Reads, "_run", reading)
    app = create_app(settings_for(database_url, redis_url))
    async with serve(app) as url, httpx.AsyncClient(base_url=url, timeout=20) as client:
        yield Known(app, Shelf(client, store, ids), app.state[STATE_KEY].calls, routed, read)


def lasting(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date")}


async def test_a_known_call_is_read_anew_without_routing_and_answers_the_same(known):
    variant = (await known.shelf.json("/products/ridge-tent"))["variants"][0]["id"]
    known.calls._known.clear()
    for path in (path.format(id=variant) for path in PATHS):
        first, routes, _ = await known.ask(path)
        assert (first.status_code, routes) == (200, 1), path
        again, routes, statements = await known.ask(path)
        assert (again.status_code, again.content, lasting(again)) == (200, first.content, lasting(first)), (
            path
        )
        assert routes == 0, path
        assert statements >= 1, path
        # Who has it already is told so, and a HEAD has no bytes.
        kept, routes, _ = await known.ask(path, **{"If-None-Match": first.headers["etag"]})
        assert (kept.status_code, kept.content, routes) == (304, b"", 0), path
        address = f"/storefront/v1{path}"
        head = await known.shelf.client.head(address, headers={"X-Store": known.shelf.store.code})
        assert (head.content, lasting(head)) == (b"", lasting(first)), path
    assert len(known.calls._known) == len(PATHS)


async def test_nothing_of_a_known_call_outlives_a_write_or_leaves_its_store(known, sessions, store):
    path = "/products/ridge-tent"
    assert (await known.ask(path))[0].json()["variants"][0]["price"] == 24900
    other = await make_store(sessions)
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE variants SET price = 100 WHERE store_id = :store"), {"store": store.id}
        )
    changed, routes, _ = await known.ask(path)
    assert (changed.json()["variants"][0]["price"], routes) == (100, 0)
    elsewhere, routes, _ = await known.ask(path, **{"X-Store": other.code})
    assert (elsewhere.status_code, elsewhere.json()["code"], routes) == (404, "not_found", 0)
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE products SET status = 'draft' WHERE store_id = :store"), {"store": store.id}
        )
    gone, routes, _ = await known.ask(path)
    assert (gone.status_code, gone.headers["content-type"], routes) == (404, "application/problem+json", 0)
    unknown, _, _ = await known.ask("/products/no-such-thing")
    assert lasting(gone) == lasting(unknown)


async def test_what_is_wrong_or_long_or_counted_is_not_known_and_what_is_known_has_bounds(known):
    for path in ("/products/no-such-thing", "/products?page=0", f"/products?{'x' * LONGEST}"):
        for _ in range(2):
            assert (await known.ask(path))[1] == 1
    assert known.calls._known == {}
    known.calls._most = 3
    for place in (1, 2, 3, 1, 4):
        await known.ask(f"/products?page={place}")
    assert [query for _, query in known.calls._known] == [b"page=3", b"page=1", b"page=4"]
    known.calls._known.clear()
    for route in known.app.routes:
        if isinstance(route, HTTPRoute) and route.path_format.endswith("/products/{handle}"):
            route.route_handler_map["GET"][0].opt[LIMIT] = "lookup"
    for _ in range(2):
        assert (await known.ask("/products/ridge-tent"))[1] == 1
