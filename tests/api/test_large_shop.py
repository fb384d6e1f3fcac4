"""A shop of 100,000 variants: no read of the catalogue reads a large table whole, and broad searches end early."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
import pytest

from app.db.reads import PLANS, Reads
from app.db.session import database_address
from app.domain.catalogue.word_hits import BEST_SELLERS, ENOUGH, MOST_FOUND
from tests.benchmarks.grow import EVERYTHING, grow, load_demo
from tests.conftest import fresh_database
from tests.shop import running_shop, settings_for

VARIANTS = 100_000
LARGE = 10_000
TENT = "tarnside-dome-tent-7"
# A page of one copy's collection, and of the one that has all products.
SHELVES = ("collections/camping-7", f"collections/{EVERYTHING}", f"category/{EVERYTHING}")
# Selective, common, in every second product, mistyped, two words as one, a SKU, and nothing at all.
QUERIES = ("tarnside", "tent", "t", "pedivuab", "tarnsidedome", "NLG-TRN-2PER-CLAY-7", "xqzvw")
ORDERS = ("date", "title", "price", "best_selling", "review_rating", "search_match")
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
    *(f"/products/variants?search={query}" for query in ("tarnside", "tent", "t")),
    "/products/variants?search=tent&order_by=price&filter_by[Color][]=Fern&types[]={type}",
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
            if node["Node Type"] == "Seq Scan" and await self._is_large(node["Relation Name"])
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


async def test_a_filter_of_a_collection_looks_at_its_own_products_alone(watched: Large):
    """Whatever fits it in the rest of the store: 6,600 variants there, for nine products here."""
    answer = await watched.client.get("/storefront/v1/collections/camping-7/products?Color[]=Fern")
    assert answer.json()["_meta"]["totalCount"] > 0
    used = [
        node.get("Index Name")
        for sql in watched.asked
        for node in _nodes(await watched.plan(sql))
        if node.get("Relation Name") == "variants" or "variants" in node.get("Index Name", "")
    ]
    assert "variants_filter_idx" in used
    assert "variants_facets_idx" not in used


async def test_a_plan_that_reads_a_large_table_whole_is_noticed(large: Large):
    assert await large.whole_reads("SELECT count(*) FROM variants WHERE title = $1::text") == ["variants"]
    assert await large.whole_reads("SELECT id FROM variants WHERE store_id = $1 AND id = $2") == []
    assert await large.whole_reads("SELECT id FROM stores") == []


async def page(large: Large, path: str) -> tuple[list[int], dict[str, Any]]:
    answer = await large.client.get(f"/storefront/v1{path}")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return [item["id"] for item in found["items"]], found["_meta"]


@pytest.mark.parametrize("search", ["/products/search?q=camp", "/products/variants?search=tent"])
async def test_a_broad_search_pages_through_a_thousand_and_says_that_there_are_more(
    large: Large, search: str
):
    shown: list[int] = []
    for number in range(1, 11):
        found, meta = await page(large, f"{search}&limit=100&page={number}")
        assert (meta["totalCount"], meta["pageCount"]) == (MOST_FOUND, 10)
        assert meta["totalIsMinimum"] is True
        shown += found
    assert len(set(shown)) == MOST_FOUND
    assert await page(large, f"{search}&limit=100&page=11") == ([], {**meta, "currentPage": 11})


async def test_first_letters_are_looked_for_among_what_sells_and_say_that_there_are_more(large: Large):
    _, meta = await page(large, "/products/search?q=c&limit=100")
    assert ENOUGH <= meta["totalCount"] <= BEST_SELLERS
    assert meta["totalIsMinimum"] is True
    last, _ = await page(large, f"/products/search?q=c&limit=100&page={meta['pageCount']}")
    assert len(last) == (meta["totalCount"] - 1) % 100 + 1


async def test_first_letters_that_nothing_much_begins_with_find_all_that_does(large: Large):
    await large.database.execute(
        "UPDATE products SET search = search || 'zq1x'::tsvector WHERE id % 1000 = 7"
    )
    count = await large.database.fetchval(
        "SELECT count(*) FROM products WHERE listed AND search @@ 'zq:*'::tsquery"
    )
    assert count > 10
    _, meta = await page(large, "/products/search?q=zq")
    assert (meta["totalCount"], meta.get("totalIsMinimum")) == (count, None)


async def test_a_search_with_fewer_hits_counts_them_all(large: Large):
    words = (
        "search @@ (to_tsquery('storefront_english', 'lamp') || to_tsquery('storefront_simple', 'lamp:*'))"
    )
    products = await large.database.fetchval(f"SELECT count(*) FROM products WHERE listed AND {words}")
    assert 900 < products <= MOST_FOUND
    _, meta = await page(large, "/products/search?q=lamp")
    assert (meta["totalCount"], meta.get("totalIsMinimum")) == (products, None)


@pytest.mark.parametrize(
    ("query", "handle"), [("tent", "tarnside-dome-tent-150"), ("t", "tarnside-dome-tent-140")]
)
async def test_a_broad_search_knows_what_sells_wherever_it_stands(large: Large, query: str, handle: str):
    sell = "UPDATE products SET sold = 1000000000 WHERE handle = $1 RETURNING lead_variant_id"
    variant = await large.database.fetchval(sell, handle)
    found, _ = await page(large, f"/products/search?q={query}&limit=100")
    assert variant in found
    found, _ = await page(large, f"/products/variants?search={query}&limit=100")
    assert variant in found


async def test_a_broad_search_is_ordered_as_asked(large: Large):
    answer = await large.client.get("/storefront/v1/products/variants?search=camp&order_by=price&limit=100")
    prices = [item["price"] for item in answer.json()["items"]]
    assert prices == sorted(prices)
    assert len(set(prices)) > 1


async def test_what_sells_best_is_what_was_counted_of_each_variant(large: Large):
    answer = await large.client.get("/storefront/v1/products/best-selling")
    found = [(item["quantity"], item["amount"]) for item in answer.json()]
    counted = await large.database.fetch(
        "SELECT sold, sold_amount FROM variants WHERE listed ORDER BY sold DESC, sold_amount DESC LIMIT 50"
    )
    assert found == [tuple(row) for row in counted]


async def test_what_is_taken_off_sale_is_not_shown_by_a_broad_search(large: Large):
    (gone, *others), _ = await page(large, "/products/search?q=la")
    sql = "UPDATE products SET status = $2 WHERE id = (SELECT product_id FROM variants WHERE id = $1)"
    await large.database.execute(sql, gone, "draft")
    found, _ = await page(large, "/products/search?q=la")
    assert gone not in found
    assert set(others) <= set(found)
    await large.database.execute(sql, gone, "active")
