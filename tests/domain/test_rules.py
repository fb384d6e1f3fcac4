"""Each field of a rule by each of its relations, beside the same said in Python; and stock that moves a product."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from app.db.queue import Kinds
from app.db.session import transaction
from app.domain.catalogue.arranging import CollectionDraft, apply_collection
from app.domain.catalogue.drafts import OptionDraft, ProductDraft, StockDraft, VariantDraft
from app.domain.catalogue.jobs import catalogue_jobs
from app.domain.catalogue.membership import STOCK_MOVED
from app.domain.catalogue.rules import (
    FIELDS,
    NUMBER_RELATIONS,
    TEXT_FIELDS,
    TEXT_RELATIONS,
    Rule,
    condition_of,
    store_rule,
)
from app.domain.catalogue.service import save_products
from app.domain.inventory.importing import StockCount, set_stock
from app.domain.inventory.service import release_stock, reserve_stock
from app.kit.clock import utc_now
from app.kit.errors import Invalid
from app.worker import work_once

SIZES = ("Small", "Large")


def product(handle: str, title: str, **values: Any) -> ProductDraft:
    prices, compare = values.pop("prices", (1000,)), values.pop("compare", None)
    grams, stock = values.pop("grams", 100), values.pop("stock", 5)
    options = (OptionDraft("Size", SIZES[: len(prices)]),)
    return ProductDraft(
        handle=handle, title=title, options=options,
        variants=tuple(
            VariantDraft(price=price, compare_at_price=compare, values=(SIZES[place],), grams=Decimal(grams),
                stock=None if stock is None else StockDraft(on_hand=stock + place))
            for place, price in enumerate(prices)
        ), **values,
    )  # fmt: skip


DRAFTS = (
    product(
        "red-tent",
        "Red Tent",
        vendor="Fjellbu",
        type="Tents",
        tags=("Sale", "rain"),
        prices=(900, 1200),
        grams=2000,
    ),
    product("tent", "Tent", vendor="FJELLBU", type="Tents", tags=("rain cover",), compare=1500, stock=0),
    product("ten-cups", "Ten 100%_cups", vendor="Åsen", type="Mugs", tags=(), prices=(1201,), stock=None),
    product("plain", "Plain", tags=("sale",), grams=0, stock=7),
)
WORDS = {
    "title": ("tent", "Red Tent", "ten", "%"),
    "type": ("tents", "ten", "mugs"),
    "vendor": ("fjellbu", "åsen", "f"),
    "tag": ("sale", "rain", "cover"),
    "variant_title": ("small", "large", "l"),
    "price": ("9.00", "12", "12.01"),
    "compare_at_price": ("15", "0"),
    "weight": ("0", "100", "2000"),
    "stock": ("0", "5", "7"),
}


def known(draft: ProductDraft, field: str) -> list[Any]:
    """What a rule of this field looks at, a product's values one by one."""
    if field == "tag":
        return [tag.lower() for tag in draft.tags]
    if field in {"title", "type", "vendor"}:
        return [getattr(draft, field).lower()]
    each: dict[str, Callable[[VariantDraft], Any]] = {
        "variant_title": lambda variant: variant.title.lower(),
        "price": lambda variant: variant.price,
        "compare_at_price": lambda variant: variant.compare_at_price,
        "weight": lambda variant: variant.grams,
        "stock": lambda variant: variant.stock.on_hand if variant.stock else 0,
    }
    return [value for value in map(each[field], draft.variants) if value is not None]


RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "equals": lambda has, asked: has == asked,
    "not_equals": lambda has, asked: has != asked,
    "contains": lambda has, asked: asked in has,
    "starts_with": lambda has, asked: has.startswith(asked),
    "ends_with": lambda has, asked: has.endswith(asked),
    "greater_than": lambda has, asked: has > asked,
    "less_than": lambda has, asked: has < asked,
}


def fits(draft: ProductDraft, rule: Rule) -> bool:
    asked: Any = rule.value.lower()
    if rule.field in {"price", "compare_at_price"}:
        asked = int(Decimal(rule.value) * 100)
    elif rule.field in {"weight", "stock"}:
        asked = int(rule.value)
    if (rule.field, rule.relation) == ("tag", "not_equals"):
        return asked not in known(draft, "tag")
    return any(RELATIONS[rule.relation](has, asked) for has in known(draft, rule.field))


