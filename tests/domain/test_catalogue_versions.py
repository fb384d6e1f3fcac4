"""The version of a catalogue: every committed change raises it, and none waits for another."""

import asyncio

import pytest
from sqlalchemy import text

from app.db.session import transaction
from tests.api.catalogue_shop import fill
from tests.conftest import make_store

VERSION = text("SELECT coalesce(sum(changes), 0) FROM catalogue_changes WHERE store_id = :store")


@pytest.fixture
async def shop(sessions, store):
    await fill(sessions, store)
    return store


async def version(sessions, store) -> int:
    async with sessions() as session:
        return await session.scalar(VERSION, {"store": store.id})


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE products SET title = title || '!' WHERE store_id = :store",
        "UPDATE product_types SET name = name || '!' WHERE store_id = :store",
        "UPDATE product_options SET name = name || '!' WHERE store_id = :store",
        "UPDATE option_values SET name = name || '!' WHERE store_id = :store",
        "UPDATE variants SET price = price + 1 WHERE store_id = :store",
        "UPDATE variants SET compare_at_price = 1 WHERE store_id = :store",
        "UPDATE variants SET sold = sold + 1 WHERE store_id = :store",
        "UPDATE stock_items SET reserved = reserved + 1 WHERE store_id = :store AND on_hand > 5",
        "UPDATE stock_items SET on_hand = on_hand + 1 WHERE store_id = :store",
        "UPDATE shelf_documents SET item = item WHERE store_id = :store",
        "UPDATE collections SET visible = NOT visible WHERE store_id = :store",
        "UPDATE categories SET title = title || '!' WHERE store_id = :store",
        "UPDATE stores SET settings = settings || '{\"a\": 1}' WHERE id = :store",
        "DELETE FROM collection_products WHERE store_id = :store",
        "DELETE FROM category_collections WHERE store_id = :store",
        "DELETE FROM products WHERE store_id = :store AND handle = 'kettle'",
        "INSERT INTO review_stats (store_id, product_id) SELECT store_id, id FROM products WHERE store_id = :store",
    ],
)
async def test_each_write_that_readers_can_see_raises_the_version_of_its_store_alone(sessions, shop, change):
    other = await make_store(sessions)
    before, before_other = await version(sessions, shop), await version(sessions, other)
    async with transaction(sessions) as session:
        await session.execute(text(change), {"store": shop.id})
        inside = await session.scalar(VERSION, {"store": shop.id})
    assert inside > before
    assert await version(sessions, shop) == inside
    assert await version(sessions, other) == before_other


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE variants SET price = 5 WHERE store_id = -1",
        "INSERT INTO search_words (store_id, word) VALUES (:store, 'quiet') ON CONFLICT DO NOTHING",
    ],
)
async def test_a_write_that_changes_nothing_to_see_leaves_the_version(sessions, shop, change):
    before = await version(sessions, shop)
    async with transaction(sessions) as session:
        await session.execute(text(change), {"store": shop.id} if ":store" in change else {})
    assert await version(sessions, shop) == before


async def test_what_is_rolled_back_was_never_counted(sessions, shop):
    before = await version(sessions, shop)
    async with sessions() as session:
        await session.execute(
            text("UPDATE variants SET price = price + 1 WHERE store_id = :s"), {"s": shop.id}
        )
        await session.rollback()
    assert await version(sessions, shop) == before


@pytest.mark.parametrize("first_to_end", [0, 1])
async def test_of_two_changes_at_once_neither_waits_and_each_commit_is_a_new_version(
    sessions, shop, first_to_end
):
    take = text(
        "UPDATE stock_items SET reserved = reserved + 1 WHERE store_id = :s AND variant_id = "
        "(SELECT variant_id FROM stock_items WHERE store_id = :s AND on_hand > 4 ORDER BY 1 OFFSET :o LIMIT 1)"
    )
    seen = [await version(sessions, shop)]
    async with sessions() as one, sessions() as two, asyncio.timeout(5):
        for place, session in enumerate((one, two)):
            await session.execute(take, {"s": shop.id, "o": place})
        for session in ((one, two), (two, one))[first_to_end]:
            await session.commit()
            seen.append(await version(sessions, shop))
    assert seen == sorted(set(seen))


async def test_changes_are_added_up_and_none_is_lost(sessions, shop):
    before = await version(sessions, shop)
    for _ in range(200):
        async with transaction(sessions) as session:
            await session.execute(
                text("UPDATE stock_items SET on_hand = on_hand + 1 WHERE store_id = :s"), {"s": shop.id}
            )
    assert await version(sessions, shop) == before + 200
    async with sessions() as session:
        rows = await session.scalar(
            text("SELECT count(*) FROM catalogue_changes WHERE store_id = :s"), {"s": shop.id}
        )
    assert rows <= 130


@pytest.mark.parametrize(("documents", "fewest"), [("variant_documents", 8), ("shelf_documents", 6)])
async def test_a_document_follows_the_price_of_its_variant_whoever_sets_it(sessions, shop, documents, fewest):
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE variants SET price = id, compare_at_price = id + 1, sold = 7 WHERE store_id = :s"),
            {"s": shop.id},
        )
        figures = "price, compare_at_price, sold"
        found = await session.execute(
            text(
                f"SELECT variant_id, {figures} FROM {documents} WHERE store_id = :s"
                f" EXCEPT SELECT id, {figures} FROM variants WHERE store_id = :s"
            ),
            {"s": shop.id},
        )
        count = await session.scalar(
            text(f"SELECT count(*) FROM {documents} WHERE store_id = :s"), {"s": shop.id}
        )
    assert (found.all(), count >= fewest) == ([], True)
