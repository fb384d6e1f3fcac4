"""Writing products: one value in, documents, filters and collections right behind it, nothing else touched."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import text

from app.db.session import transaction
from app.domain.catalogue.arranging import CategoryDraft, CollectionDraft, apply_category, apply_collection
from app.domain.catalogue.documents import rebuild_documents
from app.domain.catalogue.drafts import (
    ImageDraft,
    MarketPriceDraft,
    OptionDraft,
    StockDraft,
    VariantDraft,
    free_handle,
    key_of,
)
from app.domain.catalogue.membership import refresh_rule_collections
from app.domain.catalogue.queries import get_product, get_variant
from app.domain.catalogue.rules import Rule
from app.domain.catalogue.sale_items import list_sale_items
from app.domain.catalogue.service import save_product, save_products, set_related
from app.domain.catalogue.shelves import list_category_products, list_collection_products
from app.domain.discovery.spelling import closest, edits, edits_within
from app.kit.clock import utc_now
from app.kit.errors import AppError, Invalid, NotFound
from app.kit.languages import search_configuration
from app.kit.paging import PageRequest
from app.kit.words import split_words
from tests.api.catalogue_shop import COLOURS, jacket, simple, tent


@dataclass
class Desk:
    """A merchant's desk at a store: writes commit, reads come as shoppers read."""

    sessions: Any
    reads: Any
    store_id: int

    async def save(self, *drafts) -> list[int]:
        async with transaction(self.sessions) as session:
            return await save_products(session, self.store_id, drafts, now=utc_now())

    async def rows(self, sql: str, **values) -> list:
        async with self.sessions() as session:
            return list(await session.execute(text(sql), {"store": self.store_id, **values}))

    async def product(self, handle: str) -> dict:
        return msgspec.json.decode(await get_product(self.reads, self.store_id, handle))

    async def collect(self, **values) -> list[str]:
        async with transaction(self.sessions) as session:
            draft = CollectionDraft(**{"handle": "c", "title": "C", **values})
            return await apply_collection(session, self.store_id, draft, now=utc_now())

    async def members(self, handle: str = "c") -> list[str]:
        found = await list_collection_products(self.reads, self.store_id, handle, PageRequest(1, 50))
        return [item["handle"] for item in msgspec.json.decode(b"[%b]" % found.text)]


@pytest.fixture
def desk(sessions, reads, store) -> Desk:
    return Desk(sessions, reads, store.id)


async def test_the_same_product_twice_changes_nothing(desk):
    drafts = (tent(), jacket(), simple("mug", "Mug", 900))
    ids = await desk.save(*drafts)
    sql = """
        SELECT p.xmin::text, p.version, p.updated_at, d.xmin::text, v.xmin::text, v.id, s.xmin::text
        FROM products p JOIN product_documents d ON (d.store_id, d.product_id) = (p.store_id, p.id)
        JOIN variants v ON (v.store_id, v.product_id) = (p.store_id, p.id)
        LEFT JOIN stock_items s ON (s.store_id, s.variant_id) = (v.store_id, v.id)
        WHERE p.store_id = :store ORDER BY v.id
    """
    before = await desk.rows(sql)
    assert await desk.save(*drafts) == ids
    assert await desk.rows(sql) == before


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"title": "Gale Tent"}, lambda p: p["title"] == "Gale Tent"),
        ({"body_html": "<p>New</p>"}, lambda p: p["body_html"] == "<p>New</p>"),
        ({"vendor": "Nordhus"}, lambda p: p["vendor"] == "Nordhus"),
        ({"type": "Shelters"}, lambda p: p["product_type"] == "Shelters"),
        ({"tags": ("new",)}, lambda p: p["tags"] == "new"),
        ({"seo_title": "Tents"}, lambda p: p["variants"][0]["seo_title"] == "Tents"),
        ({"images": ()}, lambda p: p["images"] == [] and p["variants"][0]["image"] is None),
        (
            {"images": (ImageDraft("https://img.example/new.jpg", alt="New"),)},
            lambda p: [image["alt"] for image in p["images"]] == ["New"],
        ),
        (
            {"variants": (VariantDraft(price=1, values=("Rust",), sku="NEW"),)},
            lambda p: [(v["title"], v["sku"], v["price"]) for v in p["variants"]] == [("Rust", "NEW", 1)],
        ),
        (
            {
                "options": (OptionDraft("Tint", ("Sand",)),),
                "variants": (VariantDraft(price=5, values=("Sand",)),),
            },
            lambda p: p["options"][0]["name"] == "Tint"
            and [v["name"] for v in p["options"][0]["values"]] == ["Sand"]
            and p["variants"][0]["options"][0]["value_name"] == "Sand",
        ),
        ({"metafields": {"custom.fit": "Snug"}}, lambda p: any(
            spec["name"] == "Fit" for spec in p["variants"][0]["specifications"]
        )),
    ],
)  # fmt: skip
async def test_each_change_that_shoppers_see_reaches_the_document(desk, change, seen):
    await desk.save(tent())
    assert not seen(await desk.product("ridge-tent"))
    await desk.save(tent(**change))
    assert seen(await desk.product("ridge-tent"))
    [(version,)] = await desk.rows("SELECT version FROM products WHERE store_id = :store")
    assert version == 3


