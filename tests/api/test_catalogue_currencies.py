"""The catalogue in another currency: what is shown is what a cart is asked for, and what is kept is never stale."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from app.db.session import transaction
from tests.api.test_currencies import apply
from tests.api.test_kept_answers import Keeper, keeper
from tests.shop import Guest, open_till

__all__ = ["keeper"]

SHOP = """
[store]
code = "{code}"
currency = "USD"

[[currencies]]
code = "EUR"
rate = "0.9137"
round_to = "0.05"

[[currencies]]
code = "JPY"
rate = "150.3"
round_to = "10"
rounding = "up"

[[currencies]]
code = "KWD"
rate = "0.3077"
rounding = "down"

[[unit_prices]]
sku = "TNT-0"
currency = "JPY"
price = "39000"

[[unit_prices]]
sku = "TNT-0"
currency = "JPY"
minimum = 2
price = "30000"

[[unit_prices]]
sku = "TNT-1"
currency = "EUR"
group = "trade"
price = "99.00"

[[unit_prices]]
sku = "KETTLE"
group = "trade"
price = "38.00"

[[unit_prices]]
sku = "KETTLE"
minimum = 5
price = "30.00"
"""
# Every read that shows what something costs, and where that stands in its answer.
READS = {
    "/products": "items",
    "/products/ridge-tent": "",
    "/products/variants?order_by=price&price_from=4000": "items",
    "/products/variants/by-ids?product_ids[]={tent}": "*",
    "/products/variants/by-colors?colors[]=2f5d3a": "*",
    "/products/variants/{tent}": "",
    "/products/best-selling": "*",
    "/products/search?q=tent": "items",
    "/search?search=tent": "products",
    "/collections/by-hand/products": "items",
    "/collections/by-hand/products?order_by=price": "items",
    "/category/outdoor/products": "items",
    "/resolve?first=products&second=ridge-tent": "object",
}


def in_currency(path: str, currency: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}currency={currency}"


def variants_of(answer: Any, place: str) -> dict[int, dict[str, Any]]:
    """The variants of an answer by id, taken out of it: what is left has no price of its own."""
    found = answer[place] if place not in ("", "*") else answer
    found = found["items"] if place == "products" else found
    taken = {}
    for item in found if isinstance(found, list) else [found]:
        for one in item.get("variants") or [item.get("product_variant", item)]:
            taken[one["id"]] = {name: one.pop(name) for name in ("price", "compare_at_price")}
    return taken


def without_links(answer: Any) -> Any:
    """An answer but for the addresses of its pages, which say what was asked."""
    if isinstance(answer, list):
        return [without_links(one) for one in answer]
    if isinstance(answer, dict):
        return {name: without_links(one) for name, one in answer.items() if name != "_links"}
    return answer


@pytest.fixture
async def abroad(keeper: Keeper, sessions, store) -> tuple[Keeper, Guest, str]:
    """A shop in USD that sells in three currencies more and has sold a tent; with a shopper, and the tent's id."""
    await apply(sessions, store.code, SHOP)
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE stock_items SET on_hand = 90 WHERE store_id = :id"), {"id": store.id}
        )
    guest = Guest(keeper.shelf.client, store, await open_till(sessions, store))
    tent = (await keeper.shelf.json("/products/ridge-tent"))["variants"][0]["id"]
    checkout = await guest.prepare(tent)
    assert (await guest.pay(checkout["totals"]["total"])).status_code == 204
    guest.cart_uuid = ""
    return keeper, guest, tent


async def test_every_read_shows_what_a_cart_of_that_currency_is_asked_for(abroad):
    keeper, guest, tent = abroad
    for currency in ("EUR", "JPY", "KWD"):
        asked: dict[int, dict[str, Any]] = {}
        guest.cart_uuid = ""
        for named, place in READS.items():
            path = named.format(tent=tent)
            home = await keeper.shelf.json(path)
            there = await keeper.shelf.json(in_currency(path, currency))
            own, shown = variants_of(home, place), variants_of(there, place)
            assert own.keys() == shown.keys() != set()
            assert without_links(there) == without_links(home), path
            for variant, prices in shown.items():
                assert asked.setdefault(variant, prices) == prices, path
                assert prices["price"] != own[variant]["price"]
        assert len(asked) > 6
        for variant, prices in asked.items():
            body = {
                "product_id": variant,
                "quantity": 1,
                "currency": currency,
                "cart_uuid": guest.cart_uuid or None,
            }
            line = (await guest.call("POST", "/cart/items", body)).json()
            guest.cart_uuid = line["cart_uuid"]
            assert {name: line[name] for name in prices} == prices, (currency, line["title"])


async def test_a_currency_that_the_store_does_not_sell_in_is_refused_and_its_own_is_as_if_unsaid(abroad):
    keeper, _, tent = abroad
    for path in (named.format(tent=tent) for named in READS):
        for wrong, code in (("GBP", "currency_not_offered"), ("eur", None), ("E%00R", None)):
            refused = await keeper.shelf.get(in_currency(path, wrong))
            assert refused.status_code == 422, (path, refused.text)
            (fault,) = refused.json()["errors"]
            assert fault["field"] == "currency"
            assert code in (None, fault["code"])
        home, own = await keeper.shelf.json(path), await keeper.shelf.json(in_currency(path, "USD"))
        assert without_links(own) == without_links(home)


async def test_each_currency_is_kept_by_itself_until_a_rate_or_a_list_changes(abroad, sessions, store):
    keeper, _, _ = abroad
    shelf, path = keeper.shelf, "/products/ridge-tent"

    async def prices(currency: str) -> list[int]:
        keeper.statements.clear()
        found = await shelf.json(in_currency(path, currency))
        return [one["price"] for one in found["variants"]]

    async def until(expected: list[int], currency: str, *, statements: int | None = None) -> None:
        """Ask until a change is heard of, which takes a moment, as nobody of the shop's processes made it."""
        async with asyncio.timeout(10):
            while await prices(currency) != expected or statements not in (None, len(keeper.statements)):
                pass

    assert (await prices("EUR"), await prices("JPY")) == ([22750, 23665], [39000, 38930])
    tag = (await shelf.get(in_currency(path, "EUR"))).headers["etag"]
    assert tag != (await shelf.get(in_currency(path, "JPY"))).headers["etag"]
    await until([22750, 23665], "EUR", statements=0)
    # A page in the store's own currency is read as ever: nobody asks for lists or rates.
    keeper.statements.clear()
    await shelf.json("/products?limit=7")
    assert len(keeper.statements) == 1
    await shelf.json("/products?limit=7&currency=EUR")
    assert len(keeper.statements) == 3
    await apply(sessions, store.code, SHOP.replace('"0.9137"', '"0.5"').replace('"39000"', '"41000"'))
    await until([12450, 12950], "EUR")
    assert await prices("JPY") == [41000, 38930]
    again = await shelf.get(in_currency(path, "EUR"), headers={"If-None-Match": tag})
    assert again.status_code == 200
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM unit_prices WHERE store_id = :id"), {"id": store.id})
    await until([37430, 38930], "JPY")
