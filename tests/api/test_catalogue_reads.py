"""Products, variants, collections and categories over HTTP: what stands in the answers, and what does not."""

import pytest
from sqlalchemy import text

from app.db import versions as versions_module
from app.db.reads import Reads
from app.db.session import transaction
from app.db.versions import Versions
from app.domain.catalogue.pieces import VARIANT_EXPANDS
from app.domain.catalogue.service import save_product
from app.domain.stores import directory
from app.kit.clock import utc_now
from tests.api.catalogue_shop import Shelf, fill, tent
from tests.api.test_statements import known_version
from tests.conftest import make_store


@pytest.fixture
async def shelf(client, sessions, store) -> Shelf:
    # A second store, so that the header decides and nothing leaks between the two.
    await make_store(sessions)
    return Shelf(client, store, await fill(sessions, store))


def handles(page) -> list[str]:
    return [item["handle"] for item in page["items"]]


async def test_products_on_sale_come_with_variants_options_and_images(shelf):
    page = await shelf.json("/products")
    assert page["_meta"] == {"totalCount": 4, "pageCount": 1, "currentPage": 1, "perPage": 16}
    assert set(handles(page)) == {"ridge-tent", "squall-jacket", "kettle", "cafe-press"}
    found = next(item for item in page["items"] if item["handle"] == "ridge-tent")
    assert found["tags"] == "shelter, three-season"
    assert found["product_type"] == "Tents"
    assert found["product_collection"] == "By Hand"
    assert [option["name"] for option in found["options"]] == ["Colour"]
    assert [value["name"] for value in found["options"][0]["values"]] == ["Pine Green", "Rust"]
    assert [image["src"] for image in found["images"]] == [
        "https://img.example/tent-green.jpg",
        "https://img.example/tent-rust.jpg",
    ]
    green, rust = found["variants"]
    assert (green["title"], green["price"], green["compare_at_price"]) == ("Pine Green", 24900, 29900)
    assert (green["inventory_quantity"], green["out_of_stock"], green["weight"]) == (7, False, 2.1)
    assert (rust["out_of_stock"], rust["allow_to_purchase"], rust["compare_at_price"]) == (True, False, None)
    assert rust["image"]["src"] == "https://img.example/tent-rust.jpg"
    assert green["options"][0]["value_name"] == "Pine Green"


