"""Orders, pages and filters of the catalogue's lists, and what sells best."""

from typing import Any

import pytest
from sqlalchemy import text

from app.db.session import Sessions, transaction
from app.domain.catalogue.arranging import CategoryDraft, CollectionDraft, apply_category, apply_collection
from app.domain.catalogue.drafts import ImageDraft, OptionDraft, ProductDraft, StockDraft, VariantDraft
from app.domain.catalogue.pieces import VARIANT_EXPANDS
from app.domain.catalogue.rules import Rule
from app.domain.catalogue.service import save_products
from app.domain.stores.models import Store
from app.kit.clock import utc_now
from tests.api.test_statements import counted
from tests.shop import Guest

__all__ = ["counted"]

COLOURS = ("Red", "Blue")
SIZES = ("S", "M")


def cup(handle: str, title: str, price: int) -> ProductDraft:
    return ProductDraft(
        handle=handle,
        title=title,
        type="Cups",
        images=(ImageDraft(src=f"https://cdn.example.com/{handle}.png"),),
        variants=(VariantDraft(price=price, stock=StockDraft(on_hand=8)),),
    )


def shirt(handle: str, title: str, price: int) -> ProductDraft:
    """Four variants, each a little dearer than the one before."""
    return ProductDraft(
        handle=handle,
        title=title,
        type="Shirts",
        options=(OptionDraft("Shirt Colour", COLOURS), OptionDraft("Size", SIZES)),
        variants=tuple(
            VariantDraft(price=price + 100 * place, values=values, stock=StockDraft(on_hand=5))
            for place, values in enumerate((colour, size) for colour in COLOURS for size in SIZES)
        ),
    )


# Everything, so that what is saved later comes in too.
PRICED = (Rule("price", "greater_than", "0.00"),)


@pytest.fixture
async def shelf(sessions: Sessions, store: Store) -> None:
    drafts = [
        cup("tin-cup", "Tin Cup", 900),
        cup("bone-cup", "Bone Cup", 1800),
        shirt("wool-shirt", "Wool Shirt", 4200),
        shirt("linen-shirt", "Linen Shirt", 3000),
    ]
    now = utc_now()
    async with transaction(sessions) as session:
        await save_products(session, store.id, drafts, now=now)
        for collection in (
            CollectionDraft("by-hand", "By hand", products=("tin-cup", "wool-shirt", "bone-cup")),
            CollectionDraft("all", "All", products=tuple(draft.handle for draft in drafts)),
            CollectionDraft("priced", "Priced", rules=PRICED, sort_order="title"),
        ):
            await apply_collection(session, store.id, collection, now=now)
        for category in (
            CategoryDraft("home", "Home"),
            CategoryDraft("table", "Table", parent="home", collections=("by-hand", "all")),
            CategoryDraft("new", "New", collections=("priced",)),
        ):
            await apply_category(session, store.id, category, now=now)


async def _json(guest: Guest, path: str) -> Any:
    answer = await guest.call("GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["tin-cup", "wool-shirt", "bone-cup"]),
        ("?order_type=desc", ["bone-cup", "wool-shirt", "tin-cup"]),
        ("?order_by=price", ["tin-cup", "bone-cup", "wool-shirt"]),
        ("?order_by=price&order_type=desc", ["wool-shirt", "bone-cup", "tin-cup"]),
        ("?order_by=title", ["bone-cup", "tin-cup", "wool-shirt"]),
    ],
)
async def test_products_of_a_collection_are_ordered(
    guest: Guest, shelf: None, query: str, expected: list[str]
) -> None:
    page = await _json(guest, f"/collections/by-hand/products{query}")
    assert [item["handle"] for item in page["items"]] == expected


async def test_titles_are_ordered_whatever_their_capitals_and_accents(
    guest: Guest, sessions: Sessions, store: Store
) -> None:
    titles = ["Élan jug", "zinc pot", "Zither", "apple bowl", "Ähre", "Earl cup", "enamel mug"]
    expected = ["Ähre", "apple bowl", "Earl cup", "Élan jug", "enamel mug", "zinc pot", "Zither"]
    now = utc_now()
    async with transaction(sessions) as session:
        drafts = [cup(f"t-{place}", title, 100) for place, title in enumerate(titles)]
        await save_products(session, store.id, drafts, now=now)
        for place, title in enumerate(titles):
            order = "title" if place == 0 else "manual"
            draft = CollectionDraft(f"c-{place}", title, rules=PRICED, sort_order=order)
            await apply_collection(session, store.id, draft, now=now)
        await apply_category(session, store.id, CategoryDraft("k", "K", collections=("c-0",)), now=now)
    for path in (
        "/products/variants?order_by=title",
        "/collections/c-1/products?order_by=title",
        "/collections/c-0/products?x=1",
        "/category/k/products?x=1",
        "/collections?x=1",
    ):
        backwards = [] if path == "/collections?x=1" else expected[::-1]
        for way, wanted in (("asc", expected), ("desc", backwards)):
            found: list[str] = []
            address = f"/storefront/v1{path}&order_type={way}&limit=3" if wanted else None
            while address:
                page = (await guest.call("GET", address.removeprefix("/storefront/v1"))).json()
                found += [item["title"] for item in page["items"]]
                address = page["_links"]["next"]["href"]
            assert found == wanted, (path, way)


