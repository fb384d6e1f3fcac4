"""Saved means of payment: for whoever wished it, with their customer's number at Stripe, and for nobody else."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.db.queue import Job
from app.domain.checkout import till
from app.domain.checkout.saving import saving_jobs
from app.domain.payments.saved import FORGET_CUSTOMER, FORGET_METHOD, SAVE
from app.kit.clock import utc_now
from app.main import build_shop, close_shop
from tests.api.stripe_shop import Buyer
from tests.people import Member, join
from tests.shop import Guest, add_variant, open_till

CARD = {
    "service": "stripe",
    "kind": "card",
    "brand": "visa",
    "last_four": "4242",
    "exp_month": 8,
    "exp_year": 2031,
}


@pytest.fixture
async def buyer(place, sessions, store, redis_url) -> AsyncIterator[Buyer]:
    """A customer with a filled checkout."""
    guest = Guest(place.client, store, await open_till(sessions, store))
    member = await join(guest, sessions, redis_url)
    variant = await add_variant(sessions, store, price=2500, on_hand=9)
    await member.prepare(variant)
    yield Buyer(member, place.stripe, place, sessions, variant)
    place.stripe.clear_faults()


async def pay(shopper: Guest, *, key: str = "", **how: Any) -> httpx.Response:
    body = {"payment_type": "stripe", "amount": 3000, **how}
    headers = {"Idempotency-Key": key} if key else {}
    async with asyncio.timeout(20):
        while True:
            answer = await shopper.call("POST", f"/checkout/{shopper.token}/payment", body, **headers)
            if answer.status_code != 202:  # on a busy machine the first answer may say that it takes a while
                return answer


async def again(buyer: Buyer, shopper: Guest) -> None:
    """Fill another checkout."""
    shopper.cart_uuid = ""
    await shopper.prepare(buyer.variant)


async def work(buyer: Buyer, kind: str, *, expected: int = 1) -> None:
    """Do all jobs of a kind, also those that were done before."""
    rows = await buyer.rows(
        f"SELECT id, store_id, kind, dedupe_key, payload FROM jobs WHERE kind = '{kind}' AND store_id = :store"
    )
    assert len(rows) == expected
    shop = build_shop(buyer.settings)
    try:
        for row in rows:
            await saving_jobs(till=shop.till, clock=utc_now)[kind](Job(*row, tries=1))
    finally:
        await close_shop(shop)


async def saved(shopper: Guest) -> list[dict[str, Any]]:
    answer = await shopper.call("GET", "/customer/payment-methods")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def save_one(buyer: Buyer) -> dict[str, Any]:
    paid = await pay(buyer.guest, payment_token="pm_card_visa", save_payment_method=True)
    assert paid.status_code == 204, paid.text
    await work(buyer, SAVE)
    (method,) = await saved(buyer.guest)
    return method


async def test_a_card_is_saved_by_wish_paid_with_again_and_removed(buyer: Buyer, sessions):
    before = set(buyer.stripe.kept.customers)
    assert (await pay(buyer.guest, payment_token="pm_card_visa")).status_code == 204
    assert (await buyer.intent())["customer"] is None
    await again(buyer, buyer.guest)
    method = await save_one(buyer)
    assert method | CARD == method
    intent = await buyer.intent()
    assert (intent["customer"], intent["setup_future_usage"]) == (
        buyer.stripe.kept.methods[intent["payment_method"]]["customer"],
        "on_session",
    )
    for _ in range(2):
        await again(buyer, buyer.guest)
        last = await pay(buyer.guest, payment_method_id=method["id"])
        assert last.status_code == 204
        latest = await buyer.intent()
        assert latest["payment_method"] == intent["payment_method"]
        assert latest["setup_future_usage"] is None
    await work(buyer, SAVE)
    assert await saved(buyer.guest) == [method]
    assert len(set(buyer.stripe.kept.customers) - before) == 1
    await buyer.check_books(orders=4, stock=(5, 0))

    path = f"/customer/payment-methods/{method['id']}"
    assert [(await buyer.guest.call("DELETE", path)).status_code for _ in range(2)] == [204, 404]
    assert await saved(buyer.guest) == []
    await work(buyer, FORGET_METHOD)
    await work(buyer, FORGET_METHOD)
    assert buyer.stripe.kept.methods[intent["payment_method"]]["customer"] is None
    # What it paid before is paid: the same call again is told so, also without a key.
    repeated = await pay(buyer.guest, payment_method_id=method["id"])
    assert repeated.status_code == 204, repeated.text
    assert repeated.headers["location"] == last.headers["location"]
    await again(buyer, buyer.guest)
    gone = await pay(buyer.guest, payment_method_id=method["id"])
    assert (gone.status_code, gone.json()["code"]) == (404, "payment_method_not_found")


async def test_a_payment_is_repeated_under_its_key_also_when_its_card_is_removed(buyer: Buyer):
    method = await save_one(buyer)
    await again(buyer, buyer.guest)
    paid = await pay(buyer.guest, key="once", payment_method_id=method["id"])
    assert paid.status_code == 204, paid.text
    assert (await buyer.guest.call("DELETE", f"/customer/payment-methods/{method['id']}")).status_code == 204
    repeated = await pay(buyer.guest, key="once", payment_method_id=method["id"])
    assert repeated.status_code == 204, repeated.text
    assert repeated.headers["location"] == paid.headers["location"]
    assert repeated.headers["idempotency-replayed"] == "true"
    await buyer.check_books(orders=2, stock=(7, 0))


async def test_what_another_customer_saved_is_as_unknown_as_what_never_was(buyer: Buyer, sessions, redis_url):
    method = await save_one(buyer)
    reference = (await buyer.intent())["payment_method"]
    plain = Guest(buyer.guest.client, buyer.guest.store, buyer.guest.option_id)
    other: Member = await join(plain, sessions, redis_url)
    await other.prepare(buyer.variant)
    answers = [await pay(other, payment_method_id=number) for number in (method["id"], 10**9)]
    answers += [
        await other.call("DELETE", f"/customer/payment-methods/{number}") for number in (method["id"], 10**9)
    ]
    assert {(one.status_code, one.json()["code"], one.json()["detail"]) for one in answers} == {
        (404, "payment_method_not_found", "There is no such means of payment.")
    }
    assert await saved(other) == []
    # Nor by the name that Stripe has for it, with or without a customer of one's own.
    for wish in ({}, {"save_payment_method": True}):
        refused = await pay(other, payment_token=reference, **wish)
        assert (refused.status_code, refused.json()["reason"]) == (402, "resource_missing")
    await plain.prepare(buyer.variant)
    for wish in ({"payment_method_id": method["id"]}, {"payment_token": "x", "save_payment_method": True}):
        stranger = await pay(plain, **wish)
        assert (stranger.status_code, stranger.json()["code"]) == (401, "login_required")
    assert await saved(buyer.guest) == [method]
    await buyer.check_books(orders=1, stock=(8, 0))


async def test_wishes_that_cannot_be_are_refused_by_their_field(buyer: Buyer):
    method = await save_one(buyer)
    await again(buyer, buyer.guest)
    manual = {"payment_type": "manual", "save_payment_method": True}
    both = {"payment_method_id": method["id"], "payment_token": "pm_card_visa"}
    for how, field in (
        (manual, "save_payment_method"),
        (both, "payment_method_id"),
        ({}, "payment_token"),
        ({"payment_method_id": 0}, "payment_method_id"),
    ):
        answer = await pay(buyer.guest, **how)
        assert answer.status_code == 422, (how, answer.text)
        assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    elsewhere = await pay(buyer.guest, payment_type="manual", payment_method_id=method["id"])
    assert elsewhere.status_code == 404
    await buyer.check_books(orders=1, stock=(8, 0))


async def test_the_page_saves_too_once_the_second_step_is_done(buyer: Buyer):
    path = f"/checkout/{buyer.guest.token}/payment/stripe"
    started = await buyer.guest.call("POST", path, {"save_payment_method": True})
    assert started.status_code == 200, started.text
    buyer.stripe.pay_on_page(started.json()["client_secret"], "pm_card_authenticationRequired")
    intent = await buyer.intent()
    assert await saved(buyer.guest) == []
    buyer.stripe.authenticate(intent["id"])
    for event in buyer.stripe.events_of(intent["id"]) * 2:
        assert (await buyer.send(event)).status_code == 200
    await work(buyer, SAVE)
    assert [one["last_four"] for one in await saved(buyer.guest)] == ["4242"]


async def test_a_wish_that_is_taken_back_before_the_second_step_saves_nothing(buyer: Buyer):
    for wish in (True, False):
        asked = await pay(
            buyer.guest, payment_token="pm_card_authenticationRequired", save_payment_method=wish
        )
        assert asked.json()["code"] == "second_step_required"
    intent = await buyer.intent()
    assert (intent["customer"], intent["setup_future_usage"]) == (None, None)
    buyer.stripe.authenticate(intent["id"])
    assert (await buyer.confirm()).json()["state"] == "completed"
    await work(buyer, SAVE, expected=0)
    await buyer.check_books(orders=1, stock=(8, 0))


async def test_a_stripe_that_makes_nobody_known_in_time_charges_nothing(buyer: Buyer, monkeypatch):
    assert till.CALL_IS_OVER_SECONDS > till.CUSTOMER_SECONDS + till.CALL_SECONDS
    monkeypatch.setattr(till, "CUSTOMER_SECONDS", 0.3)
    buyer.stripe.fail("make_customer", "hang")
    try:
        refused = await pay(buyer.guest, payment_token="pm_card_visa", save_payment_method=True)
    finally:
        buyer.stripe.release()
    assert (refused.status_code, refused.json()["reason"]) == (402, "service_unavailable")
    await buyer.check_books(orders=0, stock=(9, 0))


async def test_a_stripe_that_makes_nobody_known_charges_nothing(buyer: Buyer):
    buyer.stripe.fail("make_customer", "error")
    refused = await pay(buyer.guest, payment_token="pm_card_visa", save_payment_method=True)
    assert (refused.status_code, refused.json()["reason"]) == (402, "service_unavailable")
    await buyer.check_books(orders=0, stock=(9, 0))
    await save_one(buyer)
    await buyer.check_books(orders=1, stock=(8, 0))


async def test_a_closed_account_leaves_nothing_at_stripe(buyer: Buyer):
    method = await save_one(buyer)
    intent = await buyer.intent()
    export = await buyer.guest.call("GET", "/customer/export")
    (exported,) = export.json()["payment_methods"]
    assert (exported["last_four"], "reference" in exported) == ("4242", False)
    late = replace(buyer.guest)
    closed = await buyer.guest.call("DELETE", "/customer", {})
    assert closed.status_code == 204, closed.text
    await work(buyer, FORGET_CUSTOMER)
    await work(buyer, FORGET_CUSTOMER)
    assert intent["customer"] not in buyer.stripe.kept.customers
    assert buyer.stripe.kept.methods[intent["payment_method"]]["customer"] is None
    # A look that comes late keeps nothing for whoever is gone.
    await work(buyer, SAVE)
    assert await buyer.rows("SELECT id FROM saved_methods WHERE store_id = :store") == []
    assert (await pay(late, payment_method_id=method["id"])).status_code == 401