async def test_a_product_opens_by_its_handle_and_a_draft_does_not(shelf):
    assert (await shelf.json("/products/ridge-tent"))["id"] == shelf.ids["ridge-tent"]
    for handle in ("hidden-draft", "unpublished", "no-such-handle"):
        answer = await shelf.get(f"/products/{handle}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_another_stores_product_is_a_404(shelf, sessions, client):
    other = await make_store(sessions)
    answer = await client.get("/storefront/v1/products/ridge-tent", headers={"X-Store": other.code})
    assert answer.status_code == 404


async def test_a_variant_carries_its_figures_always_and_extras_when_asked(shelf):
    product = await shelf.json("/products/ridge-tent")
    variant_id = product["variants"][0]["id"]
    plain = await shelf.json(f"/products/variants/{variant_id}")
    assert plain["title"] == "Ridge Tent - Pine Green"
    assert plain["origin_title"] == "Ridge Tent"
    assert plain["url"] == f"/products/ridge-tent?variant={variant_id}"
    assert plain["reviews_info"] == {"rating": 0, "count": 0}
    assert plain["questions_info"] == {"count": 0}
    assert {spec["key"]: spec["value"] for spec in plain["specifications"]} == {
        "sku": "TNT-0",
        "barcode": "2000000000000",
        "vendor": "Fjellbu",
        "colour": "Pine Green",
        "weight": "2.1 kg",
        "poles": "Aluminium",
    }
    assert not VARIANT_EXPANDS & set(plain)
    full = await shelf.json(f"/products/variants/{variant_id}?expand={','.join(VARIANT_EXPANDS)}")
    assert full["product"]["id"] == product["id"]
    assert full["product"]["tags"] == ["shelter", "three-season"]
    assert [image["variant_id"] for image in full["all_images"]] == [v["id"] for v in product["variants"]]
    assert full["options"][0]["name"] == "Colour"
    assert full["related_products"] == []


async def test_review_figures_come_from_their_table(shelf, sessions, store):
    variant_id = (await shelf.json("/products/ridge-tent"))["variants"][0]["id"]
    async with transaction(sessions) as session:
        await session.execute(
            text(
                "INSERT INTO review_stats (store_id, product_id, rating, count, questions)"
                " SELECT store_id, product_id, 4.5, 2, 3 FROM variants WHERE store_id = :store AND id = :variant"
            ),
            {"store": store.id, "variant": variant_id},
        )
    found = await shelf.json(f"/products/variants/{variant_id}")
    assert found["reviews_info"] == {"rating": 4.5, "count": 2}
    assert found["questions_info"] == {"count": 3}
    first = (await shelf.json("/products/variants?order_by=review_rating&limit=1"))["items"][0]
    assert first["product_id"] == found["product_id"]


async def test_shoppers_words_are_told_without_their_mail_addresses(shelf, sessions, store):
    variant = (await shelf.json("/products/ridge-tent"))["variants"][0]
    async with transaction(sessions) as session:
        await session.execute(
            text(
                "INSERT INTO product_reviews (store_id, product_id, variant_id, rating, title, user_name,"
                " user_email, status) VALUES"
                " (:store, :product, :variant, 4.5, 'Dry', 'Ada', 'ada@example.com', 'approved'),"
                " (:store, :product, :variant, 1, 'Wet', 'Bob', 'bob@example.com', 'pending')"
            ),
            {"store": store.id, "product": variant["product_id"], "variant": variant["id"]},
        )
    path = f"/products/variants/{variant['id']}?expand=reviews,questions"
    found = await shelf.json(path)
    (told,) = found["reviews"]["list"]
    assert (found["reviews"]["count"], told["review_title"], told["rating"]) == (1, "Dry", 4.5)
    assert told["user_email"] == ""
    assert found["questions"] == {"count": 0, "list": []}


@pytest.mark.parametrize("wrong", ["0", "9007199254740991", "99999999999999999999"])
async def test_an_unknown_variant_is_refused(shelf, wrong):
    assert (await shelf.get(f"/products/variants/{wrong}")).status_code in {404, 422}


async def test_variants_filter_by_type_and_option_and_both(shelf):
    types = {entry["name"]: entry for entry in await shelf.json("/products/types")}
    assert set(types) == {"Tents", "Jackets", "Kitchen"}
    assert types["Jackets"]["options"] == {"Colour": ["Pine Green", "Rust"], "Size": ["S", "M"]}
    assert types["Kitchen"]["options"] == {}

    async def titles(query: str) -> list[str]:
        return [item["title"] for item in (await shelf.json(f"/products/variants?{query}"))["items"]]

    assert len(await titles("")) == 8
    assert len(await titles(f"types[]={types['Jackets']['id']}")) == 4
    assert len(await titles(f"types={types['Jackets']['id']}&types={types['Tents']['id']}")) == 6
    numbered = f"types[0]={types['Jackets']['id']}&types[1]={types['Tents']['id']}"
    assert len(await titles(numbered)) == 6
    assert await titles("filter_by[Colour][]=Rust&filter_by[Size][]=S") == ["Squall Rain Jacket - Rust / S"]
    either = await titles("filter_by[Size][]=S&filter_by[Size][]=M&filter_by[Colour][]=pine-green")
    assert len(either) == 2
    assert await titles("filter_by[No+Such+Option][]=none") == []


async def test_variants_come_in_every_order(shelf):
    async def column(name: str, query: str) -> list:
        return [item[name] for item in (await shelf.json(f"/products/variants?{query}"))["items"]]

    prices = await column("price", "order_by=price&order_type=asc")
    assert prices == sorted(prices)
    assert await column("price", "order_by=price&order_type=desc") == prices[::-1]
    titles = await column("title", "order_by=title")
    assert titles == sorted(titles)
    for order in ("date", "best_selling", "review_rating", "search_match"):
        assert len(await column("id", f"order_by={order}")) == 8
    found = await column("title", "search=rain+jacket&order_by=search_match")
    assert len(found) == 4
    assert all("Squall" in title for title in found)
    refused = await shelf.get("/products/variants?order_by=secret")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "order_by"


async def test_pages_neither_repeat_nor_skip_a_variant(shelf):
    seen = []
    for page in (1, 2, 3):
        answer = await shelf.json(f"/products/variants?order_by=price&offset=3&page={page}")
        assert answer["_meta"]["totalCount"] == 8
        seen += [item["id"] for item in answer["items"]]
    assert len(set(seen)) == len(seen) == 8
    past = await shelf.json("/products/variants?offset=3&page=9")
    assert (past["items"], past["_meta"]["totalCount"]) == ([], 8)
    assert (await shelf.get("/products/variants?offset=101")).status_code == 422
    assert (await shelf.get("/products/variants?page=0")).status_code == 422


async def test_variants_by_ids_keep_the_order_asked_for(shelf):
    ids = [item["id"] for item in (await shelf.json("/products/variants"))["items"]]
    wanted = [ids[3], 9007199254740991, ids[0], ids[3]]
    query = "&".join(f"product_ids[]={one}" for one in wanted)
    assert [item["id"] for item in await shelf.json(f"/products/variants/by-ids?{query}")] == [ids[3], ids[0]]
    numbered = "&".join(f"product_ids[{place}]={one}" for place, one in enumerate(wanted))
    shown = await shelf.json(f"/products/variants/by-ids?{numbered}")
    assert [item["id"] for item in shown] == [ids[3], ids[0]]
    refused = await shelf.get("/products/variants/by-ids?product_ids[0]=x")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "product_ids")
    assert await shelf.json("/products/variants/by-ids") == []
    assert (await shelf.get("/products/variants/by-ids?product_ids[]=x")).status_code == 422


