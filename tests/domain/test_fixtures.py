"""The demo shop keeps its promises: counts, codes, stock, pictures, and no name that leads nowhere."""

import csv
import importlib
import re
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import nh3
import pytest

from app.cli.apply import ShopFile
from app.domain.giftcards.applying import find_card_faults
from app.domain.promotions.plan import find_faults

FIXTURES = Path(__file__).parents[2] / "fixtures"
DOCS = FIXTURES.parent / "docs"
Row = dict[str, str]


def read_toml(name: str) -> dict[str, Any]:
    return tomllib.loads((FIXTURES / name).read_text(encoding="utf-8"))


def image_name(address: str) -> str:
    assert address.startswith("demo:images/"), address
    return address.removeprefix("demo:images/")


def check_digit(barcode: str) -> int:
    odd, even = barcode[0:12:2], barcode[1:12:2]
    return -(sum(map(int, odd)) + 3 * sum(map(int, even))) % 10


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    with (FIXTURES / "products.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def products(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["Title"]]


@pytest.fixture(scope="module")
def variants(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["Variant Price"]]


@pytest.fixture(scope="module")
def handles(products: list[Row]) -> set[str]:
    return {row["Handle"] for row in products}


@pytest.fixture(scope="module")
def shop() -> dict[str, Any]:
    return read_toml("shop.toml")


def test_the_shop_is_as_large_as_promised(products: list[Row], variants: list[Row]) -> None:
    assert len(products) >= 150
    assert len(variants) >= 560
    assert 12 <= len({row["Type"] for row in products}) <= 16
    assert 10 <= len({row["Vendor"] for row in products}) <= 20


def test_handles_skus_and_barcodes_are_unique(products: list[Row], variants: list[Row]) -> None:
    barcodes = [row["Variant Barcode"] for row in variants if row["Variant Barcode"]]
    skus = [row["Variant SKU"] for row in variants]
    assert len({row["Handle"] for row in products}) == len(products)
    assert all(skus)
    assert len(set(skus)) == len(skus)
    assert len(set(barcodes)) == len(barcodes)


def test_barcodes_are_internal_ean13_with_a_true_check_digit(variants: list[Row]) -> None:
    for row in variants:
        if barcode := row["Variant Barcode"]:
            assert len(barcode) == 13, row["Variant SKU"]
            assert barcode.startswith("2"), row["Variant SKU"]
            assert int(barcode[-1]) == check_digit(barcode), row["Variant SKU"]


def test_option_values_are_unique_within_a_product(variants: list[Row]) -> None:
    seen = defaultdict(list)
    for row in variants:
        seen[row["Handle"]].append(tuple(row[f"Option{n} Value"] for n in (1, 2, 3)))
    for handle, values in seen.items():
        assert len(set(values)) == len(values), handle


def test_prices_are_whole_cents_and_reductions_are_real(variants: list[Row]) -> None:
    for row in variants:
        for column in ("Variant Price", "Variant Compare At Price"):
            assert not row[column] or len(row[column].partition(".")[2]) == 2, row["Variant SKU"]
        assert float(row["Variant Price"]) > 0
    reduced = [row for row in variants if row["Variant Compare At Price"]]
    assert len(reduced) >= 20
    for row in reduced:
        assert float(row["Variant Compare At Price"]) > float(row["Variant Price"]), row["Variant SKU"]


def test_every_band_of_stock_occurs(variants: list[Row]) -> None:
    tracked = [row for row in variants if row["Variant Inventory Tracker"] == "shopify"]
    refusing = [
        int(row["Variant Inventory Qty"]) for row in tracked if row["Variant Inventory Policy"] == "deny"
    ]
    assert sum(8 <= quantity <= 60 for quantity in refusing) >= 100
    assert sum(quantity > 100 for quantity in refusing) >= 50
    assert sum(1 <= quantity <= 3 for quantity in refusing) >= 5
    assert sum(quantity == 0 for quantity in refusing) >= 5
    backorders = [row for row in tracked if row["Variant Inventory Policy"] == "continue"]
    assert len(backorders) >= 5
    assert {row["Variant Inventory Qty"] for row in backorders} == {"0"}
    assert len(variants) - len(tracked) >= 5


def test_things_have_weight_and_services_none(variants: list[Row]) -> None:
    for row in variants:
        assert (int(row["Variant Grams"]) > 0) == (row["Variant Requires Shipping"] == "true"), row["Handle"]


def test_most_products_are_on_sale_and_a_few_are_not(products: list[Row]) -> None:
    hidden = [row for row in products if row["Status"] != "active"]
    assert {row["Status"] for row in hidden} == {"draft", "archived"}
    assert 2 <= len(hidden) <= 5
    assert all(row["Published"] == "FALSE" for row in hidden)


def test_descriptions_are_clean_and_each_its_own(products: list[Row]) -> None:
    bodies = [row["Body (HTML)"] for row in products]
    assert len(set(bodies)) == len(bodies)
    assert all(len(body) >= 100 for body in bodies)
    assert [nh3.clean(body, tags={"p", "ul", "li"}, attributes={}) for body in bodies] == bodies


def test_every_picture_named_is_there_and_every_picture_there_is_named(rows: list[Row]) -> None:
    named = {image_name(row["Image Src"]) for row in rows if row["Image Src"]}
    assert named == {path.name for path in (FIXTURES / "images").iterdir()}
    assert {image_name(row["Variant Image"]) for row in rows if row["Variant Image"]} <= named
    assert {image_name(post["image"]) for post in read_toml("content.toml")["posts"]} <= named


def test_pictures_are_small_well_formed_and_harmless() -> None:
    for path in (FIXTURES / "images").iterdir():
        assert path.stat().st_size < 4096, path.name
        tags = {element.tag.rpartition("}")[2] for element in ET.parse(path).iter()}
        assert tags <= {"svg", "g", "path", "rect", "circle", "ellipse", "defs", "pattern"}, path.name


def test_every_color_has_a_look(variants: list[Row], products: list[Row], shop: dict[str, Any]) -> None:
    names = {row["Handle"]: [row[f"Option{n} Name"] for n in (1, 2, 3)] for row in products}
    used = {
        row[f"Option{place} Value"]
        for row in variants
        for place, name in enumerate(names[row["Handle"]], 1)
        if name == "Color"
    }
    assert used
    assert used <= set(shop["colors"])


def test_collections_and_categories_lead_somewhere(shop: dict[str, Any], handles: set[str]) -> None:
    collections = {collection["handle"] for collection in shop["collections"]}
    by_hand = [collection for collection in shop["collections"] if "products" in collection]
    assert len(collections) == len(shop["collections"])
    assert len(by_hand) >= 8
    assert len(shop["collections"]) - len(by_hand) >= 8
    for collection in shop["collections"]:
        assert set(collection.get("products", [])) <= handles, collection["handle"]
        assert ("products" in collection) != ("rules" in collection), collection["handle"]
    categories = [category["handle"] for category in shop["categories"]]
    for place, category in enumerate(shop["categories"]):
        assert set(category["collections"]) <= collections, category["handle"]
        assert category.get("parent") in [None, *categories[:place]], category["handle"]


def test_every_country_can_be_reached_at_any_weight(shop: dict[str, Any]) -> None:
    zones = shop["shipping_zones"]
    whole = {country for zone in zones if "regions" not in zone for country in zone["countries"]}
    assert whole == {"US", "GB", "DE", "FR", "CH", "CA", "AU", "JP"}
    for zone in zones:
        for grams in (20, 9_999, 10_000, 14_999, 15_000, 19_999, 20_000, 60_000):
            assert any(
                option.get("min_weight_grams", 0) <= grams < option.get("max_weight_grams", 10**9)
                for option in zone["options"]
            ), (zone["name"], grams)


def test_reviews_and_questions_are_about_products_of_the_shop(handles: set[str]) -> None:
    entries = read_toml("reviews.toml")["products"]
    reviews = [review for entry in entries for review in entry.get("reviews", [])]
    questions = [question for entry in entries for question in entry.get("questions", [])]
    assert {entry["handle"] for entry in entries} <= handles
    assert len(entries) >= 45
    assert len(reviews) >= 120
    assert len(questions) >= 30
    assert all(review["rating"] * 2 in range(2, 11) for review in reviews)
    assert sum(review["rating"] < 3.5 for review in reviews) >= 10
    assert all(question["answer"] and question["answered_on"] >= question["on"] for question in questions)


def test_content_hangs_together() -> None:
    content = read_toml("content.toml")
    slugs = [item["slug"] for item in content["posts"] + content["pages"]]
    assert {post["category"] for post in content["posts"]} == {c["slug"] for c in content["blog_categories"]}
    assert len(set(slugs)) == len(slugs)
    assert len(content["pages"]) >= 5
    assert all(post["published_at"].tzinfo and post["tags"] and post["excerpt"] for post in content["posts"])


def test_the_built_files_are_those_that_the_sources_make(
    rows: list[Row], shop: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(FIXTURES), *sys.path])
    build, draw = importlib.import_module("build"), importlib.import_module("draw")
    blank = dict.fromkeys(build.COLUMNS, "")
    sources = list(build.load_products())
    assert [blank | row for product in sources for row in build.rows(product)] == rows
    art = draw.load_art()
    drawn = {name: svg for product in sources for name, svg in draw.drawings(product, art, shop["colors"])}
    assert drawn == {path.name: path.read_text(encoding="utf-8") for path in (FIXTURES / "images").iterdir()}


def test_what_the_documents_show_of_offers_and_cards_can_be_pasted_below_the_demo_shop(
    variants: list[Row], shop: dict[str, Any]
) -> None:
    shown = [
        section
        for name in ("promotions.md", "taxes.md", "giftcards.md")
        for section in re.findall(r"```toml\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL)
    ]
    pasted = "\n".join([(FIXTURES / "shop.toml").read_text(encoding="utf-8"), *shown])
    file = msgspec.toml.decode(pasted, type=ShopFile)
    # Otherwise the command would say that it has no meaning yet.
    assert {price.sku for price in file.unit_prices} <= {row["Variant SKU"] for row in variants}
    named = {handle for promotion in file.promotions for handle in promotion.collections}
    assert named <= {entry["handle"] for entry in shop["collections"]}
    assert {promotion.handle for promotion in file.promotions} > {"summer"}
    assert file.gift_cards
    sold_in = {currency.code for currency in file.currencies}
    currency = shop["store"]["currency"]
    assert find_faults(file.promotions, file.unit_prices, currency=currency, sold_in=sold_in) == []
    assert find_card_faults(file.gift_cards, currency=currency) == []
