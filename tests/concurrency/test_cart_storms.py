"""One cart, many hands: adds that meet, edits while it is being paid for, and one request sent fifty times."""

import asyncio
import random
from collections import Counter
from functools import partial
from typing import Any
from uuid import uuid4

from sqlalchemy import text

from tests.concurrency.tally import in_batches, tally
from tests.shop import ADDRESS, Guest, add_variant
from tests.standins.books import check_money

KEY = "Idempotency-Key"


async def test_parallel_adds_of_one_variant_add_up_on_one_line(crowd, sessions, store, sized, figure):
    number = sized(200, 50)
    variant = await add_variant(sessions, store, on_hand=number)
    (guest,) = crowd(1)
    await guest.add(variant)
    answers = await in_batches((guest.add(variant) for _ in range(number - 1)), size=50)
    assert {answer.status_code for answer in answers} == {200}
    cart = (await guest.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")).json()
    (line,) = cart["items"]
    assert line["quantity"] == number
    one_more = await guest.add(variant)
    assert (one_more.status_code, one_more.json()["code"]) == (422, "not_enough_stock")
    figure(f"{number} adds of one variant, 50 at a time: one line of {number}")


async def test_carts_that_want_the_same_variant_share_what_there_is(crowd, sessions, store, sized, figure):
    """Threes of fifty: sixteen get theirs, and the two that are left over go to nobody who wants three."""
    number = sized(100, 40)
    variant = await add_variant(sessions, store, on_hand=50)
    guests: list[Guest] = crowd(number)
    # The same variant twice in a cart is one demand of three.
    await in_batches(guest.add(variant, 2) for guest in guests)
    checkouts = await in_batches(guest.prepare(variant, 1) for guest in guests)
    total = checkouts[0]["totals"]["total"]
    answers = await asyncio.gather(*(guest.pay(total) for guest in guests))
    said = Counter(
        (answer.status_code, answer.json()["code"] if answer.content else "") for answer in answers
    )
    assert said == {(204, ""): 16, (409, "out_of_stock"): number - 16}
    found = await tally(sessions, store, variant)
    assert (found.orders, found.on_hand, found.reserved) == (16, 2, 0)
    figure(f"{number} carts of 3 on 50 units: {found.orders} orders, stock {found.on_hand}, no 5xx")


async def test_a_request_sent_fifty_times_under_one_key_has_one_effect(
    crowd, sessions, store, stripe, sized, figure
):
    number = sized(10, 2)
    variant = await add_variant(sessions, store, on_hand=100)
    guests: list[Guest] = crowd(number)

    async def fifty(call) -> list[Any]:
        key = {KEY: uuid4().hex}
        answers = await asyncio.gather(*(call(**key) for _ in range(50)))
        assert {answer.status_code for answer in answers} <= {200, 204}
        return answers

    for guest in guests:
        wanted = {"product_id": variant, "quantity": 2}
        added = await fifty(partial(guest.call, "POST", "/cart/items", wanted))
        (guest.cart_uuid,) = {answer.json()["cart_uuid"] for answer in added}
        assert {answer.json()["quantity"] for answer in added} == {2}
        assert Counter(answer.headers.get("Idempotency-Replayed") for answer in added) == {
            None: 1,
            "true": 49,
        }
        again = {**wanted, "quantity": 1, "cart_uuid": guest.cart_uuid}
        await fifty(partial(guest.call, "POST", "/cart/items", again))
        opened = await fifty(partial(guest.call, "POST", "/checkout", {"cart_uuid": guest.cart_uuid}))
        (guest.token,) = {answer.json()["checkout_token"] for answer in opened}
        total = await fill_in(guest)
        assert total == 3 * 2500 + 500
        paid = await fifty(partial(guest.pay, total, service="stripe", payment_token="pm_card_visa"))
        assert len({answer.headers["location"] for answer in paid}) == 1
    found = await tally(sessions, store, variant)
    assert (found.orders, found.payments, found.on_hand) == (number, number, 100 - 3 * number)
    await check_money(sessions, store.id, stripe)
    figure(f"{number} shoppers send each step 50 times under one key: {found.orders} orders, one effect each")


async def fill_in(guest: Guest) -> int:
    """Who buys, and how it is sent; the total."""
    customer = {"email": guest.email, "shipping_address": ADDRESS}
    await guest.call("PUT", f"/checkout/{guest.token}/customer", customer)
    shipping = {"shipping_option_id": guest.option_id}
    answer = await guest.call("PUT", f"/checkout/{guest.token}/shipping", shipping)
    total: int = answer.json()["totals"]["total"]
    return total


async def test_edits_while_a_cart_is_being_paid_for_change_no_order(
    crowd, sessions, store, stripe, sized, figure
):
    number = sized(40, 8)
    variant = await add_variant(sessions, store, on_hand=500)
    other = await add_variant(sessions, store, price=700, on_hand=500)
    guests: list[Guest] = crowd(number)
    checkouts = await in_batches(guest.prepare(variant, 2) for guest in guests)
    total = checkouts[0]["totals"]["total"]
    dice = random.Random(11)
    answers = []

    def edits(guest: Guest) -> list[Any]:
        cart = {"cart_uuid": guest.cart_uuid}
        return [
            partial(guest.add, other),
            partial(guest.add, variant, 3),
            partial(guest.call, "PUT", "/cart/items", {"product_id": variant, "quantity": 9, **cart}),
            partial(guest.call, "DELETE", f"/cart/items?product_id={variant}&cart_uuid={guest.cart_uuid}"),
            partial(guest.call, "PUT", f"/checkout/{guest.token}/customer", {"email": "eve@example.com"}),
        ]

    def storm() -> list[Any]:
        calls = [edit for guest in guests for edit in edits(guest)]
        dice.shuffle(calls)
        return [call() for call in calls]

    # Some edits come before the total is frozen, and then the page's total is refused.
    before = len(stripe.log)
    stripe.fail("confirm", *["hang"] * number)
    paying = [
        asyncio.create_task(guest.pay(total, service="stripe", payment_token="pm_card_visa"))
        for guest in guests
    ]
    answers += await asyncio.gather(*storm())
    async with asyncio.timeout(30):
        while len(stripe.log) - before + sum(task.done() for task in paying) < number:  # noqa: ASYNC110 - the stand-in rings no bell
            await asyncio.sleep(0.01)
    # The others are at Stripe now, and nothing that happens to their carts is about what they pay.
    answers += await asyncio.gather(*storm())
    stripe.release()
    paid = await asyncio.gather(*paying)
    stripe.clear_faults()
    assert all(answer.status_code < 500 for answer in [*answers, *paid])
    refused = {answer.json()["code"] for answer in paid if answer.status_code != 204}
    assert refused <= {"total_changed", "cart_empty"}
    orders = [answer.headers["location"] for answer in paid if answer.status_code == 204]
    assert orders
    async with sessions() as session:
        sums = list(
            await session.execute(
                text(
                    "SELECT o.total, o.email, p.captured, l.items, l.variants FROM orders o "
                    "JOIN payments p ON p.order_id = o.id CROSS JOIN LATERAL ("
                    "SELECT sum(line_price) AS items, array_agg(variant_id) AS variants FROM order_lines "
                    "WHERE order_id = o.id) l WHERE o.store_id = :store AND o.status <> 'pending'"
                ),
                {"store": store.id},
            )
        )
    assert len(sums) == len(orders)
    # Where edits before the freezing came to the same total it may be another basket, never another sum.
    assert {(row.total, row.captured, row.items) for row in sums} == {(total, total, total - 500)}
    await check_money(sessions, store.id, stripe)
    figure(
        f"{number} carts with {len(answers)} edits while they are paid for: {len(orders)} orders of the total that "
        f"was shown, {number - len(orders)} total_changed"
    )
