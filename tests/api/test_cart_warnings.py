"""A cart says of each line what its buyer paid for so many when it was put there, and what they cost now."""

import pytest
from sqlalchemy import text

from app.db.session import transaction
from app.domain.stores import directory
from tests.api.test_currencies import apply
from tests.people import join
from tests.shop import Guest, add_variant

SHOP = """
[store]
code = "{code}"
currency = "USD"

[[currencies]]
code = "EUR"
rate = "0.9"

[[currencies]]
code = "JPY"
rate = "150"

[[unit_prices]]
sku = "MUG"
minimum = 3
price = "9.00"

[[unit_prices]]
sku = "MUG"
group = "trade"
price = "8.00"

[[unit_prices]]
sku = "MUG"
currency = "JPY"
price = "1400"
"""


@pytest.fixture
async def world(guest: Guest, sessions, monkeypatch) -> tuple[Guest, int]:
    """A mug at 10.00 USD: 9.00 from three on, 8.00 for the trade, 1400 in yen; and a bowl at 3.33 without lists."""
    monkeypatch.setattr(directory, "FRESH_SECONDS", -1.0)
    mug = await add_variant(sessions, guest.store, price=1000, on_hand=100)
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE variants SET sku = 'MUG' WHERE id = :id"), {"id": mug})
    await apply(sessions, guest.store.code, SHOP)
    return guest, mug


async def add(guest: Guest, mug: int, quantity: int, currency: str | None = None) -> dict:
    body = {"product_id": mug, "quantity": quantity, "currency": currency}
    if guest.cart_uuid:
        body["cart_uuid"] = guest.cart_uuid
    answer = await guest.call("POST", "/cart/items", body)
    assert answer.status_code == 200, answer.text
    guest.cart_uuid = answer.json()["cart_uuid"]
    return answer.json()


async def told(guest: Guest) -> list[tuple[int, int]]:
    """What the cart warns of, as old and new price; line, cart and checkout say the same."""
    cart = (await guest.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")).json()
    (line,) = cart["items"]
    checkout = await guest.open_checkout()
    assert cart["warnings"] == line["warnings"] == checkout["warnings"]
    found = [(one["was"], one["now"]) for one in cart["warnings"] if one["code"] == "price_changed"]
    assert found == ([(line["added_price"], line["price"])] if line["added_price"] != line["price"] else [])
    return found


async def change(sessions, guest: Guest, old: str, new: str) -> None:
    assert SHOP.count(old) == 1
    await apply(sessions, guest.store.code, SHOP.replace(old, new))


@pytest.mark.parametrize(
    ("currency", "quantity", "groups", "old", "new", "warning"),
    [
        ("USD", 3, [], '"9.00"', '"9.50"', (900, 950)),
        ("USD", 1, ["trade"], '"8.00"', '"8.50"', (800, 850)),
        ("JPY", 1, [], '"1400"', '"1500"', (1400, 1500)),
        ("EUR", 1, [], 'rate = "0.9"', 'rate = "0.8"', (900, 800)),
        ("EUR", 3, ["trade"], '"8.00"', '"10.00"', (720, 810)),
        # What this buyer pays is what it was: the price of others, or for more, is no news.
        ("USD", 1, [], '"8.00"', '"8.50"', None),
        ("USD", 2, [], '"9.00"', '"9.50"', None),
        ("JPY", 3, [], '"9.00"', '"9.50"', None),
    ],
)
async def test_a_cart_says_when_a_list_a_rate_or_a_groups_price_changed_for_its_buyer(
    world, sessions, redis_url, currency, quantity, groups, old, new, warning
):
    guest, mug = world
    buyer = await join(guest, sessions, redis_url, groups=groups) if groups else guest
    line = await add(buyer, mug, quantity, currency)
    assert (line["added_price"], line["warnings"]) == (line["price"], [])
    assert await told(buyer) == []
    await change(sessions, guest, old, new)
    assert await told(buyer) == ([] if warning is None else [warning])
    # It is over where the price is what it was.
    await apply(sessions, guest.store.code, SHOP)
    assert await told(buyer) == []


async def test_more_of_it_another_currency_and_a_login_are_no_other_price(world, sessions, redis_url):
    guest, mug = world
    assert (await add(guest, mug, 1))["price"] == 1000
    assert (await add(guest, mug, 2))["price"] == 900
    assert await told(guest) == []
    for currency, price in (("JPY", 1400), ("EUR", 810), ("USD", 900)):
        words = {"cart_uuid": guest.cart_uuid, "currency": currency}
        cart = (await guest.call("PUT", "/cart", words)).json()
        assert (cart["items"][0]["price"], cart["warnings"]) == (price, [])
    member = await join(guest, sessions, redis_url, groups=["trade"])
    taken = (await member.call("POST", "/cart/merge", {"cart_uuid": guest.cart_uuid})).json()
    assert (taken["token"], taken["items"][0]["price"], taken["warnings"]) == (guest.cart_uuid, 800, [])
    # Nor is what a guest's cart adds to the cart that is there.
    guest.cart_uuid = ""
    bowl = await add_variant(sessions, guest.store, price=1000)
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE variants SET sku = 'BOWL' WHERE id = :id"), {"id": bowl})
    shop = SHOP + '\n[[unit_prices]]\nsku = "BOWL"\ngroup = "trade"\nprice = "7.00"\n'
    await apply(sessions, guest.store.code, shop)
    await add(guest, bowl, 1)
    both = (await member.call("POST", "/cart/merge", {"cart_uuid": guest.cart_uuid})).json()
    assert ([line["price"] for line in both["items"]], both["warnings"]) == ([800, 700], [])


async def test_who_is_taken_out_of_a_group_is_told_what_that_costs(world, sessions, redis_url):
    guest, mug = world
    member = await join(guest, sessions, redis_url, groups=["trade"])
    await add(guest, mug, 1)
    await member.call("POST", "/cart/merge", {"cart_uuid": guest.cart_uuid})
    member.cart_uuid = guest.cart_uuid
    assert await told(member) == []
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE customers SET groups = '{}' WHERE id = :id"), {"id": member.customer_id}
        )
    assert await told(member) == [(800, 1000)]