async def test_a_price_that_changes_by_itself_is_read_and_no_text_is_rendered_anew(desk):
    await desk.save(tent())
    texts = "SELECT variant_id, core, flat, nested FROM variant_documents WHERE store_id = :store ORDER BY 1"
    before = await desk.rows(texts)
    async with transaction(desk.sessions) as session:
        values = {"store": desk.store_id}
        await session.execute(text("UPDATE variants SET price = 5 WHERE store_id = :store"), values)
    assert [variant["price"] for variant in (await desk.product("ridge-tent"))["variants"]] == [5, 5]
    assert await desk.rows(texts) == before


async def test_stock_changes_what_is_read_and_rewrites_no_document(desk):
    await desk.save(tent())
    documents = "SELECT xmin::text, variant_id FROM variant_documents WHERE store_id = :store ORDER BY 2"
    before = await desk.rows(documents)
    async with transaction(desk.sessions) as session:
        values = {"store": desk.store_id}
        await session.execute(
            text("UPDATE stock_items SET reserved = 7 WHERE store_id = :store AND on_hand = 7"), values
        )
    green = (await desk.product("ridge-tent"))["variants"][0]
    assert (green["inventory_quantity"], green["out_of_stock"]) == (0, True)
    assert await desk.rows(documents) == before


async def test_rebuilding_documents_answers_the_same_as_writing_them(desk):
    [product_id] = await desk.save(tent())
    before = await desk.product("ridge-tent")
    async with transaction(desk.sessions) as session:
        values = {"store": desk.store_id}
        for table in ("product_documents", "variant_documents"):
            await session.execute(text(f"DELETE FROM {table} WHERE store_id = :store"), values)
        await rebuild_documents(session, desk.store_id, [product_id])
    assert await desk.product("ridge-tent") == before


async def test_stock_is_set_for_new_variants_only_and_its_movements_sum_up(desk):
    await desk.save(tent())
    await desk.save(
        tent(
            variants=tuple(VariantDraft(price=1, values=(c,), stock=StockDraft(on_hand=99)) for c in COLOURS)
        )
    )
    rows = await desk.rows(
        "SELECT s.on_hand, coalesce(sum(m.delta), 0) FROM stock_items s LEFT JOIN stock_movements m"
        " ON (m.store_id, m.variant_id) = (s.store_id, s.variant_id) WHERE s.store_id = :store"
        " GROUP BY s.variant_id, s.on_hand ORDER BY 1"
    )
    assert rows == [(0, 0), (7, 7)]


async def test_variants_keep_their_ids_through_reordering_and_the_gone_take_their_stock_along(desk):
    await desk.save(tent())
    ids = {v["title"]: v["id"] for v in (await desk.product("ridge-tent"))["variants"]}
    await desk.save(tent(variants=tent().variants[::-1]))
    turned = (await desk.product("ridge-tent"))["variants"]
    assert [v["title"] for v in turned] == ["Rust", "Pine Green"]
    assert {v["title"]: v["id"] for v in turned} == ids
    await desk.save(tent(variants=tent().variants[:1]))
    assert [v["id"] for v in (await desk.product("ridge-tent"))["variants"]] == [ids["Pine Green"]]
    left = await desk.rows("SELECT variant_id FROM stock_items WHERE store_id = :store")
    assert left == [(ids["Pine Green"],)]


