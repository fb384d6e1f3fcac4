"""A store in USD that sells in other currencies, too: each stays the same from the cart to the payment."""

import msgspec
import pytest
from sqlalchemy import text

from app.cli.apply import ShopFile, apply_shop
from app.db.session import transaction
from app.domain.stores import directory
from app.kit.clock import utc_now
from app.kit.errors import Invalid
from tests.shop import ADDRESS, Guest, add_promotion, add_variant

SHOP = """
[store]
code = "{code}"
currency = "USD"

[[currencies]]
code = "EUR"
rate = "0.9"
round_to = "0.05"

[[currencies]]
code = "JPY"
rate = "150"
round_to = "10"
rounding = "up"

[[currencies]]
code = "KWD"
rate = "0.3077"

[[unit_prices]]
sku = "MUG"
minimum = 3
price = "9.00"

[[unit_prices]]
sku = "MUG"
currency = "JPY"
price = "1400"

[[unit_prices]]
sku = "MUG"
currency = "JPY"
minimum = 3
price = "1300"
"""


ONE_TO_ONE = """
[store]
code = "{code}"
currency = "USD"

[[currencies]]
code = "EUR"
rate = "1"
"""


async def apply(sessions, code: str, shop: str) -> list[str]:
    file = msgspec.toml.decode(shop.format(code=code), type=ShopFile)
    async with transaction(sessions) as session:
        return (await apply_shop(session, file, now=utc_now())).changes


@pytest.fixture
async def world(guest: Guest, sessions) -> tuple[Guest, int, int]:
    """A mug at 10.00 USD, 9.00 from three on, with prices of its own in yen; and a bowl without, at 3.33."""
    mug = await add_variant(sessions, guest.store, price=1000, on_hand=100)
    bowl = await add_variant(sessions, guest.store, price=333, on_hand=100)
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE variants SET sku = 'MUG' WHERE id = :id"), {"id": mug})
        await session.execute(
            text("UPDATE tax_rates SET rate_ppm = 82500 WHERE store_id = :id"), {"id": guest.store.id}
        )
    await add_promotion(sessions, guest.store, "OFF", kind="fixed_amount", value=200)
    await apply(sessions, guest.store.code, SHOP)
    return guest, mug, bowl


# What three mugs and a bowl come to by the rates: (mug, bowl, discount of 2.00 USD, shipping of 5.00 USD).
PRICES = {
    "USD": (900, 333, 200, 500),
    "EUR": (810, 300, 180, 450),
    "JPY": (1300, 500, 300, 750),
    "KWD": (2769, 1025, 615, 1539),
}


@pytest.mark.parametrize("currency", PRICES)
async def test_a_currency_stays_from_the_cart_to_the_payment(world, sessions, currency):
    guest, mug, bowl = world
    price, small, off, shipping = PRICES[currency]
    added = await guest.call("POST", "/cart/items", {"product_id": mug, "quantity": 3, "currency": currency})
    guest.cart_uuid = added.json()["cart_uuid"]
    assert (added.status_code, added.json()["price"]) == (200, price), added.text
    await guest.add(bowl)
    cart = (await guest.call("POST", "/cart/coupon", {"cart_uuid": guest.cart_uuid, "code": "OFF"})).json()
    items = 3 * price + small
    assert (cart["currency"], cart["original_total_price"], cart["total_discount"]) == (currency, items, off)
    assert cart["warnings"] == []
    await guest.open_checkout()
    where = {"email": guest.email, "shipping_address": ADDRESS}
    checkout = (await guest.call("PUT", f"/checkout/{guest.token}/customer", where)).json()
    assert checkout["shipping_options"][0]["price"] == shipping
    checkout = (
        await guest.call("PUT", f"/checkout/{guest.token}/shipping", {"shipping_option_id": guest.option_id})
    ).json()
    totals = checkout["totals"]
    assert (checkout["currency"], totals["items"], totals["discount"], totals["shipping"]) == (
        currency,
        items,
        off,
        shipping,
    )
    assert totals["total"] == items - off + shipping + totals["tax"]
    assert totals["tax"] == sum(line["tax"] for line in checkout["items"]) > 0
    paid = await guest.pay(totals["total"])
    assert paid.status_code == 204, paid.text
    order = (await guest.read_order(int(paid.headers["location"].rpartition("/")[2]))).json()
    assert (order["currency"], order["totals"], order["payment_status"]) == (currency, totals, "paid")
    async with sessions() as session:
        values = {"id": guest.store.id}
        payments = await session.execute(
            text("SELECT currency, amount, captured FROM payments WHERE store_id = :id"), values
        )
        assert payments.all() == [(currency, totals["total"], totals["total"])]
        ledger = await session.execute(
            text(
                "SELECT DISTINCT l.currency FROM audit.ledger l JOIN orders o ON o.id = l.order_id "
                "WHERE o.store_id = :id"
            ),
            values,
        )
        assert ledger.scalars().all() == [currency]


