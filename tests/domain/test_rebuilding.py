"""Every write that matters reaches the documents: after any writes, making all of them anew changes nothing."""

import asyncio
from random import Random

import msgspec
import pytest
from click.testing import CliRunner
from sqlalchemy import text

from app.cli import main
from app.cli.rebuild import command
from app.db.session import transaction
from app.domain.catalogue.arranging import CollectionDraft, apply_collection
from app.domain.catalogue.image_addresses import move_images
from app.domain.catalogue.refreshing import rebuild_products
from app.domain.catalogue.rules import Rule
from app.domain.catalogue.service import save_products, set_related
from app.kit.clock import utc_now
from tests.api.catalogue_shop import DRAFTS, fill, tent

DERIVED = (
    "SELECT d FROM variant_documents d WHERE store_id = :store",
    "SELECT d FROM shelf_documents d WHERE store_id = :store",
    "SELECT product_id, brief, images, options FROM product_documents WHERE store_id = :store",
    "SELECT id, lead_variant_id, search::text FROM products WHERE store_id = :store",
    "SELECT id, listed, type_id, full_title, facets FROM variants WHERE store_id = :store",
    "SELECT m FROM collection_products m WHERE store_id = :store",
    "SELECT variant_id, rgb FROM variant_colors WHERE store_id = :store",
)


async def derived(sessions, store) -> list:
    async with sessions() as session:
        return [sorted(map(str, await session.execute(text(sql), {"store": store.id}))) for sql in DERIVED]


async def write_something(session, store, ids: dict[str, int], chance: Random) -> None:
    now = utc_now()
    draft = chance.choice(DRAFTS)
    kind = chance.randrange(7)
    if kind == 0:
        titles = (draft.title, "Another Title", "Zebra")
        changed = tent(
            handle=draft.handle,
            title=chance.choice(titles),
            tags=chance.choice((("a",), ("b", "c"), ())),
            variants=tuple(
                msgspec.structs.replace(variant, price=chance.randrange(100, 30_000))
                for variant in tent().variants
            ),
        )
        await save_products(session, store.id, [changed], now=now)
    elif kind == 1:
        await save_products(session, store.id, [draft], now=now)
    elif kind == 2:
        turned = tent(variants=tent().variants[:: chance.choice((1, -1))], published=chance.random() < 0.5)
        await save_products(session, store.id, [turned], now=now)
    elif kind == 3:
        rules = (Rule("price", "less_than", f"{chance.randrange(20, 300)}.00"),)
        order = chance.choice(("title", "price_ascending", "newest", "manual"))
        wanted = CollectionDraft(handle="under-100", title="Under 100", rules=rules, sort_order=order)
        await apply_collection(session, store.id, wanted, now=now)
    elif kind == 4:
        old, new = chance.sample(("https://img.example/", "https://other.example/"), 2)
        await move_images(session, store.id, old=old, new=new, now=now)
    elif kind == 5:
        await set_related(session, store.id, ids[draft.handle], [], now=now)
    else:
        # As orders do, who count what was sold and take from the stock.
        for change in (
            "UPDATE variants SET sold = sold + 1 WHERE store_id = :store",
            "UPDATE stock_items SET on_hand = on_hand + 1 WHERE store_id = :store",
        ):
            await session.execute(text(change), {"store": store.id})


@pytest.mark.parametrize("seed", range(6))
async def test_after_any_writes_making_the_documents_anew_changes_nothing(sessions, store, seed):
    ids = await fill(sessions, store)
    chance = Random(seed)
    for _ in range(12):
        async with transaction(sessions) as session:
            await write_something(session, store, ids, chance)
    before = await derived(sessions, store)
    async with transaction(sessions) as session:
        assert await rebuild_products(session, store.id, list(ids.values())) == 0
    assert await derived(sessions, store) == before


async def test_documents_that_are_wrong_or_missing_are_mended_and_counted(sessions, store):
    ids = await fill(sessions, store)
    before = await derived(sessions, store)
    async with transaction(sessions) as session:
        for damage in (
            "DELETE FROM product_documents WHERE store_id = :s AND product_id = :p",
            "DELETE FROM variant_documents WHERE store_id = :s AND product_id = :p",
            "UPDATE variant_documents SET price = 1, siblings = NULL WHERE store_id = :s AND page IS NOT NULL",
            "UPDATE shelf_documents SET sold = sold + 1, item = 'x' WHERE store_id = :s AND product_id <> :p",
            "DELETE FROM shelf_documents WHERE store_id = :s AND product_id = :p",
            "UPDATE products SET search = NULL WHERE store_id = :s",
        ):
            values = {"s": store.id} | ({"p": ids["ridge-tent"]} if ":p" in damage else {})
            await session.execute(text(damage), values)
    async with transaction(sessions) as session:
        assert await rebuild_products(session, store.id, list(ids.values())) == 1 + 2 + 5 + 6
    assert await derived(sessions, store) == before


async def test_the_command_goes_through_all_products_of_a_store_and_says_how_many(
    sessions, store, database_url, redis_url, monkeypatch, tmp_path
):
    await fill(sessions, store)
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM product_documents WHERE store_id = :s"), {"s": store.id})
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("STOREFRONT_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("app.cli.rebuild.BATCH", 4)
    told = await run(["--store", store.code])
    assert told.output == f"{store.code}: 6 products, 6 documents were not as they should be.\n"
    assert (await run(["--store", "no-such-store"])).exit_code == 1
    assert "rebuild-documents" in CliRunner().invoke(main, ["--help"]).output


async def run(arguments: list[str]):
    return await asyncio.to_thread(CliRunner().invoke, command, arguments)