async def test_market_prices_are_kept_and_a_blank_means_none(desk):
    markets = (MarketPriceDraft("International", price=1000), MarketPriceDraft("EU", included=False))
    draft = simple("mug", "Mug", 900, variants=(VariantDraft(price=900, market_prices=markets),))
    await desk.save(draft)
    sql = "SELECT market, included, price FROM market_prices WHERE store_id = :store ORDER BY 1"
    assert await desk.rows(sql) == [("EU", False, None), ("International", True, 1000)]
    await desk.save(simple("mug", "Mug", 900))
    assert await desk.rows(sql) == []


async def test_a_product_taken_off_sale_leaves_every_list_and_comes_back(desk):
    await desk.save(tent())
    await desk.collect(products=("ridge-tent",))
    variant_id = (await desk.product("ridge-tent"))["variants"][0]["id"]
    for change in ({"status": "archived"}, {"published": False}):
        await desk.save(tent(**change))
        assert await desk.members() == []
        with pytest.raises(NotFound):
            await get_variant(desk.reads, desk.store_id, variant_id)
    await desk.save(tent())
    assert await desk.members() == ["ridge-tent"]


async def test_one_draft_gives_one_product_however_many_write_it(desk):
    [first] = await desk.save(tent())
    async with transaction(desk.sessions) as session:
        assert await save_product(session, desk.store_id, tent(title="Again"), now=utc_now()) == first


@pytest.mark.parametrize(
    "draft",
    [
        tent(handle=""),
        tent(variants=()),
        tent(variants=(VariantDraft(price=1),)),
        tent(variants=(VariantDraft(price=1, values=("Mauve",)),)),
        tent(variants=(VariantDraft(price=1, values=("Rust",)), VariantDraft(price=2, values=("Rust",)))),
        tent(variants=(VariantDraft(price=-1, values=("Rust",)),)),
    ],
)
async def test_a_draft_that_no_table_could_hold_is_refused(desk, draft):
    with pytest.raises(Invalid):
        await desk.save(draft)


RULES = [
    (Rule("title", "contains", "TENT"), {"ridge-tent"}),
    (Rule("title", "starts_with", "squall"), {"squall-jacket"}),
    (Rule("title", "ends_with", "mug"), {"mug"}),
    (Rule("title", "not_equals", "mug"), {"ridge-tent", "squall-jacket"}),
    (Rule("type", "equals", "tents"), {"ridge-tent"}),
    (Rule("vendor", "equals", "Fjellbu"), {"ridge-tent", "mug"}),
    (Rule("tag", "equals", "Rain"), {"squall-jacket"}),
    (Rule("tag", "not_equals", "rain"), {"ridge-tent", "mug"}),
    (Rule("price", "less_than", "9.01"), {"mug"}),
    (Rule("price", "greater_than", "120"), {"ridge-tent"}),
    (Rule("price", "equals", "120.00"), {"squall-jacket"}),
    (Rule("compare_at_price", "greater_than", "0"), {"ridge-tent"}),
    (Rule("weight", "greater_than", "2000"), {"ridge-tent"}),
    (Rule("stock", "greater_than", "6"), {"ridge-tent"}),
    (Rule("variant_title", "contains", "/ s"), {"squall-jacket"}),
]


@pytest.mark.parametrize(("rule", "fits"), RULES, ids=lambda value: getattr(value, "field", None))
async def test_a_rule_means_what_it_says(desk, rule, fits):
    await desk.save(tent(), jacket(), simple("mug", "Mug", 900))
    await desk.collect(rules=(rule,))
    assert set(await desk.members()) == fits


async def test_all_rules_must_hold_or_any_of_them(desk):
    await desk.save(tent(), jacket(), simple("mug", "Mug", 900))
    rules = (Rule("vendor", "equals", "Fjellbu"), Rule("price", "less_than", "130.00"))
    await desk.collect(rules=rules)
    assert set(await desk.members()) == {"mug"}
    await desk.collect(rules=rules, condition="any")
    assert set(await desk.members()) == {"mug", "ridge-tent", "squall-jacket"}