async def test_the_same_number_of_another_currency_is_another_total(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store, price=1000)
    await apply(sessions, guest.store.code, ONE_TO_ONE)
    checkout = await guest.prepare(variant)
    changed = await guest.call("PUT", "/cart", {"cart_uuid": guest.cart_uuid, "currency": "EUR"})
    assert changed.json()["currency"] == "EUR"
    total = checkout["totals"]["total"]
    assert (await guest.read_checkout())["totals"]["total"] == total
    pay = {"payment_type": "test", "payment_token": "ok", "amount": total, "currency": checkout["currency"]}
    path = f"/checkout/{guest.token}/payment"
    refused = await guest.call("POST", path, pay)
    assert (refused.status_code, refused.json()["code"], refused.json()["currency"]) == (
        409,
        "total_changed",
        "EUR",
    )
    assert refused.json()["detail"] == "The checkout is in EUR by now, not in USD."
    wrong = await guest.call("POST", path, {**pay, "currency": "eur"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "currency")
    assert (await guest.call("POST", path, {**pay, "currency": "EUR"})).status_code == 204


async def test_another_currency_is_no_other_price_and_another_price_stays_one_in_any_currency(
    world, sessions
):
    guest, mug, bowl = world
    await guest.add(mug)
    await guest.add(bowl)

    async def choose(currency: str) -> dict:
        answer = await guest.call("PUT", "/cart", {"cart_uuid": guest.cart_uuid, "currency": currency})
        assert answer.status_code == 200, answer.text
        return answer.json()

    for currency, prices in (("JPY", [1400, 500]), ("KWD", [3077, 1025]), ("EUR", [900, 300])):
        cart = await choose(currency)
        assert (cart["currency"], [line["price"] for line in cart["items"]]) == (currency, prices)
        assert (cart["warnings"], [line["added_price"] for line in cart["items"]]) == ([], prices)
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE variants SET price = 400 WHERE id = :id"), {"id": bowl})
    [told] = (await choose("EUR"))["warnings"]
    assert (told["variant_id"], told["was"], told["now"]) == (bowl, 300, 360)
    [told] = (await choose("USD"))["warnings"]
    assert (told["was"], told["now"]) == (333, 400)


async def test_a_currency_that_the_store_gives_up_leaves_the_cart_in_the_stores_own(
    world, sessions, monkeypatch
):
    monkeypatch.setattr(directory, "FRESH_SECONDS", -1.0)
    guest, mug, _ = world
    added = await guest.call("POST", "/cart/items", {"product_id": mug, "quantity": 1, "currency": "JPY"})
    guest.cart_uuid = added.json()["cart_uuid"]
    due = (await guest.prepare(mug))["totals"]["due"]
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE stores SET settings = settings - 'currencies' WHERE id = :id"),
            {"id": guest.store.id},
        )
    cart = (await guest.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")).json()
    assert (cart["currency"], cart["items"][0]["price"]) == ("USD", 1000)
    assert [(one["code"], one["variant_id"]) for one in cart["warnings"]] == [("currency_changed", None)]
    # What it cost in another currency is no price that went down.
    told = (await guest.pay(due)).json()
    assert (told["code"], told["currency"], told["changes"]) == ("total_changed", "USD", [])
    refused = await guest.call("POST", "/cart/items", {"product_id": mug, "quantity": 1, "currency": "JPY"})
    assert (refused.status_code, refused.json()["code"]) == (422, "currency_not_offered")


async def test_the_shop_file_is_the_whole_truth_of_currencies_and_names_what_is_wrong_with_them(
    guest: Guest, sessions
):
    code = guest.store.code
    assert await apply(sessions, code, SHOP) == [
        f"store {code}: currencies {name} added" for name in ("EUR", "JPY", "KWD")
    ]
    assert await apply(sessions, code, SHOP) == []
    fewer = SHOP.replace('"0.3077"', '"0.31"').replace('code = "EUR"', 'code = "CHF"')
    assert await apply(sessions, code, fewer) == [
        f"store {code}: currencies {told}" for told in ("EUR removed", "KWD changed", "CHF added")
    ]
    options = (await guest.call("GET", "/options")).json()
    assert [(one["code"], one["exponent"]) for one in options["currencies"]] == [
        ("USD", 2),
        ("CHF", 2),
        ("JPY", 0),
        ("KWD", 3),
    ]
    for wrong, place in (
        (SHOP.replace('code = "JPY"', 'code = "XYZ"'), "currencies[1].code"),
        (SHOP.replace('code = "JPY"', 'code = "USD"'), "currencies[1].code"),
        (SHOP.replace('code = "JPY"', 'code = "EUR"'), "currencies[1]"),
        (SHOP.replace('rate = "150"', 'rate = "0.0"'), "currencies[1].rate"),
        (SHOP.replace('round_to = "10"', 'round_to = "0.5"'), "currencies[1].round_to"),
        (SHOP.replace('currency = "JPY"\nprice', 'currency = "GBP"\nprice'), "unit_prices[1].currency"),
        (SHOP.replace('price = "1400"', 'price = "14.50"'), "unit_prices[1].price"),
    ):
        with pytest.raises(Invalid) as refused:
            await apply(sessions, code, wrong)
        assert place in {fault.field for fault in refused.value.errors}, refused.value.errors
