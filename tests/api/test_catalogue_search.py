"""Search over HTTP: words, beginnings, typing errors, accents, SKUs, and questions that are no words."""

import pytest
from sqlalchemy import text

from app.db.session import transaction
from tests.api.catalogue_shop import Shelf, fill


@pytest.fixture
async def shelf(client, sessions, store) -> Shelf:
    return Shelf(client, store, await fill(sessions, store))


async def found(shelf: Shelf, q: str) -> list[str]:
    page = await shelf.json("/products/search", params={"q": q})
    assert page["_meta"]["totalCount"] == len(page["items"])
    return [item["handle"] for item in page["items"]]


@pytest.mark.parametrize(
    ("q", "first"),
    [
        ("ridge tent", "ridge-tent"),
        ("tent ridge", "ridge-tent"),
        ("the tents", "ridge-tent"),
        ("ridg", "ridge-tent"),
        ("rain jack", "squall-jacket"),
        ("ridge tnet", "ridge-tent"),
        ("kettel", "kettle"),
        ("jakcet", "squall-jacket"),
        ("cafe", "cafe-press"),
        ("CAFÉ", "cafe-press"),
        ("TNT-1", "ridge-tent"),
        ("tnt-1", "ridge-tent"),
        ("2000000000010", "ridge-tent"),
        ("fjellbu kettle", "kettle"),
        ("coffee time", "cafe-press"),
        ("shelter", "ridge-tent"),
        ("unicorn kettle", "kettle"),
    ],
)
async def test_what_is_meant_comes_first(shelf, q, first):
    assert (await found(shelf, q))[0] == first


async def test_a_title_comes_before_a_mention(shelf):
    assert await found(shelf, "tent") == ["ridge-tent", "squall-jacket"]


async def test_the_variant_that_fits_is_shown(shelf):
    async def shown(q: str) -> str:
        return (await shelf.json("/products/search", params={"q": q}))["items"][0]["title"]

    assert await shown("tent rust") == "Ridge Tent - Rust"
    assert await shown("TNT-1") == "Ridge Tent - Rust"
    assert await shown("ridge tent") == "Ridge Tent - Pine Green"


async def test_a_code_that_is_typed_whole_finds_what_has_it_alone(shelf, sessions):
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE variants SET sku = 'RT-7-X' WHERE sku = 'TNT-1'"))
        await session.execute(
            text(
                "UPDATE products SET search = to_tsvector('storefront_simple', 'rt 7 x') WHERE handle = 'kettle'"
            )
        )
    assert await found(shelf, "rt-7-x") == ["ridge-tent"]
    assert await found(shelf, "rt 7 x") == ["kettle"]
    assert await found(shelf, "rt-7") == ["kettle"]


@pytest.mark.parametrize(
    "q", ["qzxvjkwq", "hidden draft", "unpublished", "!!!", "' & | ! :* <->", "\\", "()", "🏕", "a" * 200]
)
async def test_what_is_not_on_sale_or_no_word_finds_nothing(shelf, q):
    assert await found(shelf, q) == []


@pytest.mark.parametrize("q", ["", "x" * 201, "\x00"])
async def test_a_query_out_of_bounds_is_refused(shelf, q):
    assert (await shelf.get("/products/search", params={"q": q})).status_code == 422


async def test_search_answers_in_pages_with_extras(shelf):
    page = await shelf.json(
        "/products/search?q=tent&limit=1&page=2&expand=product,all_images,options,related_products"
    )
    assert page["_meta"] == {"totalCount": 2, "pageCount": 2, "currentPage": 2, "perPage": 1}
    item = page["items"][0]
    assert item["product"]["handle"] == "squall-jacket"
    assert item["specifications"]["colour"]["value"] == "Pine Green"
    assert (await shelf.get("/products/search?q=tent&limit=101")).status_code == 422