@pytest.mark.parametrize(
    "rule",
    [
        Rule("secret", "equals", "x"),
        Rule("price", "contains", "1"),
        Rule("price", "equals", "cheap"),
        Rule("price", "equals", "1.005"),
        Rule("title", "equals", " "),
        Rule("title", "greater_than", "x"),
    ],
)
async def test_a_rule_that_makes_no_sense_is_refused_by_name(desk, rule):
    with pytest.raises(Invalid) as refused:
        await desk.collect(rules=(rule,))
    assert refused.value.code == "invalid_rule"
    assert refused.value.errors[0].field.startswith("rules[0].")


async def test_a_collection_by_rule_follows_each_change_of_a_product(desk):
    await desk.collect(rules=(Rule("tag", "equals", "sale"),), sort_order="price_ascending")
    await desk.save(tent(), simple("mug", "Mug", 900))
    assert await desk.members() == []
    await desk.save(tent(tags=("sale",)), simple("mug", "Mug", 900, tags=("sale",)))
    assert await desk.members() == ["mug", "ridge-tent"]
    dear = simple("mug", "Mug", 90_000, tags=("sale",))
    await desk.save(dear)
    assert await desk.members() == ["ridge-tent", "mug"]
    await desk.save(tent())
    assert await desk.members() == ["mug"]
    async with transaction(desk.sessions) as session:
        assert await refresh_rule_collections(session, desk.store_id) == 0


@pytest.mark.parametrize(
    ("order", "handles"),
    [
        ("manual", ["mug", "ridge-tent", "squall-jacket"]),
        ("title", ["mug", "ridge-tent", "squall-jacket"]),
        ("price_ascending", ["mug", "squall-jacket", "ridge-tent"]),
        ("price_descending", ["ridge-tent", "squall-jacket", "mug"]),
    ],
)
async def test_a_collection_has_an_order_of_its_own_and_applying_it_twice_changes_nothing(
    desk, order, handles
):
    await desk.save(tent(), jacket(), simple("mug", "Mug", 900))
    values = {"products": ("mug", "ridge-tent", "squall-jacket"), "sort_order": order}
    assert await desk.collect(**values) == ["made, with 3 products"]
    assert await desk.members() == handles
    assert await desk.collect(**values) == []
    assert await desk.collect(**values, title="New") == ["title"]


async def test_a_category_shows_its_collections_one_after_the_other_each_in_its_own_order(desk):
    prices = {"d": 400, "c": 100, "b": 300, "a": 200}
    await desk.save(*(simple(handle, f"Cup {handle}", price) for handle, price in prices.items()))
    await desk.collect(handle="picked", products=("b", "d"))
    await desk.collect(
        handle="dear", sort_order="price_descending", rules=(Rule("title", "contains", "cup"),)
    )
    await desk.collect(handle="named", sort_order="title", rules=(Rule("title", "contains", "cup"),))
    for collections, handles in (
        (("picked", "dear"), "bdac"),
        (("dear", "picked"), "dbac"),
        (("named",), "abcd"),
    ):
        async with transaction(desk.sessions) as session:
            draft = CategoryDraft(handle="cups", title="Cups", collections=collections)
            await apply_category(session, desk.store_id, draft, now=utc_now())
        for down in (False, True):
            shown, after = "", ""
            for number in range(1, 5):
                found = await list_category_products(
                    desk.reads, desk.store_id, "cups", PageRequest(number, 1, after), descending=down
                )
                shown, after = shown + msgspec.json.decode(found.text)["handle"], found.after or ""
            assert shown == (handles[::-1] if down else handles), (collections, down)


async def test_a_category_cannot_stand_below_itself_or_hold_what_is_not_there(desk):
    async def apply(**values) -> list[str]:
        async with transaction(desk.sessions) as session:
            return await apply_category(session, desk.store_id, CategoryDraft(**values), now=utc_now())

    await desk.collect(handle="tents")
    assert await apply(handle="a", title="A", collections=("tents",)) == ["made"]
    assert await apply(handle="b", title="B", parent="a") == ["made"]
    assert await apply(handle="a", title="A", collections=("tents",)) == []
    assert await apply(handle="a", title="A") == ["collections"]
    for wrong in ({"parent": "b"}, {"parent": "nowhere"}, {"collections": ("nothing",)}):
        with pytest.raises(AppError):
            await apply(handle="a", title="A", **wrong)


