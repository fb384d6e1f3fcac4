"""What an address of the shop stands for, today and after its handle has changed."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.db.session import Sessions, create_engine, transaction
from app.domain.catalogue.arranging import CategoryDraft, CollectionDraft, apply_category, apply_collection
from app.domain.catalogue.service import save_product
from app.domain.content.service import BlogCategoryDraft, ContentFile, PageDraft, PostDraft, apply_content
from app.domain.stores.models import Store
from app.domain.stores.service import create_store
from app.kit.clock import utc_now
from tests.api.catalogue_shop import Shelf, fill, simple
from tests.api.test_statements import counted
from tests.domain.product_files import load_file, table_bytes

__all__ = ["counted"]


@pytest.fixture
async def shelf(client, sessions: Sessions, store: Store) -> Shelf:
    ids = await fill(sessions, store)
    now = utc_now()
    texts = ContentFile(
        blog_categories=(BlogCategoryDraft("trips", "Trips"),),
        posts=(
            PostDraft("first-night", "First night", category="trips", content="<p>Cold.</p>"),
            PostDraft("to-come", "To come", published_at=now + timedelta(days=1)),
        ),
        pages=(PageDraft("contact", "Contact", content="<p>Write.</p>"), PageDraft("kettle", "On kettles")),
    )
    async with transaction(sessions) as session:
        await apply_content(session, store.id, texts, now=now)
    return Shelf(client, store, ids)


async def resolved(shelf: Shelf, *segments: str) -> tuple[str, Any]:
    query = dict(zip(("first", "second", "third"), segments, strict=False))
    found = await shelf.json("/resolve", params=query)
    return found["type"], found["object"]


@pytest.mark.parametrize(
    ("address", "kind", "title"),
    [
        ("products/kettle", "product", "Basecamp Kettle"),
        ("collections/by-hand", "collection", "By Hand"),
        ("category/camp", "category", "Camp"),
        ("categories/camp", "category", "Camp"),
        ("pages/contact", "page", "Contact"),
        ("blog/trips", "blog_category", "Trips"),
        ("blog/first-night", "blog_post", "First night"),
        ("blog/trips/first-night", "blog_post", "First night"),
        ("trips/first-night", "blog_post", "First night"),
        ("contact", "page", "Contact"),
        ("kettle", "page", "On kettles"),
        ("outdoor", "category", "Outdoor"),
        ("by-hand", "collection", "By Hand"),
        ("ridge-tent", "product", "Ridge Tent"),
        ("outdoor/camp", "category", "Camp"),
        ("outdoor/camp/ridge-tent", "product", "Ridge Tent"),
        ("collections/by-hand/kettle", "product", "Basecamp Kettle"),
    ],
)
async def test_an_address_stands_for_what_the_call_for_it_answers(shelf, address, kind, title):
    found, thing = await resolved(shelf, *address.split("/"))
    assert (found, thing["title"]) == (kind, title)


async def test_the_object_is_the_one_of_its_own_call(shelf):
    assert (await resolved(shelf, "products", "kettle"))[1] == await shelf.json("/products/kettle")
    for address in ("collections/by-hand", "category/camp"):
        page = await shelf.json(f"/{address}")
        assert (await resolved(shelf, *address.split("/")))[1] == page["items"][0]


async def test_a_product_and_the_id_of_its_variant_stand_for_the_variant(shelf):
    tent = await shelf.json("/products/ridge-tent")
    second = tent["variants"][1]["id"]
    for address in (("products", "ridge-tent", str(second)), ("ridge-tent", str(second))):
        kind, thing = await resolved(shelf, *address)
        assert (kind, thing) == ("variant", await shelf.json(f"/products/variants/{second}"))
    other = await shelf.get(
        "/resolve", params={"first": "products", "second": "kettle", "third": str(second)}
    )
    assert other.status_code == 404


@pytest.mark.parametrize(
    "address",
    [
        "no-such-thing",
        "products/hidden-draft",
        "products/unpublished",
        "collections/secret",
        "blog/to-come",
        "pages/kettle/kettle",
        "nowhere/ridge-tent",
        "secret/kettle",
        "outdoor/nowhere/ridge-tent",
        "products/ridge-tent/99999999999999999999",
        "products/ridge-tent/٣",
    ],
)
async def test_what_no_shopper_can_see_is_not_found(shelf, address):
    query = dict(zip(("first", "second", "third"), address.split("/"), strict=False))
    answer = await shelf.get("/resolve", params=query)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def rename(sessions, shelf: Shelf, old: str, new: str) -> None:
    async with transaction(sessions) as session:
        draft = simple(new, "Basecamp Kettle", 3900, former_handle=old)
        assert await save_product(session, shelf.store.id, draft, now=utc_now()) == shelf.ids["kettle"]


async def test_a_renamed_product_is_found_by_all_its_former_handles_for_good(shelf, sessions):
    await rename(sessions, shelf, "kettle", "camp-kettle")
    await rename(sessions, shelf, "camp-kettle", "tin-kettle")
    expected = {"type": "product", "handle": "tin-kettle", "path": "/products/tin-kettle", "status": 301}
    for old in ("kettle", "camp-kettle"):
        assert await resolved(shelf, "products", old) == ("redirect", expected)
    assert await resolved(shelf, "collections", "by-hand", "kettle") == ("redirect", expected)
    assert (await resolved(shelf, "products", "tin-kettle"))[1]["handle"] == "tin-kettle"
    variant = (await shelf.json("/products/tin-kettle"))["variants"][0]["id"]
    moved = (await resolved(shelf, "products", "kettle", str(variant)))[1]
    assert (moved["type"], moved["path"]) == ("variant", f"/products/tin-kettle?variant={variant}")


async def test_a_handle_that_is_given_out_anew_stands_for_its_new_owner(shelf, sessions):
    await rename(sessions, shelf, "kettle", "camp-kettle")
    async with transaction(sessions) as session:
        await save_product(session, shelf.store.id, simple("kettle", "Big Kettle", 5900), now=utc_now())
    assert (await resolved(shelf, "products", "kettle"))[1]["title"] == "Big Kettle"
    assert (await resolved(shelf, "products", "camp-kettle"))[0] == "product"
    # Of two that had it once, the later one is meant.
    async with transaction(sessions) as session:
        draft = simple("big-kettle", "Big Kettle", 5900, former_handle="kettle")
        await save_product(session, shelf.store.id, draft, now=utc_now())
    assert (await resolved(shelf, "products", "kettle"))[1]["handle"] == "big-kettle"


async def test_texts_under_a_new_slug_keep_their_ids_and_leave_redirects(shelf, sessions):
    before = {
        path: (await resolved(shelf, *path.split("/")))[1]["id"] for path in ("pages/contact", "blog/trips")
    }
    renamed = ContentFile(
        blog_categories=(BlogCategoryDraft("journeys", "Trips", former_slug="trips"),),
        posts=(PostDraft("night-one", "First night", category="journeys", former_slug="first-night"),),
        pages=(PageDraft("write-us", "Contact", former_slug="contact"),),
    )
    async with transaction(sessions) as session:
        changes = await apply_content(session, shelf.store.id, renamed, now=utc_now())
    assert "pages: contact is now write-us" in changes
    for old, new in (("pages/contact", "pages/write-us"), ("blog/trips", "blog/journeys")):
        kind, moved = await resolved(shelf, *old.split("/"))
        assert (kind, moved["path"]) == ("redirect", f"/{new}")
        assert (await resolved(shelf, *new.split("/")))[1]["id"] == before[old]
    assert (await resolved(shelf, "blog", "trips", "first-night"))[1]["path"] == "/blog/night-one"
    async with transaction(sessions) as session:
        assert await apply_content(session, shelf.store.id, renamed, now=utc_now()) == []


async def test_a_slug_that_is_taken_is_not_given_to_another_text(shelf, sessions):
    taken = ContentFile(pages=(PageDraft("kettle", "On kettles", former_slug="contact"),))
    async with transaction(sessions) as session:
        await apply_content(session, shelf.store.id, taken, now=utc_now())
    assert (await resolved(shelf, "pages", "contact"))[1]["title"] == "Contact"
    assert (await resolved(shelf, "pages", "kettle"))[1]["title"] == "On kettles"


async def test_a_former_handle_that_is_taken_again_by_its_product_is_no_redirect(shelf, sessions):
    await rename(sessions, shelf, "kettle", "camp-kettle")
    await rename(sessions, shelf, "camp-kettle", "kettle")
    assert (await resolved(shelf, "products", "kettle"))[0] == "product"
    assert (await resolved(shelf, "products", "camp-kettle"))[1]["handle"] == "kettle"


async def test_no_redirect_stays_of_a_rename_that_is_rolled_back(shelf, sessions):
    async with sessions() as session:
        draft = simple("other", "Basecamp Kettle", 3900, former_handle="kettle")
        await save_product(session, shelf.store.id, draft, now=utc_now())
        await session.rollback()
    assert (await resolved(shelf, "products", "kettle"))[0] == "product"
    async with sessions() as session:
        query = text("SELECT count(*) FROM redirects WHERE store_id = :store")
        assert await session.scalar(query, {"store": shelf.store.id}) == 0


async def test_the_import_renames_by_its_column_and_leaves_the_redirect(
    shelf, database_url, tmp_path: Path
) -> None:
    file = tmp_path / "products.csv"
    file.write_bytes(
        table_bytes(
            """
            Handle      | Former Handle | Title           | Variant Price
            tin-kettle  | kettle        | Basecamp Kettle | 41.00
            cafe-press  |               | Café Press      | 45.00
            """
        )
    )
    engine = create_engine(database_url, pool_size=2)
    first, issues = await load_file(engine, shelf.store, file)
    again, _ = await load_file(engine, shelf.store, file)
    await engine.dispose()
    assert issues == []
    assert (first.outcome.created, first.outcome.updated, again.outcome.unchanged) == (0, 1, 2)
    kind, moved = await resolved(shelf, "products", "kettle")
    assert (kind, moved["path"]) == ("redirect", "/products/tin-kettle")
    product = await shelf.json("/products/tin-kettle")
    assert (product["id"], product["variants"][0]["price"]) == (shelf.ids["kettle"], 4100)
    assert product["variants"][0]["url"].startswith("/products/tin-kettle?")


async def test_renamed_collections_categories_and_texts_leave_a_redirect(shelf, sessions):
    now, store_id = utc_now(), shelf.store.id
    async with transaction(sessions) as session:
        draft = CollectionDraft("picked", "Picked", former_handle="by-hand", products=("kettle",))
        await apply_collection(session, store_id, draft, now=now)
        await apply_category(
            session,
            store_id,
            CategoryDraft("tents", "Tents", former_handle="camp", parent="outdoor"),
            now=now,
        )
        for table in ("pages", "blog_posts", "blog_categories"):
            query = text(f"UPDATE {table} SET slug = 'new-' || slug WHERE store_id = :store")
            await session.execute(query, {"store": store_id})
    for address, path in (
        ("collections/by-hand", "/collections/picked"),
        ("category/camp", "/category/tents"),
        ("pages/contact", "/pages/new-contact"),
        ("blog/first-night", "/blog/new-first-night"),
        ("blog/trips/first-night", "/blog/new-first-night"),
        ("blog/trips", "/blog/new-trips"),
    ):
        kind, moved = await resolved(shelf, *address.split("/"))
        assert (kind, moved["path"]) == ("redirect", path)


async def test_another_stores_addresses_are_none_of_ours(shelf, sessions, client):
    async with transaction(sessions) as session:
        other = await create_store(session, code=f"{shelf.store.code}-2", name="Other", currency="USD")
    away = Shelf(client, other, {})
    assert (await away.get("/resolve?first=products&second=kettle")).status_code == 404


async def test_resolving_takes_2_statements_and_a_redirect_1(shelf, sessions, counted):
    await resolved(shelf, "contact")
    for address in ("outdoor/camp/ridge-tent", "contact", "blog/trips/first-night"):
        with counted() as seen:
            await resolved(shelf, *address.split("/"))
        assert seen == ["read", "read"], address
    await rename(sessions, shelf, "kettle", "tin-kettle")
    with counted() as seen:
        await resolved(shelf, "products", "kettle")
    assert seen == ["read"]


async def test_a_tag_does_not_outlive_a_text_that_is_hidden_renamed_or_put_before_something_else(
    shelf, sessions
):
    async def unchanged(address: str, tag: str) -> int:
        return (await shelf.get(address, headers={"If-None-Match": tag})).status_code

    # What a text is behind, and what one would come before: `by-hand` alone could be a page.
    contact, by_hand, tent = "first=contact", "first=by-hand", "first=products&second=ridge-tent"
    asked = [f"/resolve?{query}" for query in (contact, by_hand, tent)]
    tags = [(await shelf.get(address)).headers["ETag"] for address in asked]
    async with transaction(sessions) as session:
        hidden = text("UPDATE pages SET visible = false WHERE store_id = :store AND slug = 'contact'")
        await session.execute(hidden, {"store": shelf.store.id})
        texts = ContentFile(pages=(PageDraft("by-hand", "Made by hand"),))
        await apply_content(session, shelf.store.id, texts, now=utc_now())
    answers = [await unchanged(address, tag) for address, tag in zip(asked, tags, strict=True)]
    assert answers == [404, 200, 304]
    assert (await resolved(shelf, "by-hand"))[1]["title"] == "Made by hand"


async def test_an_answer_is_kept_by_its_tag(shelf):
    first = await shelf.get("/resolve?first=contact")
    again = await shelf.get("/resolve?first=contact", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
