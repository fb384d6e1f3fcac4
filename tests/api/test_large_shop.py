"""A shop of 100,000 variants: no read of the catalogue reads a large table whole, and broad searches are kept."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
import pytest

from app.db.reads import PLANS, Reads
from app.db.session import database_address
from tests.benchmarks.grow import EVERYTHING, grow, load_demo
from tests.conftest import fresh_database
from tests.shop import running_shop, settings_for

VARIANTS = 100_000
LARGE = 10_000
# All lines of a shop that is younger than 90 days count for what sells best; that is done once a minute.
READ_WHOLE = ("order_lines", "orders")
TENT = "tarnside-dome-tent-7"
# A page of one copy's collection, and of the one that has all products.
SHELVES = ("collections/camping-7", f"collections/{EVERYTHING}", f"category/{EVERYTHING}")
# Selective, common, in every second product, mistyped, two words as one, a SKU, and nothing at all.
QUERIES = ("tarnside", "tent", "t", "pedivuab", "tarnsidedome", "NLG-TRN-2PER-CLAY-7", "xqzvw")
ORDERS = ("date", "title", "price", "best_selling", "search_match")
PATHS = (
    "/products",
    "/products?page=500",
    f"/products/{TENT}",
    "/products/types",
    "/products/best-selling",
    *(f"/products/variants?order_by={order}" for order in ORDERS),
    *(f"/products/variants?order_by={order}&order_type=asc&page=300" for order in ORDERS),
    "/products/variants?types[]={type}",
    "/products/variants?filter_by[Color][]=Fern",
    "/products/variants?filter_by[Color][]=Fern&types[]={type}&order_by=price",
    *(f"/products/variants?search={query}" for query in ("tarnside", "tent")),
    "/products/variants/by-ids?product_ids[]={variant}&product_ids[]={other}",
    "/products/variants/by-colors?colors[]=2f5d3a&colors[]=aa0000",
    "/products/variants/{variant}",
    "/products/variants/{variant}?expand=all_images,product,options,related_products,reviews,questions",
    "/collections",
    "/collections/camping-7",
    "/categories",
    *(f"/{shelf}/products" for shelf in SHELVES),
    *(f"/{shelf}/products?order_by={order}" for shelf in SHELVES for order in ("price", "best_selling")),
    *(f"/{shelf}/products?Color[]=Fern" for shelf in SHELVES),
    *(f"/products/search?q={query}" for query in QUERIES),
    *(f"/search?search={query}" for query in QUERIES),
    "/search?search=tent&expand=highlights",
    "/search/popular",
    f"/resolve?first={TENT}",
    f"/resolve?first=products&second={TENT}",
    "/resolve?first=collections&second=camping-7",
)


@dataclass
class Large:
    """The shop, what it asked the database while somebody called, and what the paths above stand for."""

    client: httpx.AsyncClient
    database: Any
    names: dict[str, int]
    asked: list[str] = field(default_factory=list)

    async def whole_reads(self, sql: str) -> list[str]:
        """The large tables that the plan of this statement reads from beginning to end."""
        return [
            node["Relation Name"]
            for node in _nodes(await self.plan(sql))
            if node["Node Type"] == "Seq Scan"
            and node["Relation Name"] not in READ_WHOLE
            and await self._is_large(node["Relation Name"])
        ]

    async def plan(self, sql: str) -> Any:
        """The plan that is kept for it, whatever its values: every connection makes it once."""
        prepared = await self.database.prepare(sql)
        count = len(prepared.get_parameters())
        await self.database.execute(f"PREPARE planned AS {sql}")
        values = f"({', '.join(['NULL'] * count)})" if count else ""
        try:
            found = await self.database.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE planned{values}")
        finally:
            await self.database.execute("DEALLOCATE planned")
        return json.loads(found)[0]["Plan"]

    async def _is_large(self, table: str) -> bool:
        rows = await self.database.fetchval(
            "SELECT reltuples FROM pg_class WHERE oid = to_regclass(quote_ident($1))", table
        )
        return rows >= LARGE


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


@pytest.fixture(scope="module")
async def large(database_server: str, redis_url: str) -> AsyncIterator[Large]:
    async with fresh_database(database_server) as url:
        await load_demo(url)
        await grow(url, variants=VARIANTS, lean=True)
        async with running_shop(settings_for(url, redis_url)) as client:
            database = await asyncpg.connect(database_address(url).asyncpg, server_settings=PLANS)
            ids = await database.fetch(
                "SELECT id, type_id FROM variants WHERE listed ORDER BY id DESC LIMIT 2"
            )
            names = {"variant": ids[0]["id"], "other": ids[1]["id"], "type": ids[0]["type_id"]}
            yield Large(client, database, names)
            await database.close()


@pytest.fixture
def watched(large: Large, monkeypatch: pytest.MonkeyPatch) -> Large:
    """The same, with the statements of the calls that follow."""
    large.asked.clear()
    for name in ("fetch", "fetchrow", "fetchval"):
        original = getattr(Reads, name)

        async def asking(self: Reads, sql: str, *args: Any, original: Any = original) -> Any:
            large.asked.append(sql)
            return await original(self, sql, *args)

        monkeypatch.setattr(Reads, name, asking)
    return large


@pytest.mark.parametrize("path", PATHS)
async def test_a_read_of_100_000_variants_reads_no_large_table_whole(watched: Large, path: str):
    answer = await watched.client.get(f"/storefront/v1{path.format_map(watched.names)}")
    assert answer.status_code == 200, answer.text
    assert watched.asked
    for sql in watched.asked:
        assert await watched.whole_reads(sql) == [], sql


async def test_a_plan_that_reads_a_large_table_whole_is_noticed(large: Large):
    assert await large.whole_reads("SELECT count(*) FROM variants WHERE title = $1::text") == ["variants"]
    assert await large.whole_reads("SELECT id FROM variants WHERE store_id = $1 AND id = $2") == []
    assert await large.whole_reads("SELECT id FROM stores") == []


async def ids(large: Large, path: str) -> list[int]:
    answer = await large.client.get(f"/storefront/v1{path}")
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_a_broad_search_is_ranked_once_and_its_pages_do_not_overlap(watched: Large):
    first = await ids(watched, "/products/search?q=cam")
    asked = watched.asked.pop()
    assert "ts_rank" in asked
    assert await ids(watched, "/products/search?q=cam") == first
    second = await ids(watched, "/products/search?q=cam&page=2")
    assert not set(first).intersection(second)
    assert all("ts_rank" not in sql for sql in watched.asked)
    # What lies beyond the kept ones is ranked as ever.
    assert await ids(watched, "/products/search?q=cam&page=70")
    assert "ts_rank" in watched.asked[-1]


async def test_a_search_with_few_hits_is_not_kept(watched: Large):
    for _ in range(2):
        assert await ids(watched, "/products/search?q=tarnside")
        assert "ts_rank" in watched.asked[-1]


async def test_what_is_taken_off_sale_is_not_shown_by_a_kept_search(large: Large):
    gone, *others = await ids(large, "/products/search?q=la")
    sql = "UPDATE products SET status = $2 WHERE id = (SELECT product_id FROM variants WHERE id = $1)"
    await large.database.execute(sql, gone, "draft")
    assert await ids(large, "/products/search?q=la") == others
    await large.database.execute(sql, gone, "active")


async def test_a_kept_search_tells_how_many_there_are(large: Large):
    totals = [
        (await large.client.get("/storefront/v1/search?search=la&type=products")).json()["products"]["_meta"]
        for _ in range(2)
    ]
    assert totals[0]["totalCount"] == totals[1]["totalCount"] > 1000