async def test_related_variants_chosen_by_hand_come_before_computed_ones(desk):
    ids = await desk.save(tent(), tent(handle="second", title="Second"), tent(handle="third", title="Third"))
    variants = [v["id"] for v in (await desk.product("second"))["variants"]]
    first = (await desk.product("ridge-tent"))["variants"][0]["id"]

    async def related() -> list[int]:
        found = await get_variant(desk.reads, desk.store_id, first, {"related_products"})
        return msgspec.json.decode(found)["related_products"]

    assert len(await related()) == 2
    async with transaction(desk.sessions) as session:
        await set_related(session, desk.store_id, ids[0], variants[1:], now=utc_now())
    assert await related() == variants[1:]


async def test_sale_items_know_what_was_written(desk):
    await desk.save(tent())
    ids = [v["id"] for v in (await desk.product("ridge-tent"))["variants"]]
    async with desk.sessions() as session:
        green, rust = await list_sale_items(session, desk.store_id, ids)
    assert (green.title, green.available_units, rust.available_units) == ("Ridge Tent - Pine Green", 7, 0)
    assert green.variant_options == {"Colour": "Pine Green"}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Rosé Gold", "rose-gold"),
        ("  S / M ", "s-m"),
        ("Größe", "grosse"),
        ("Straße", "strasse"),
        ("日本", "日本"),
        ("Тёмно-синий", "тёмно-синий"),
        ("İzmir Łódź Ærø", "izmir-lodz-aero"),
        ("½ Cup™", "1-2-cuptm"),
        ("Red+Blue - 10", "red-blue-10"),
        ("🔥", "🔥"),
    ],
)
def test_names_fold_to_keys(name, key):
    assert key_of(name) == key


def test_names_that_mean_different_things_have_different_keys():
    sizes = (
        "1 м",
        "1 см",
        "1 мм",
        "1",
        "+1",
        "-1",
        "\u22121.5",
        "<10",
        ">10",
        "10",
        "10+",
        "C",
        "C++",
        "½",
        "12",
        "が",
        "か",
    )
    assert len({key_of(size) for size in sizes}) == len(sizes)


@example("ำ")
@given(st.text(max_size=20))
def test_a_key_is_its_own_key(name):
    assert key_of(key_of(name)) == key_of(name)


def test_a_handle_that_a_path_word_hides_gets_a_number():
    assert free_handle("search", {"search", "types"}) == "search-1"
    assert free_handle("tent", {"search", "types"}) == "tent"


@pytest.mark.parametrize(
    ("first", "second", "away"),
    [
        ("tent", "tent", 0),
        ("tnet", "tent", 1),
        ("tet", "tent", 1),
        ("tents", "tent", 1),
        ("", "abc", 3),
        ("ca", "abc", 3),
    ],
)
def test_edits_count_swaps_as_one(first, second, away):
    assert edits(first, second) == away


@given(st.text("abcde", max_size=8), st.text("abcde", max_size=8), st.integers(1, 2))
def test_words_that_are_too_far_apart_are_told_without_counting(first, second, most):
    away, told = edits(first, second), edits_within(first, second, most)
    assert told == away if away <= most else told > most


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("jakcet", ["jacket", "jackets", "blanket"], "jacket"),
        ("lantren", ["lantern", "lamp"], "lantern"),
        ("blnk", ["blanket"], None),
        ("blankte", ["blanket"], "blanket"),
        ("xyz", ["tent"], None),
        ("tnet", ["net", "tent"], "tent"),
        ("tent", [], None),
        ("backpak", ["back pak", "backpack"], "backpack"),
        ("sleepingbag", ["sleeping bag", "sleeping"], "sleeping bag"),
    ],
)
def test_the_nearest_known_word_is_meant(word, known, meant):
    assert closest(word, known) == meant


def test_queries_become_words_and_languages_configurations():
    assert split_words("  Café-Press, 2 cups! ' & | ") == ["cafe", "press", "2", "cups"]
    assert split_words("Ada's jacket\u2019s 90's s's 's") == ["ada", "jacket", "90", "s", "s"]
    assert len(split_words("a " * 50)) == 8
    assert search_configuration("de-CH") == "storefront_german"
    assert search_configuration("ja") == "storefront_simple"