@pytest.mark.parametrize(
    "path",
    [
        *(
            f"/products/variants?order_by={order}&order_type={way}{search}"
            for order in ("date", "title", "price", "best_selling", "search_match", "review_rating")
            for way in ("asc", "desc")
            for search in ("", "&search=shirt")
        ),
        *(
            f"/{group}/products?order_by={order}"
            for group in ("collections/all", "category/home")
            for order in ("date", "title", "price", "best_selling", "published_at")
        ),
        "/products/search?q=cup",
        "/products?x=1",
    ],
)
async def test_pages_neither_repeat_nor_skip(guest: Guest, shelf: None, path: str) -> None:
    whole = await _json(guest, path)
    seen = []
    for number in range(1, 6):
        seen += [item["id"] for item in (await _json(guest, f"{path}&limit=2&page={number}"))["items"]]
    assert seen == [item["id"] for item in whole["items"]]
    assert len(set(seen)) == whole["_meta"]["totalCount"] > 0


@pytest.mark.parametrize(
    "path",
    [
        *(
            f"/products/variants?order_by={order}&order_type={way}{more}"
            for order in ("date", "title", "price", "best_selling", "search_match", "review_rating")
            for way in ("asc", "desc")
            for more in ("", "&price_from=3000")
        ),
        "/products?x=1",
        *(
            f"/{group}/products?order_type={way}"
            for group in ("collections/priced", "category/new")
            for way in ("asc", "desc")
        ),
    ],
)
async def test_following_next_shows_all_once_while_others_come_in(
    guest: Guest, shelf: None, sessions: Sessions, path: str
) -> None:
    before = [item["id"] for item in (await _json(guest, path))["items"]]
    page, seen, number = await _json(guest, f"{path}&limit=2"), [], 0
    while True:
        seen += [item["id"] for item in page["items"]]
        following = page["_links"]["next"]["href"]
        if following is None:
            break
        number += 1
        # One at each end of every order, so that counting rows would go wrong.
        ends = [shirt(f"a-{number}", f"A {number}", 1), cup(f"z-{number}", f"Z {number}", 99_000)]
        async with transaction(sessions) as session:
            await save_products(session, guest.store.id, ends if number < 4 else [], now=utc_now())
        page = await _json(guest, following.removeprefix("/storefront/v1"))
        assert page["_meta"]["currentPage"] == number + 1
        if not page["items"]:
            break
    assert [item for item in seen if item in before] == before
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    "after",
    [
        "x",
        "____",
        "WyJkYXRlIix0cnVlLDEsMV0",
        "WyJwcmljZSIsdHJ1ZSwiYSIsMV0",
        "WyJkYXRlIix0cnVlLCIyMDI2LTAxLTAxVDAwOjAwOjAwIiwxXQ",
        "WyJjb2xsZWN0aW9uIixmYWxzZSwieCB5IiwxXQ",
        "WyJjYXRlZ29yeSIsZmFsc2UsIjk5OTk5OTk5OTk5OTk5OTk5OTkgeSIsMV0",
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        "/products",
        "/products/variants?order_by=date",
        "/products/variants?order_by=price",
        "/collections/all/products",
        "/category/home/products",
    ],
)
async def test_a_cursor_that_is_none_of_this_list_is_a_422(
    guest: Guest, shelf: None, path: str, after: str
) -> None:
    answer = await guest.call("GET", f"{path}{'&' if '?' in path else '?'}after={after}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == "after"


async def test_a_rating_orders_variants_as_it_changes(guest: Guest, shelf: None, sessions: Sessions) -> None:
    async def first() -> tuple[str, str]:
        items = (await _json(guest, "/products/variants?order_by=review_rating"))["items"]
        return items[0]["handle"], items[-1]["handle"]

    for handle, rating in (("bone-cup", 4), ("tin-cup", 5), ("tin-cup", 3)):
        async with transaction(sessions) as session:
            await session.execute(
                text(
                    "INSERT INTO review_stats (store_id, product_id, rating, count) "
                    "SELECT store_id, id, :rating, 1 FROM products WHERE store_id = :store AND handle = :handle "
                    "ON CONFLICT (store_id, product_id) DO UPDATE SET rating = excluded.rating"
                ),
                {"store": guest.store.id, "handle": handle, "rating": rating},
            )
        assert (await first())[0] == {4: "bone-cup", 5: "tin-cup", 3: "bone-cup"}[rating]
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM review_stats WHERE store_id = :id"), {"id": guest.store.id})
        rated = await session.scalar(
            text("SELECT count(*) FROM variants WHERE store_id = :id AND rating > 0"), {"id": guest.store.id}
        )
    assert rated == 0


async def test_a_filtered_product_is_shown_by_the_variant_that_fits(guest: Guest, shelf: None) -> None:
    page = await _json(guest, "/collections/by-hand/products?shirt-colour[]=blue&size[]=m&size[]=xl")
    assert [item["variant_title"] for item in page["items"]] == ["Blue / M"]
    assert page["_meta"]["totalCount"] == 1


@pytest.mark.parametrize("of", ["collections/all", "category/table"])
async def test_a_product_is_shown_alike_on_whichever_way_it_is_found(
    guest: Guest, shelf: None, sessions: Sessions, store: Store, of: str
) -> None:
    """Ready-made on a shelf's own pages, put together for those in another order: field for field the same."""
    async with transaction(sessions) as session:
        uncounted = "SELECT lead_variant_id FROM products WHERE handle IN ('tin-cup', 'wool-shirt')"
        await session.execute(
            text(f"DELETE FROM stock_items WHERE store_id = :s AND variant_id IN ({uncounted})"),
            {"s": store.id},
        )
    for query in ("", f"&expand={','.join(sorted(VARIANT_EXPANDS))}"):
        own = await _json(guest, f"/{of}/products?limit=50{query}")
        ordered = await _json(guest, f"/{of}/products?limit=50&order_by=title{query}")
        assert len(own["items"]) == 4
        assert by_id(own) == by_id(ordered)
        assert own["_meta"] == ordered["_meta"]


def by_id(page: Any) -> dict[int, Any]:
    return {item["id"]: item for item in page["items"]}


async def test_groups_say_what_can_be_filtered_in_the_options_own_order(guest: Guest, shelf: None) -> None:
    for path, shirts in (("/collections/by-hand", 1), ("/collections/all", 2), ("/category/home", 2)):
        found = [one for one in (await _json(guest, path))["filters"] if one["kind"] == "option"]
        assert [(one["name"], [(v["name"], v["count"]) for v in one["values"]]) for one in found] == [
            ("Shirt Colour", [("Red", shirts), ("Blue", shirts)]),
            ("Size", [("S", shirts), ("M", shirts)]),
        ]


async def test_variants_of_a_product_that_matches_stay_in_their_order(guest: Guest, shelf: None) -> None:
    page = await _json(guest, "/products/variants?search=wool+shirt")
    assert [item["variant_title"] for item in page["items"]] == ["Red / S", "Red / M", "Blue / S", "Blue / M"]


async def test_reviews_and_questions_come_when_asked_for(guest: Guest, shelf: None) -> None:
    item = (await _json(guest, "/collections/all/products?expand=reviews,questions"))["items"][0]
    assert item["reviews"] == item["questions"] == {"count": 0, "list": []}
    detail = await _json(guest, f"/products/variants/{item['id']}?expand=reviews,questions")
    assert (detail["reviews"], detail["reviews_info"]) == (
        {"count": 0, "list": []},
        {"rating": 0, "count": 0},
    )


async def test_what_was_bought_is_among_the_best_selling(guest: Guest, shelf: None, counted) -> None:
    assert await _json(guest, "/products/best-selling") == []
    variants = (await _json(guest, "/products/variants?order_by=price"))["items"]
    for variant, quantity in ((variants[0], 3), (variants[1], 1)):
        guest.cart_uuid = ""
        checkout = await guest.prepare(variant["id"], quantity)
        paid = await guest.pay(checkout["totals"]["total"])
        assert paid.status_code == 204, paid.text
    with counted() as statements:
        found = await _json(guest, "/products/best-selling")
    assert statements == ["read"]
    assert [(one["product_variant"]["id"], one["quantity"], one["amount"]) for one in found] == [
        (variants[0]["id"], 3, 2700),
        (variants[1]["id"], 1, 1800),
    ]


async def test_best_selling_forgets_what_was_cancelled_or_is_91_days_old(
    guest: Guest, shelf: None, sessions: Sessions, store: Store
) -> None:
    variants = (await _json(guest, "/products/variants?order_by=price"))["items"]
    for variant in variants[:3]:
        guest.cart_uuid = ""
        checkout = await guest.prepare(variant["id"])
        assert (await guest.pay(checkout["totals"]["total"])).status_code == 204
    changes = (
        ("placed_at = now() - interval '91 days'", variants[0]["id"]),
        ("status = 'cancelled'", variants[1]["id"]),
        ("placed_at = now() - interval '89 days'", variants[2]["id"]),
    )
    async with transaction(sessions) as session:
        for change, variant_id in changes:
            which = "SELECT order_id FROM order_lines WHERE store_id = :store AND variant_id = :variant"
            await session.execute(
                text(f"UPDATE orders SET {change} WHERE id IN ({which})"),
                {"store": store.id, "variant": variant_id},
            )
    found = await _json(guest, "/products/best-selling")
    assert [one["product_variant"]["id"] for one in found] == [variants[2]["id"]]
