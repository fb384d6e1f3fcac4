"""How many rows a list has is known beside it: exact after every write, whoever wrote and in whichever order."""

import asyncio

import pytest
from sqlalchemy import text

from app.db.session import transaction
from app.domain.catalogue.service import save_products
from app.kit.clock import utc_now
from tests.api.catalogue_shop import fill, simple, tent
from tests.conftest import make_store

COUNTED = text(
    """
    SELECT 'products', 0, count(*) FROM products WHERE store_id = :store AND listed
    UNION ALL SELECT 'variants', 0, count(*) FROM variants WHERE store_id = :store AND listed
    UNION ALL SELECT 'collection_products', collection_id, count(*) FROM collection_products
        WHERE store_id = :store AND listed GROUP BY collection_id
    """
)
KNOWN = text(
    """
    SELECT list, collection_id, sum(size) FROM list_sizes WHERE store_id = :store
    GROUP BY list, collection_id HAVING sum(size) <> 0
    """
)
ROWS = text("SELECT count(*) FROM list_sizes WHERE store_id = :store")
# One after the other, each on what the ones before have left.
CHANGES = (
    "UPDATE products SET status = 'draft' WHERE store_id = :store AND handle = 'kettle'",
    "UPDATE variants SET listed = false WHERE store_id = :store AND sku = 'KETTLE'",
    "UPDATE collection_products SET listed = NOT listed WHERE store_id = :store",
    "UPDATE products SET status = 'active', published = true WHERE store_id = :store",
    "UPDATE variants SET price = price + 1, sold = 3 WHERE store_id = :store",
    "UPDATE variants SET listed = true WHERE store_id = :store",
    "UPDATE collection_products SET position = position + 1, listed = true WHERE store_id = :store",
    "DELETE FROM collection_products WHERE store_id = :store AND product_id % 2 = 0",
    "DELETE FROM products WHERE store_id = :store AND handle = 'squall-jacket'",
    "DELETE FROM collections WHERE store_id = :store AND handle = 'secret'",
)


@pytest.fixture
async def shop(sessions, store):
    await fill(sessions, store)
    return store


async def sizes(session, query, store) -> set[tuple[str, int, int]]:
    rows = await session.execute(query, {"store": store.id})
    return {tuple(row) for row in rows if row[2]}


async def test_after_each_write_the_size_of_every_list_is_its_count(sessions, shop):
    other = await make_store(sessions)
    await fill(sessions, other)
    async with sessions() as session:
        untouched = await sizes(session, COUNTED, other)
    assert {name for name, _, _ in untouched} == {"products", "variants", "collection_products"}
    for change in CHANGES:
        async with transaction(sessions) as session:
            done = await session.execute(text(change), {"store": shop.id})
            assert done.rowcount, change
            # As exact inside the transaction as after it, by the triggers and not by what a commit does.
            assert await sizes(session, KNOWN, shop) == await sizes(session, COUNTED, shop), change
        async with sessions() as session:
            assert await sizes(session, KNOWN, shop) == await sizes(session, COUNTED, shop), change
            assert await sizes(session, KNOWN, other) == untouched, change
    async with transaction(sessions) as session:
        await save_products(session, shop.id, [tent(), simple("mug", "Mug", 700)], now=utc_now())
    async with sessions() as session:
        assert await sizes(session, KNOWN, shop) == await sizes(session, COUNTED, shop)


async def test_a_change_that_is_rolled_back_or_not_committed_counts_for_nobody_else(sessions, shop):
    async with sessions() as reader, sessions() as writer:
        before = await sizes(reader, KNOWN, shop)
        await reader.rollback()
        await writer.execute(text("DELETE FROM products WHERE store_id = :store"), {"store": shop.id})
        assert await sizes(reader, KNOWN, shop) == before
        await writer.rollback()
        assert await sizes(reader, KNOWN, shop) == before


async def test_of_two_writers_of_one_collection_neither_waits(sessions, shop):
    drop = text(
        "DELETE FROM collection_products WHERE store_id = :store AND product_id = "
        "(SELECT product_id FROM collection_products WHERE store_id = :store AND listed"
        " AND collection_id = (SELECT id FROM collections WHERE store_id = :store AND handle = 'by-hand')"
        " ORDER BY 1 OFFSET :place LIMIT 1)"
    )
    async with sessions() as one, sessions() as two, asyncio.timeout(5):
        await one.execute(drop, {"store": shop.id, "place": 0})
        await two.execute(drop, {"store": shop.id, "place": 1})
        await two.commit()
        await one.commit()
    async with sessions() as session:
        assert await sizes(session, KNOWN, shop) == await sizes(session, COUNTED, shop)


async def test_rows_are_added_up_and_nothing_is_lost(sessions, shop):
    flip = text("UPDATE variants SET listed = NOT listed WHERE store_id = :store AND sku = 'KETTLE'")
    for _ in range(201):
        async with transaction(sessions) as session:
            await session.execute(flip, {"store": shop.id})
    async with sessions() as session:
        assert await sizes(session, KNOWN, shop) == await sizes(session, COUNTED, shop)
        assert await session.scalar(ROWS, {"store": shop.id}) <= 150
