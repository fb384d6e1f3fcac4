"""Lists under filters, and the counts of each filter, beside a plain count over random catalogues."""

import random
from dataclasses import dataclass
from typing import Any

import msgspec

from app.db.reads import Reads
from app.db.session import Sessions, transaction
from app.domain.catalogue.arranging import CategoryDraft, CollectionDraft, apply_category, apply_collection
from app.domain.catalogue.drafts import OptionDraft, ProductDraft, StockDraft, VariantDraft
from app.domain.catalogue.filtering import Filters
from app.domain.catalogue.large_shelves import LargeShelves
from app.domain.catalogue.queries import VariantFilter, list_variants
from app.domain.catalogue.service import save_products
from app.domain.catalogue.shelves import (
    SHELF_ORDERS,
    list_category_filters,
    list_category_products,
    list_collection_filters,
    list_collection_products,
)
from app.kit.clock import utc_now
from app.kit.paging import PageRequest
from tests.conftest import make_store

OPTIONS = {
    "Colour": ("Red", "Navy Blue", "Grün"),
    "Size": ("S", "M", "L"),
    "Types": ("1 м", "1 см"),
    "日本": ("赤", "青"),
}
VENDORS = ("", "Fjellbu", "Åsen", "fjellbu")
TYPES = ("", "Tents", "Mugs")
TAGS = ("rain", "Steel", "sale")
PRICES = (0, 500, 900, 901, 2500)
WHOLE = PageRequest(1, 100)
CASES_OF_EACH = 10


@dataclass(frozen=True)
class Row:
    """A variant, as plain as it can be."""

    product: str
    listed: bool
    place: int
    type: str
    vendor: str
    tags: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    price: int
    available: bool


@dataclass(frozen=True)
class Wanted:
    options: dict[str, list[str]]
    types: list[str]
    vendors: list[str]
    tags: list[str]
    price_from: int | None
    price_to: int | None
    available: bool | None

    def tests(self) -> dict[str, Any]:
        """What must hold of a row, by dimension; nothing for what is not asked."""
        found: dict[str, Any] = {}
        for option, values in self.options.items():
            found[option] = lambda row, option=option, values=values: any(
                (option, v) in row.options for v in values
            )
        if self.types:
            found["types"] = lambda row: row.type in self.types
        if self.vendors:
            found["vendors"] = lambda row: row.vendor.lower() in [word.lower() for word in self.vendors]
        if self.tags:
            found["tags"] = lambda row: bool({t.lower() for t in row.tags} & {t.lower() for t in self.tags})
        if self.price_from is not None or self.price_to is not None:
            least, most = self.price_from or 0, 10**9 if self.price_to is None else self.price_to
            found["price"] = lambda row: least <= row.price <= most
        if self.available is not None:
            found["availability"] = lambda row: row.available is self.available
        return found


def random_product(dice: random.Random, number: int) -> tuple[ProductDraft, list[Row]]:
    names = dice.sample(sorted(OPTIONS), dice.randint(0, 2))
    chosen = {name: dice.sample(OPTIONS[name], dice.randint(1, len(OPTIONS[name]))) for name in names}
    combinations: list[tuple[str, ...]] = [()]
    for values in chosen.values():
        combinations = [(*one, value) for one in combinations for value in values]
    combinations = dice.sample(combinations, dice.randint(1, len(combinations)))
    used = {
        name: tuple(v for v in values if any(v in one for one in combinations))
        for name, values in chosen.items()
    }
    draft = ProductDraft(
        handle=f"p-{number}",
        title=f"Product {number}",
        vendor=dice.choice(VENDORS),
        type=dice.choice(TYPES),
        tags=tuple(dice.sample(TAGS, dice.randint(0, 2))),
        status=dice.choice(("active", "active", "active", "draft")),
        published=dice.random() < 0.9,
        options=tuple(OptionDraft(name, values) for name, values in used.items()),
        variants=tuple(
            VariantDraft(
                price=dice.choice(PRICES),
                values=values,
                stock=dice.choice((
                    None, StockDraft(on_hand=3), StockDraft(on_hand=0), StockDraft(policy="continue"),
                    StockDraft(tracked=False),
                )),
            )
            for values in combinations
        ),
    )  # fmt: skip
    rows = [
        Row(
            draft.handle, draft.status == "active" and draft.published, place, draft.type, draft.vendor,
            draft.tags, tuple(zip(used, variant.values, strict=True)), variant.price,
            variant.stock is None or not variant.stock.tracked or variant.stock.policy == "continue"
            or variant.stock.on_hand > 0,
        )
        for place, variant in enumerate(draft.variants)
    ]  # fmt: skip
    return draft, rows


def random_filters(dice: random.Random) -> Wanted:
    """A few dimensions at a time: of many together hardly anything is left to count."""
    dimensions = ("option", "option", "option", "types", "vendors", "tags", "from", "to", "available")
    asked = dice.sample(dimensions, dice.choice((0, 1, 1, 2, 2, 3)))
    return Wanted(
        options={
            name: dice.sample(OPTIONS[name], dice.randint(1, 2))
            for name in dice.sample(sorted(OPTIONS), min(2, asked.count("option")))
        },
        types=dice.sample(TYPES[1:], 1) if "types" in asked else [],
        vendors=dice.sample(VENDORS[1:], dice.randint(1, 2)) if "vendors" in asked else [],
        tags=dice.sample(TAGS, dice.randint(1, 2)) if "tags" in asked else [],
        price_from=dice.choice(PRICES) if "from" in asked else None,
        price_to=dice.choice(PRICES) if "to" in asked else None,
        available=dice.choice((True, False)) if "available" in asked else None,
    )