@dataclass
class Desk:
    sessions: Any
    store_id: int

    async def fitting(self, rules: tuple[Rule, ...], condition: str) -> set[str]:
        stored = [store_rule(rule, place, "USD") for place, rule in enumerate(rules)]
        test, values = condition_of(stored, condition)
        query = text(f"SELECT handle FROM products p WHERE p.store_id = :store_id AND ({test})")
        async with self.sessions() as session:
            return set(await session.scalars(query, {"store_id": self.store_id, **values}))

    async def rows(self, sql: str) -> list[Any]:
        async with self.sessions() as session:
            return list(await session.execute(text(sql), {"store": self.store_id}))

    async def members(self) -> list[str]:
        rows = await self.rows(
            "SELECT p.handle FROM collection_products m JOIN products p ON p.id = m.product_id"
            " WHERE m.store_id = :store ORDER BY p.handle"
        )
        return [row.handle for row in rows]

    async def moved(self) -> list[list[int]]:
        """What the worker is asked to look through, taken from the queue."""
        rows = await self.rows(
            f"SELECT payload FROM jobs WHERE store_id = :store AND kind = '{STOCK_MOVED}' ORDER BY id"
        )
        return [row.payload["variant_ids"] for row in rows]


@pytest.fixture
async def desk(sessions, store) -> Desk:
    async with transaction(sessions) as session:
        await save_products(session, store.id, DRAFTS, now=utc_now())
    return Desk(sessions, store.id)


async def test_every_field_is_compared_by_every_relation_it_has(desk):
    for field in FIELDS:
        for relation in TEXT_RELATIONS if field in TEXT_FIELDS else NUMBER_RELATIONS:
            for value in WORDS[field]:
                rule = Rule(field, relation, value)
                assert await desk.fitting((rule,), "all") == {d.handle for d in DRAFTS if fits(d, rule)}, rule


async def test_capitals_make_no_difference_in_any_script(desk, sessions, store):
    async with transaction(sessions) as session:
        await save_products(session, store.id, [product("sea", "İzmir ΘΑΛΑΣΣΑΣ ÜBER")], now=utc_now())
    for word in ("İzmir", "ΘΑΛΑΣΣΑΣ", "θαλασσασ", "über"):
        assert await desk.fitting((Rule("title", "contains", word),), "all") == {"sea"}, word


def test_what_is_no_number_is_told_in_a_merchants_words():
    for field, value, told in (
        ("weight", "2.5", "weight is compared with a whole number."),
        ("stock", "many", "stock is compared with a whole number."),
        ("price", "12,50", "'12,50' is no amount."),
    ):
        with pytest.raises(Invalid) as refused:
            store_rule(Rule(field, "equals", value), 0, "USD")
        assert [(fault.field, fault.message) for fault in refused.value.errors] == [("rules[0].value", told)]


async def test_all_must_hold_or_any(desk):
    singles = [Rule(field, "equals", values[0]) for field, values in WORDS.items()]
    for first in singles:
        for second in singles:
            for condition, joined in (("all", all), ("any", any)):
                expected = {d.handle for d in DRAFTS if joined(fits(d, rule) for rule in (first, second))}
                assert await desk.fitting((first, second), condition) == expected, (first, second, condition)


async def collect(desk: Desk, *rules: Rule) -> None:
    async with transaction(desk.sessions) as session:
        draft = CollectionDraft("c", "C", rules=rules)
        await apply_collection(session, desk.store_id, draft, now=utc_now())


async def test_a_write_that_moves_stock_has_rules_about_stock_looked_through(desk):
    await collect(desk, Rule("stock", "less_than", "3"))
    assert await desk.members() == ["ten-cups", "tent"]
    [[plain]] = await desk.rows(
        "SELECT v.id FROM variants v JOIN products p ON p.id = v.product_id"
        " WHERE v.store_id = :store AND p.handle = 'plain'"
    )
    async with transaction(desk.sessions) as session:
        await reserve_stock(session, desk.store_id, checkout_id=1, demand={plain: 6}, expires_at=utc_now())
    assert await desk.moved() == [[plain]]
    await follow(desk)
    assert await desk.members() == ["plain", "ten-cups", "tent"]
    async with transaction(desk.sessions) as session:
        await release_stock(session, desk.store_id, checkout_id=1)
    assert await desk.moved() == [[plain], [plain]]
    await follow(desk)
    assert await desk.members() == ["ten-cups", "tent"]
    async with transaction(desk.sessions) as session:
        await set_stock(session, desk.store_id, [StockCount(plain, on_hand=7)], now=utc_now())
    assert len(await desk.moved()) == 2


async def test_without_a_rule_about_stock_a_sale_asks_nothing_of_the_worker(desk):
    await collect(desk, Rule("price", "less_than", "20"))
    [[variant], *_] = await desk.rows(
        "SELECT s.variant_id FROM stock_items s WHERE s.store_id = :store AND s.on_hand > 1"
    )
    async with transaction(desk.sessions) as session:
        await reserve_stock(session, desk.store_id, checkout_id=1, demand={variant: 1}, expires_at=utc_now())
    assert await desk.moved() == []


async def follow(desk: Desk) -> None:
    """As the worker does, with whatever else has moved."""
    jobs = catalogue_jobs(
        sessions=desk.sessions, stores=None, writer=None, mailer=None, settings=None, clock=utc_now
    )
    while await work_once(desk.sessions, jobs, Kinds(frozenset({STOCK_MOVED}), among=True)):
        pass
