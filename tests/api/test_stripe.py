"""Paying through Stripe and what its events may settle, against a stand-in on loopback."""

import asyncio
import copy
import random
import time
from typing import Any

import pytest
from sqlalchemy import text

from app.db.session import transaction
from app.domain.checkout.placing import settle
from app.domain.payments.service import find_payment_by_reference
from app.domain.payments.services import Captured
from app.kit.clock import utc_now
from app.main import build_shop, close_shop
from tests.api.stripe_shop import Buyer
from tests.canaries import SECOND_WEBHOOK_SECRET
from tests.standins.stripe import StripeStandIn


async def test_a_card_pays_and_the_log_agrees(buyer: Buyer):
    checkout = await buyer.guest.read_checkout()
    shown = {service["name"]: service["public_key"] for service in checkout["payment_services"]}
    assert shown["stripe"] == "pk_test_standin"
    paid = await buyer.pay()
    assert paid.status_code == 204, paid.text
    intent = await buyer.intent()
    assert (intent["amount"], intent["currency"]) == (3000, "usd")
    order_id = paid.headers["location"].rpartition("/")[2]
    assert intent["metadata"]["order_id"] == order_id
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_a_declined_card_says_why_and_another_one_pays(buyer: Buyer):
    declined = await buyer.pay("pm_card_chargeDeclinedInsufficientFunds")
    assert (declined.status_code, declined.json()["code"]) == (402, "payment_declined")
    assert declined.json()["reason"] == "insufficient_funds"
    await buyer.check_books(orders=0, stock=(5, 0))
    late = [await buyer.send(event) for event in buyer.stripe.events_of((await buyer.intent())["id"])]
    assert {answer.status_code for answer in late} == {200}
    assert (await buyer.pay("pm_card_mastercard")).status_code == 204
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_a_card_that_nobody_knows_is_a_decline(buyer: Buyer):
    answer = await buyer.pay("pm_card_nonsense")
    assert (answer.status_code, answer.json()["reason"]) == (402, "resource_missing")
    await buyer.check_books(orders=0, stock=(5, 0))


async def test_a_second_step_ends_in_the_shoppers_return(buyer: Buyer):
    asked = await buyer.pay("pm_card_authenticationRequired")
    assert (asked.status_code, asked.json()["code"]) == (402, "second_step_required")
    intent = await buyer.intent()
    assert asked.json()["client_secret"] == intent["client_secret"]
    await buyer.check_books(orders=0, stock=(5, 1))
    assert (await buyer.confirm()).json()["code"] == "second_step_required"
    buyer.stripe.authenticate(intent["id"])
    done = await buyer.confirm()
    assert (done.status_code, done.json()["state"]) == (200, "completed")
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_a_second_step_ends_by_the_webhook_alone(buyer: Buyer):
    await buyer.pay("pm_card_authenticationRequired")
    intent = await buyer.intent()
    buyer.stripe.authenticate(intent["id"])
    (event,) = buyer.stripe.events_of(intent["id"], "payment_intent.succeeded")
    assert (await buyer.send(event)).json() == {"received": True, "taken": True}
    assert (await buyer.send(event)).json() == {"received": True, "taken": False}
    assert await buyer.state() == "completed"
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_a_failed_second_step_gives_the_stock_back(buyer: Buyer):
    await buyer.pay("pm_card_authenticationRequired")
    intent = await buyer.intent()
    buyer.stripe.authenticate(intent["id"], success=False)
    answer = await buyer.confirm()
    assert (answer.status_code, answer.json()["code"]) == (402, "payment_declined")
    assert answer.json()["reason"] == "payment_intent_authentication_failure"
    assert intent["status"] == "canceled"
    await buyer.check_books(orders=0, stock=(5, 0))