async def test_a_collection_shows_each_product_once_in_its_order(shelf):
    page = await shelf.json("/collections/by-hand/products")
    assert handles(page) == ["kettle", "ridge-tent"]
    assert page["_meta"]["totalCount"] == 2
    kettle, shown = page["items"]
    assert kettle["title"] == kettle["origin_title"] == "Basecamp Kettle"
    assert shown["related_inventory_quantity"] == 7
    assert shown["specifications"]["sku"]["value"] == "TNT-0"
    assert shown["media_src"] == "https://img.example/tent-green.jpg"
    assert shown["media_extension"] == "jpg"
    assert handles(await shelf.json("/collections/under-100/products")) == ["kettle", "cafe-press"]
    assert handles(await shelf.json("/collections/by-hand/products?order_by=price&order_type=desc")) == [
        "ridge-tent",
        "kettle",
    ]


async def test_a_filtered_collection_shows_the_variant_that_fits(shelf):
    page = await shelf.json("/collections/by-hand/products?colour[]=rust")
    assert [item["variant_title"] for item in page["items"]] == ["Rust"]
    assert page["_meta"]["totalCount"] == 1


async def test_collections_and_categories_describe_themselves(shelf):
    listed = await shelf.json("/collections?expand=category")
    assert handles(listed) == ["by-hand", "under-100"]
    assert listed["items"][1]["category"]["handle"] == "outdoor"
    assert listed["items"][1]["condition"] == "all"
    assert listed["items"][1]["product_conditions"][0]["field"] == "price"
    one = await shelf.json("/collections/by-hand")
    assert one["id"] == one["items"][0]["id"]
    assert one["_meta"]["totalCount"] == 1
    tree = await shelf.json("/categories?expand=collections")
    assert handles(tree) == ["outdoor", "camp"]
    assert tree["items"][1]["parent_id"] == tree["items"][0]["id"]
    assert [entry["handle"] for entry in tree["items"][0]["collections"]] == ["under-100"]
    for path in (
        "/collections/secret",
        "/collections/secret/products",
        "/category/none",
        "/category/none/products",
    ):
        assert (await shelf.get(path)).status_code == 404


async def test_a_category_has_the_products_below_it_once_and_counts_its_filters(shelf):
    page = await shelf.json("/category/outdoor/products")
    assert sorted(handles(page)) == ["cafe-press", "kettle", "ridge-tent"]
    assert page["_meta"]["totalCount"] == 3
    filters = (await shelf.json("/category/outdoor"))["filters"]
    assert [one for one in filters if one["kind"] == "option"] == [
        {
            "kind": "option",
            "key": "colour",
            "name": "Colour",
            "parameter": "colour[]",
            "values": [
                {"key": "pine-green", "name": "Pine Green", "count": 1},
                {"key": "rust", "name": "Rust", "count": 1},
            ],
        }
    ]


async def test_a_reader_who_has_the_answer_gets_304_until_it_changes(shelf, sessions, store, monkeypatch):
    monkeypatch.setattr(versions_module, "FRESH_SECONDS", 0)  # or somebody else's write shows a moment later
    for path in ("/products", "/products/ridge-tent", "/collections/by-hand/products", "/products/types"):
        first = await shelf.get(path)
        assert "public" in first.headers["cache-control"]
        again = await shelf.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    tag = (await shelf.get("/products/ridge-tent")).headers["etag"]
    async with transaction(sessions) as session:
        await save_product(session, store.id, tent(title="Ridge Tent II"), now=utc_now())
    changed = await shelf.get("/products/ridge-tent", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["title"]) == (200, "Ridge Tent II")


