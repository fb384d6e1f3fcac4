"""Each step from the cart to the order sends as many SQL statements for a full cart with many promotions as for any."""

from tests.api.test_statements import counted
from tests.conftest import make_store
from tests.shop import ADDRESS, Guest, add_promotion, add_variant, open_till

__all__ = ["counted"]


async def walk(client, sessions, counted, *, lines: int, promotions: int) -> dict[str, int]:
    """How many statements each step sends for one more line in a cart of so many, in a store of its own."""
    store = await make_store(sessions)
    guest = Guest(client, store, await open_till(sessions, store))
    for _ in range(promotions):
        await add_promotion(sessions, store, value=100, max_uses=1000)
    await add_promotion(sessions, store, "SAVE10", max_per_customer=1)
    for _ in range(lines):
        await guest.add(await add_variant(sessions, store))
    variant = await add_variant(sessions, store)
    sent: dict[str, int] = {}

    async def step(name: str, method: str, path: str, body: object = None) -> dict:
        with counted() as seen:
            answer = await guest.call(method, path, body)
        assert answer.status_code in (200, 204), answer.text
        sent[name] = len(seen)
        return answer.json() if answer.content else {}

    added = {"product_id": variant, "quantity": 1, "cart_uuid": guest.cart_uuid}
    await step("add", "POST", "/cart/items", added)
    await step("set", "PUT", "/cart/items", {**added, "quantity": 2})
    await step("coupon", "POST", "/cart/coupon", {"cart_uuid": guest.cart_uuid, "code": "SAVE10"})
    cart = await step("cart", "GET", f"/cart?cart_uuid={guest.cart_uuid}")
    assert (len(cart["items"]), len(cart["discounts"])) == (lines + 1, promotions + 1)
    opened = await step("open", "POST", "/checkout", {"cart_uuid": guest.cart_uuid})
    way = f"/checkout/{opened['checkout_token']}"
    await step("customer", "PUT", f"{way}/customer", {"email": guest.email, "shipping_address": ADDRESS})
    await step("shipping", "PUT", f"{way}/shipping", {"shipping_option_id": guest.option_id})
    priced = await step("read", "GET", way)
    pay = {"payment_type": "test", "payment_token": "ok", "amount": priced["totals"]["total"]}
    await step("pay", "POST", f"{way}/payment", pay)
    return sent


async def test_no_step_from_cart_to_order_sends_more_statements_for_more_lines_or_promotions(
    client, sessions, counted
):
    few = await walk(client, sessions, counted, lines=1, promotions=1)
    assert await walk(client, sessions, counted, lines=15, promotions=1) == few
    assert await walk(client, sessions, counted, lines=15, promotions=20) == few
