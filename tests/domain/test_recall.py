"""Search shows what is meant: the golden queries over the demo shop, mistyped, half typed and the other way round."""

import asyncio
import json
import statistics
from collections.abc import AsyncIterator

import pytest

from app.cli.demo import load_demo_if_empty
from app.db.reads import Reads
from app.domain.discovery.queries import Wanted, search_products
from app.domain.stores.directory import StoreDirectory
from app.kit.clock import utc_now
from app.kit.paging import PageRequest
from app.settings import load_settings
from tests.benchmarks.recall import FIRST, WANTED, golden_queries
from tests.conftest import fresh_database


@pytest.fixture(scope="module")
async def demo(database_server: str) -> AsyncIterator[Reads]:
    """A database with the demo shop in it."""
    async with fresh_database(database_server) as url:
        await asyncio.to_thread(load_demo_if_empty, load_settings({"DATABASE_URL": url}))
        reads = Reads(url, size=2)
        yield reads
        await reads.close()


def test_there_are_at_least_sixty_golden_queries_of_at_most_ten_products_each():
    queries = golden_queries()
    assert len(queries) >= 60
    assert len({golden.query for golden in queries}) == len(queries)
    assert all(1 <= len(golden.means) <= FIRST for golden in queries)


async def test_nine_of_ten_products_that_are_meant_stand_among_the_first_ten(demo, figure):
    store = await StoreDirectory(demo).find(code="", host="")
    known = {row["handle"] for row in await demo.fetch("SELECT handle FROM products WHERE listed")}
    recalls, misses = [], []
    for golden in golden_queries():
        assert known.issuperset(golden.means), golden
        wanted = Wanted(golden.query, store.language, store.search.synonyms)
        found = await search_products(demo, store.id, wanted, PageRequest(1, FIRST), now=utc_now())
        shown = [item["handle"] for item in json.loads(b"[%b]" % found.text)]
        recalls.append(golden.recall(shown))
        if missed := golden.missed(shown):
            misses.append((golden.query, missed, shown[:5]))
    recall = statistics.mean(recalls)
    figure(f"recall at {FIRST} over {len(recalls)} golden queries: {recall:.3f}")
    assert recall >= WANTED, "\n".join(map(str, misses))