@pytest.mark.parametrize(
    "path",
    [
        "/products",
        "/products/ridge-tent",
        "/products/types",
        "/products/variants?filter_by[Colour][]=Rust&search=tent&expand=product,all_images,options",
        "/collections/by-hand/products?expand=product,related_products",
        "/category/outdoor/products?order_by=title",
        "/collections/by-hand/products?colour[]=rust&availability=in_stock&tags[]=shelter",
        "/products/search?q=tent",
    ],
)
async def test_a_catalogue_read_is_one_statement_or_two_under_filters_and_orders(shelf, monkeypatch, path):
    monkeypatch.setattr(directory, "FRESH_SECONDS", 3600)  # what a store is set to is not what is counted
    monkeypatch.setattr(Versions, "get", known_version)
    await shelf.get(path)
    seen = []
    original = Reads._run

    async def counted(self, call):
        seen.append(call)
        return await original(self, call)

    monkeypatch.setattr(Reads, "_run", counted)
    assert (await shelf.get(path)).status_code == 200
    assert len(seen) == (2 if "order_by" in path or "[]" in path.partition("/variants")[0] else 1)


@pytest.mark.parametrize("path", ["/products/variants", "/category/outdoor", "/collections/by-hand/products"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("filter_by[a][b][]=1", "filter_by[a]"),
        ("filter_by[]=x", "filter_by"),
        ("filter_by[x][]=%00", "filter_by[x]"),
        ("filter_by[x][]=%20", "filter_by[x]"),
        ("colour[]=" + "x" * 201, "colour"),
        ("colour[a][b]=1", "colour"),
        ("&".join(f"o{number}[]=1" for number in range(11)), "filter_by"),
        ("&".join(f"colour[]={number}" for number in range(51)), "colour"),
        ("types[]=0", "types"),
        ("types[first]=1", "types[first]"),
        ("price_from[]=1", "price_from"),
        ("filter_by=Red", "filter_by"),
        ("types=tents", "types"),
        ("types[]=9223372036854775808", "types"),
        ("vendors[]=", "vendors"),
        ("tags=%00", "tags"),
        ("price_from=-1", "price_from"),
        ("price_from=1.5", "price_from"),
        ("price_to=%D9%A3", "price_to"),
        ("price_from=1&price_from=2", "price_from"),
        ("price_from=2&price_to=1", "price_to"),
        ("availability=maybe", "availability"),
        ("availability=in_stock&availability=out_of_stock", "availability"),
        ("expand=secret", "expand"),
    ],
)
async def test_a_filter_that_makes_no_sense_is_a_422_naming_it(shelf, path, query, field):
    answer = await shelf.get(f"{path}?{query}")
    assert answer.status_code == 422, answer.text
    assert [fault["field"].removesuffix("[]") for fault in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("availability=out_of_stock", ["ridge-tent"]),
        ("availability=in_stock&colour[]=rust", []),
        ("vendors[]=FJELLBU&price_to=4499", ["kettle"]),
        ("price_from=4500&price_to=24899", ["cafe-press"]),
        ("tags[]=steel&tags[]=Shelter", ["kettle", "ridge-tent"]),
        ("filter_by[Colour][]=Pine+Green&tags[]=three-season", ["ridge-tent"]),
        ("filter_by[colour][]=rust&colour[]=pine-green", ["ridge-tent"]),
        ("flavour[]=mint", []),
    ],
)
async def test_products_of_a_category_are_filtered_in_every_way(shelf, query, expected):
    page = await shelf.json(f"/category/outdoor/products?{query}")
    assert sorted(handles(page)) == expected
    assert page["_meta"]["totalCount"] == len(expected)


async def test_a_filter_is_counted_as_if_nothing_were_chosen_in_it(shelf):
    filters = (await shelf.json("/category/outdoor?tags[]=steel&availability=in_stock"))["filters"]
    found = {one["name"]: {value["key"]: value["count"] for value in one["values"]} for one in filters}
    assert found == {
        "Type": dict.fromkeys(found["Type"], 1),
        "Vendor": {"fjellbu": 1},
        "Tag": {"shelter": 1, "three-season": 1, "steel": 1},
        "Availability": {"in_stock": 1},
        "Price": {},
    }
    assert [(one["min"], one["max"]) for one in filters if one["kind"] == "price"] == [(3900, 3900)]