async def test_the_page_confirms_a_started_payment_itself(buyer: Buyer):
    path = f"/checkout/{buyer.guest.token}/payment/stripe"
    started = await buyer.guest.call("POST", path, {})
    assert started.status_code == 200, started.text
    assert (started.json()["status"], started.json()["amount"]) == ("action_needed", 3000)
    secret = started.json()["client_secret"]
    # In the page a declined card can be followed by another one, on the same payment.
    assert buyer.stripe.pay_on_page(secret, "pm_card_chargeDeclined") == "requires_payment_method"
    intent = await buyer.intent()
    for event in buyer.stripe.events_of(intent["id"]):
        assert (await buyer.send(event)).status_code == 200
    await buyer.reconcile()
    assert await buyer.state() == "paying"
    assert buyer.stripe.pay_on_page(secret, "pm_card_visa") == "succeeded"
    assert (await buyer.confirm()).json()["state"] == "completed"
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_starting_at_another_service_gives_up_what_was_started_before(buyer: Buyer):
    path = f"/checkout/{buyer.guest.token}/payment"
    first = await buyer.guest.call("POST", f"{path}/stripe", {})
    assert first.status_code == 200, first.text
    intent = await buyer.intent()
    keyed = {"Idempotency-Key": "other"}
    asked = await buyer.guest.pay(3000, service="test", payment_token="second_step", **keyed)
    assert (asked.status_code, asked.json()["code"]) == (402, "second_step_required")
    assert intent["status"] == "canceled"
    back = [await buyer.guest.call("POST", f"{path}/stripe", {}, **{"Idempotency-Key": "back"}) for _ in "ab"]
    assert [one.status_code for one in back] == [200, 200], back[0].text
    assert back[0].json() == back[1].json()
    shown = back[0].json()
    assert (shown["service"], shown["status"]) == ("stripe", "action_needed")
    assert shown["client_secret"] not in (None, first.json()["client_secret"])
    buyer.stripe.pay_on_page(shown["client_secret"], "pm_card_visa")
    assert (await buyer.confirm()).json()["state"] == "completed"
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_an_event_that_was_read_while_another_settled_does_not_send_the_money_back(buyer: Buyer):
    buyer.stripe.fail("confirm", "cut")
    assert (await buyer.pay()).status_code == 202
    intent = await buyer.intent()
    finding = Captured(intent["id"], 3000, "USD")
    (event,) = buyer.stripe.events_of(intent["id"], "payment_intent.succeeded")
    shop = build_shop(buyer.place.settings)
    try:
        store = await shop.stores.get(buyer.guest.store.id)
        async with transaction(shop.sessions) as session:
            payment = await find_payment_by_reference(
                session, "stripe", key=intent["metadata"]["attempt"], reference=None
            )
            assert payment is not None
            assert payment.state == "unknown"
            assert (await buyer.send(event)).status_code == 200
            assert await settle(session, store, payment=payment, finding=finding, now=utc_now()) == "captured"
    finally:
        await close_shop(shop)
    assert await buyer.rows("SELECT state FROM payments WHERE store_id = :store") == [("captured",)]
    assert (
        await buyer.rows("SELECT kind FROM jobs WHERE kind = 'payments.refund' AND store_id = :store") == []
    )
    await buyer.check_books(orders=1, stock=(4, 0))


@pytest.mark.parametrize("seed", range(5))
async def test_events_and_return_together_make_one_order(buyer: Buyer, seed: int):
    await buyer.pay("pm_card_authenticationRequired")
    intent = await buyer.intent()
    buyer.stripe.authenticate(intent["id"])
    calls = [
        *(buyer.send(event) for event in buyer.stripe.events_of(intent["id"]) for _ in range(3)),
        *(buyer.confirm() for _ in range(3)),
    ]
    random.Random(seed).shuffle(calls)
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {200}
    await buyer.check_books(orders=1, stock=(4, 0))


WRONG_SUMS: dict[str, dict[str, Any]] = {
    "less money": {"amount_received": 1},
    "more money": {"amount_received": 300_000},
    "another currency": {"currency": "jpy"},
}


@pytest.mark.parametrize("name", WRONG_SUMS)
async def test_a_signed_event_about_another_sum_pays_no_order(buyer: Buyer, name: str):
    await buyer.pay("pm_card_authenticationRequired")
    event = _succeeded(buyer.stripe, await buyer.intent())
    event["data"]["object"].update(WRONG_SUMS[name])
    assert (await buyer.send(event)).status_code == 200
    assert await buyer.state() == "paying"
    assert await buyer.rows("SELECT state FROM payments WHERE store_id = :store") == [("action_needed",)]
    assert await buyer.rows(
        "SELECT outcome FROM payment_events WHERE store_id = :store ORDER BY id DESC LIMIT 1"
    ) == [("parked",)]
    await buyer.check_books(orders=0, stock=(5, 1))