def brute_counts(rows: list[Row], wanted: Wanted) -> dict[str, Any]:
    """What filters should say: a product counts for a value where one variant has it and fits all the rest."""
    tests = wanted.tests()

    def fitting(without: str) -> list[Row]:
        return [row for row in rows if all(test(row) for name, test in tests.items() if name != without)]

    def counted(found: list[tuple[Any, str]]) -> dict[Any, int]:
        return {value: len({p for v, p in found if v == value}) for value in {v for v, _ in found}}

    told: dict[str, Any] = {}
    for option in OPTIONS:
        told[option] = counted(
            [(v, row.product) for row in fitting(option) for o, v in row.options if o == option]
        )
    told["Type"] = counted([(row.type, row.product) for row in fitting("types") if row.type])
    told["Vendor"] = counted([(row.vendor.lower(), row.product) for row in fitting("vendors") if row.vendor])
    told["Tag"] = counted([(tag.lower(), row.product) for row in fitting("tags") for tag in row.tags])
    told["Availability"] = counted(
        [("in_stock" if row.available else "out_of_stock", row.product) for row in fitting("availability")]
    )
    prices = [row.price for row in fitting("price")]
    told["Price"] = {"min": min(prices), "max": max(prices)} if prices else {}
    return {name: counts for name, counts in told.items() if counts}


def told_counts(raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in msgspec.json.decode(raw):
        by_key = one["kind"] in {"vendors", "tags", "availability"}
        found[one["name"]] = {value["key" if by_key else "name"]: value["count"] for value in one["values"]}
        if one["kind"] == "price":
            found[one["name"]] = {"min": one["min"], "max": one["max"]}
    return found


def outline(raw: bytes) -> list[Any]:
    """All that is said but for how values are written and which comes first: products may differ in that."""
    return [
        {**one, "values": sorted((value["key"], value["count"]) for value in one["values"])}
        for one in msgspec.json.decode(raw)
    ]


def handles(text: bytes) -> list[str]:
    return [item["handle"] for item in msgspec.json.decode(b"[%b]" % text)]


async def test_filters_and_their_counts_are_those_of_a_plain_count(
    sessions: Sessions, reads: Reads, sized, figure
) -> None:
    catalogues = sized(100, 6)
    for seed in range(catalogues):
        await check_catalogue(sessions, reads, seed)
    figure(f"{catalogues * CASES_OF_EACH} random filters: pages, totals and counts as a plain count has them")


async def check_catalogue(sessions: Sessions, reads: Reads, seed: int) -> None:
    dice = random.Random(seed)
    made = [random_product(dice, number) for number in range(dice.randint(1, 20))]
    drafts, rows = [draft for draft, _ in made], [row for _, own in made for row in own if row.listed]
    names = [draft.handle for draft in drafts]
    members = {
        name: dice.sample(names, dice.randint(len(names) // 2, len(names)))
        for name in ("first", "second", "third")
    }
    store, now = await make_store(sessions), utc_now()
    async with transaction(sessions) as session:
        await save_products(session, store.id, drafts, now=now)
        for name, products in members.items():
            collection = CollectionDraft(name, name.title(), products=tuple(products))
            await apply_collection(session, store.id, collection, now=now)
        for category in (
            CategoryDraft("above", "Above", collections=("first",)),
            CategoryDraft("below", "Below", parent="above", collections=("second", "third")),
        ):
            await apply_category(session, store.id, category, now=now)
    types = {
        row["name"]: row["id"]
        for row in await reads.fetch("SELECT id, name FROM product_types WHERE store_id = $1", store.id)
    }
    above = set().union(*members.values())
    # However small, these shelves are large for it.
    large = LargeShelves(reads, lambda store_id: reads.fetchval("SELECT 1"), seconds=600, most_read=0)
    for case in range(CASES_OF_EACH):
        wanted = random_filters(dice)
        which = f"seed {seed}, case {case}: {wanted}"
        filters = Filters.of(
            wanted.options,
            types=tuple(types.get(name, 10**9) for name in wanted.types),
            vendors=tuple(wanted.vendors),
            tags=tuple(wanted.tags),
            price_from=wanted.price_from,
            price_to=wanted.price_to,
            available=wanted.available,
        )
        tests = wanted.tests()
        fits = [row for row in rows if all(test(row) for test in tests.values())]
        variants = await list_variants(reads, store.id, WHOLE, VariantFilter(filters=filters))
        assert sorted(handles(variants.text)) == sorted(row.product for row in fits), which
        assert variants.total == len(fits), which
        for list_products, list_filters, handle, own in (
            (list_collection_products, list_collection_filters, "first", set(members["first"])),
            (list_category_products, list_category_filters, "above", above),
        ):
            found = await list_products(reads, store.id, handle, WHOLE, filters=filters)
            expected = {row.product for row in fits} & own
            assert sorted(handles(found.text)) == sorted(expected), which
            assert found.total == len(expected), which
            order, down = dice.choice((None, *SHELF_ORDERS)), dice.choice((True, False))
            page = PageRequest(dice.randint(1, 3), dice.randint(1, 5))
            asked = {"filters": filters, "order_by": order, "descending": down}
            pages = [
                await list_products(reads, store.id, handle, page, **asked, large=one)
                for one in (None, large)
            ]
            assert (pages[0].text, pages[0].total) == (pages[1].text, pages[1].total), (
                which, order, down, page,
            )  # fmt: skip
            told = [await list_filters(reads, store.id, handle, filters, large=one) for one in (None, large)]
            counts = brute_counts([row for row in rows if row.product in own], wanted)
            assert told_counts(told[0]) == counts, which
            assert told_counts(told[1]) == counts, which
            assert outline(told[1]) == outline(told[0]), which