FORGERIES: dict[str, dict[str, Any]] = {
    "no currency": {"currency": "xx"},
    "another payment": {"id": "pi_of_somebody_else"},
    "a live payment": {"livemode": True},
    "not taken yet": {"status": "processing"},
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_signed_event_about_another_payment_settles_nothing(buyer: Buyer, name: str):
    await buyer.pay("pm_card_authenticationRequired")
    intent = await buyer.intent()
    event = _succeeded(buyer.stripe, intent)
    event["data"]["object"].update(FORGERIES[name])
    assert (await buyer.send(event)).status_code == 200
    assert await buyer.state() == "paying"
    await buyer.check_books(orders=0, stock=(5, 1))


async def test_an_event_that_comes_again_has_no_second_effect(buyer: Buyer):
    await buyer.pay("pm_card_authenticationRequired")
    event = _succeeded(buyer.stripe, await buyer.intent())
    event["data"]["object"]["id"] = "pi_of_somebody_else"
    for _ in range(3):
        assert (await buyer.send(event)).status_code == 200
    assert await buyer.rows(
        "SELECT count(*) FROM order_events WHERE store_id = :store AND event = 'payment_mismatch'"
    ) == [(1,)]


STRANGERS: dict[str, dict[str, Any]] = {
    "another account": {"account": "acct_of_somebody_else"},
    "the live mode": {"livemode": True},
    "another release": {"api_version": "2019-12-03"},
    "no version": {"api_version": None},
    "an unknown kind": {"type": "payment_intent.invented"},
}


@pytest.mark.parametrize("name", STRANGERS)
async def test_a_signed_event_of_elsewhere_is_kept_and_has_no_effect(buyer: Buyer, name: str):
    await buyer.pay("pm_card_authenticationRequired")
    event = {**_succeeded(buyer.stripe, await buyer.intent()), **STRANGERS[name]}
    assert (await buyer.send(event)).json() == {"received": True, "taken": True}
    async with buyer.sessions() as session:
        found = await session.execute(
            text("SELECT outcome FROM payment_events WHERE service = 'stripe' AND event_id = :id"),
            {"id": event["id"]},
        )
        assert found.scalar_one() == "parked"
    await buyer.check_books(orders=0, stock=(5, 1))


async def test_events_of_other_objects_and_shops_are_kept(buyer: Buyer):
    await buyer.pay("pm_card_authenticationRequired")
    for thing in ({"object": "customer", "id": "cus_1"}, {"object": "payment_intent", "metadata": {}}, [1]):
        event = {**_succeeded(buyer.stripe, {"id": "x"}), "data": {"object": thing}}
        assert (await buyer.send(event)).json() == {"received": True, "taken": True}
    # A charge that was made is told in the words of one that went back.
    charge = {"object": "charge", "id": "ch_1", "payment_intent": "pi_1"}
    event = {**_succeeded(buyer.stripe, {"id": "x"}), "type": "charge.succeeded", "data": {"object": charge}}
    assert (await buyer.send(event)).status_code == 200
    kept = await buyer.rows(
        f"SELECT outcome FROM payment_events WHERE event_id = '{event['id']}' AND :store > 0"
    )
    assert kept == [("parked",)]


def _succeeded(stripe: StripeStandIn, intent: dict[str, Any]) -> dict[str, Any]:
    """An event that says the payment was made, though it was not."""
    event: dict[str, Any] = copy.deepcopy(stripe.events[0])
    event["id"] = f"evt_{random.randbytes(8).hex()}"
    event["type"] = "payment_intent.succeeded"
    event["data"]["object"] = {
        **copy.deepcopy(intent),
        "status": "succeeded",
        "amount_received": intent.get("amount"),
    }
    return event


async def test_only_signed_and_fresh_events_are_taken(buyer: Buyer):
    await buyer.pay("pm_card_authenticationRequired")
    event = _succeeded(buyer.stripe, await buyer.intent())
    now = int(time.time())
    for signing in ({"secret": "whsec_wrong"}, {"at": now - 400}, {"at": now + 400}):
        answer = await buyer.send(event, **signing)
        assert (answer.status_code, answer.json()["code"]) == (403, "bad_signature")
    for header in ("", "nonsense", f"t={now}", f"t={now},v1=é", "t=1,t=2,v1=0", f"t={'9' * 4000},v1=0"):
        answer = await buyer.place.client.post(
            "/storefront/v1/webhooks/stripe",
            content=b"{}",
            headers={"Content-Type": "application/json", "Stripe-Signature": header.encode("latin-1")},
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "bad_signature")
    await buyer.check_books(orders=0, stock=(5, 1))


async def test_the_second_secret_is_accepted_too(buyer: Buyer):
    await buyer.pay("pm_card_authenticationRequired")
    intent = await buyer.intent()
    buyer.stripe.authenticate(intent["id"])
    (event,) = buyer.stripe.events_of(intent["id"], "payment_intent.succeeded")
    assert (await buyer.send(event, secret=SECOND_WEBHOOK_SECRET)).status_code == 200
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_a_signed_body_that_is_no_event_is_refused(buyer: Buyer):
    for body in (b"{}", b"[]", b"null", b"not json", b'{"id": 1}', b"\xff\xfe"):
        answer = await buyer.place.client.post(
            "/storefront/v1/webhooks/stripe",
            content=body,
            headers={"Content-Type": "application/json", "Stripe-Signature": buyer.stripe.sign(body)},
        )
        assert answer.status_code in (403, 422), body
