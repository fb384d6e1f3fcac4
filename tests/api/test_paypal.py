"""Paying through PayPal and what its events may settle, against a stand-in on loopback."""

import asyncio
import copy
import json
import random
from typing import Any

import pytest
from sqlalchemy import text

from tests.api.paypal_shop import PayPalBuyer


async def test_an_approved_order_is_captured_at_the_shoppers_return(paypal_buyer: PayPalBuyer):
    buyer = paypal_buyer
    started = await buyer.start()
    assert started.status_code == 200, started.text
    order = await buyer.order()
    answer = started.json()
    assert (answer["service"], answer["status"], answer["amount"]) == ("paypal", "action_needed", 3000)
    assert answer["approval_url"] == buyer.paypal.page_of(order["id"])
    assert order["purchase_units"][0]["amount"] == {"currency_code": "USD", "value": "30.00"}
    await buyer.check_books(orders=0, stock=(5, 1))
    waiting = await buyer.confirm()
    assert (waiting.status_code, waiting.json()["code"]) == (402, "second_step_required")
    assert waiting.json()["approval_url"] == answer["approval_url"]
    buyer.paypal.approve(order["id"])
    done = await buyer.confirm()
    assert (done.status_code, done.json()["state"]) == (200, "completed")
    assert (await buyer.confirm()).json()["state"] == "completed"
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_the_options_show_the_public_client_id_and_no_secret(paypal_buyer: PayPalBuyer):
    answer = await paypal_buyer.guest.call("GET", "/options")
    shown = {service["name"]: service["public_key"] for service in answer.json()["payment_services"]}
    assert shown["paypal"] == paypal_buyer.paypal.client_id
    assert paypal_buyer.paypal.client_secret not in answer.text


async def test_a_started_payment_answers_the_same_address_again(paypal_buyer: PayPalBuyer):
    first, again = await paypal_buyer.start(), await paypal_buyer.start()
    assert first.json() == again.json()
    assert first.json()["approval_url"]


async def test_paying_by_name_asks_for_the_approval(paypal_buyer: PayPalBuyer):
    answer = await paypal_buyer.guest.pay(3000, service="paypal", payment_token="approval")
    order = await paypal_buyer.order()
    assert (answer.status_code, answer.json()["code"]) == (402, "second_step_required")
    assert answer.json()["approval_url"] == paypal_buyer.paypal.page_of(order["id"])


async def test_events_alone_complete_the_order(paypal_buyer: PayPalBuyer):
    buyer = paypal_buyer
    reference = await buyer.start_and_approve()
    (approved,) = buyer.paypal.events_of(reference, "CHECKOUT.ORDER.APPROVED")
    assert (await buyer.send(approved)).json() == {"received": True, "taken": True}
    assert (await buyer.send(approved)).json() == {"received": True, "taken": False}
    await buyer.ask()
    assert await buyer.state() == "completed"
    (captured,) = buyer.paypal.events_of(reference, "PAYMENT.CAPTURE.COMPLETED")
    assert (await buyer.send(captured)).json()["taken"]
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_the_event_of_a_capture_whose_answer_was_lost_makes_the_order(paypal_buyer: PayPalBuyer):
    buyer = paypal_buyer
    reference = await buyer.start_and_approve()
    buyer.paypal.fail("capture", "cut")
    assert (await buyer.confirm()).json()["state"] == "paying"
    (captured,) = buyer.paypal.events_of(reference, "PAYMENT.CAPTURE.COMPLETED")
    assert (await buyer.send(captured)).json()["taken"]
    assert await buyer.state() == "completed"
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_an_approval_of_an_attempt_that_was_given_up_takes_no_money(paypal_buyer: PayPalBuyer):
    buyer = paypal_buyer
    await buyer.start()
    reference = (await buyer.order())["id"]
    # The shopper turns to another way to pay, and says yes at PayPal all the same.
    assert (await buyer.guest.pay(3000)).status_code == 204
    buyer.paypal.approve(reference)
    (approved,) = buyer.paypal.events_of(reference, "CHECKOUT.ORDER.APPROVED")
    assert (await buyer.send(approved)).json()["taken"]
    await buyer.ask()
    await buyer.reconcile()
    assert buyer.paypal.orders[reference]["status"] == "APPROVED"
    assert [one for one in buyer.paypal.log if one.reference == reference] == []


async def test_a_refused_card_sends_the_shopper_back_to_choose_another_on_the_same_order(
    paypal_buyer: PayPalBuyer,
):
    buyer = paypal_buyer
    reference = await buyer.start_and_approve("refused")
    for _ in range(2):
        answer = await buyer.confirm()
        assert (answer.status_code, answer.json()["code"]) == (402, "second_step_required")
        assert answer.json()["reason"] == "instrument_declined"
        assert answer.json()["approval_url"] == buyer.paypal.page_of(reference)
    await buyer.check_books(orders=0, stock=(5, 1))
    buyer.paypal.approve(reference, "another card")
    assert (await buyer.confirm()).json()["state"] == "completed"
    await buyer.check_books(orders=1, stock=(4, 0))


@pytest.mark.parametrize(
    ("instrument", "reason"),
    [("blocked", "payer_account_restricted"), ("failed", "capture_declined")],
)
async def test_a_declined_capture_says_why_and_another_attempt_pays(
    paypal_buyer: PayPalBuyer, instrument: str, reason: str
):
    buyer = paypal_buyer
    reference = await buyer.start_and_approve(instrument)
    declined = await buyer.confirm()
    assert (declined.status_code, declined.json()["code"]) == (402, "payment_declined")
    assert declined.json()["reason"] == reason
    await buyer.check_books(orders=0, stock=(5, 0))
    for event in buyer.paypal.events_of(reference):
        assert (await buyer.send(event)).status_code == 200
    await buyer.ask()
    await buyer.start_and_approve()
    assert (await buyer.confirm()).json()["state"] == "completed"
    await buyer.check_books(orders=1, stock=(4, 0))


@pytest.mark.parametrize("accept", [True, False])
async def test_a_capture_under_review_holds_the_stock_until_paypal_decides(
    paypal_buyer: PayPalBuyer, accept: bool
):
    buyer = paypal_buyer
    reference = await buyer.start_and_approve("review")
    assert (await buyer.confirm()).json()["state"] == "paying"
    for event in buyer.paypal.events_of(reference):
        assert (await buyer.send(event)).status_code == 200
    await buyer.let_hold_run_out()
    await buyer.reconcile()
    await buyer.check_unknown()
    buyer.paypal.end_review(reference, accept=accept)
    (event,) = buyer.paypal.events_of(
        reference, "PAYMENT.CAPTURE.COMPLETED" if accept else "PAYMENT.CAPTURE.DENIED"
    )
    assert (await buyer.send(event)).json()["taken"]
    await buyer.check_books(orders=int(accept), stock=(4, 0) if accept else (5, 0))


@pytest.mark.parametrize("seed", range(5))
async def test_events_and_return_together_make_one_order(paypal_buyer: PayPalBuyer, seed: int):
    buyer = paypal_buyer
    reference = await buyer.start_and_approve()
    await buyer.send(buyer.paypal.events_of(reference)[0])
    calls = [
        *(buyer.send(buyer.paypal.events_of(reference)[0]) for _ in range(3)),
        *(buyer.confirm() for _ in range(3)),
        *(buyer.ask() for _ in range(2)),
    ]
    random.Random(seed).shuffle(calls)
    answers = [answer for answer in await asyncio.gather(*calls) if answer is not None]
    assert {answer.status_code for answer in answers} == {200}
    events = buyer.paypal.events_of(reference) * 3
    random.Random(seed).shuffle(events)
    told = await asyncio.gather(*(buyer.send(event) for event in events), buyer.confirm(), buyer.ask())
    assert {answer.status_code for answer in told if answer is not None} == {200}
    assert len([one for one in buyer.paypal.log if one.reference == reference]) == 1
    await buyer.check_books(orders=1, stock=(4, 0))


def _captured(order: dict[str, Any], merchant_id: str) -> dict[str, Any]:
    """An event that says the money was taken, though it was not."""
    return {
        "id": f"WH-{random.randbytes(8).hex()}",
        "event_type": "PAYMENT.CAPTURE.COMPLETED",
        "resource_type": "capture",
        "resource": {
            "id": "CAPTURE1",
            "status": "COMPLETED",
            "amount": copy.deepcopy(order["purchase_units"][0]["amount"]),
            "custom_id": order["purchase_units"][0]["custom_id"],
            "payee": {"merchant_id": merchant_id},
            "supplementary_data": {"related_ids": {"order_id": order["id"]}},
        },
    }


WRONG: dict[str, dict[str, Any]] = {
    "less money": {"amount": {"currency_code": "USD", "value": "0.01"}},
    "more money": {"amount": {"currency_code": "USD", "value": "3000.00"}},
    "another currency": {"amount": {"currency_code": "JPY", "value": "3000"}},
    "no amount": {"amount": {}},
    "an amount that is none": {"amount": {"currency_code": "USD", "value": "1e9"}},
    "another merchant": {"payee": {"merchant_id": "SOMEBODY"}},
    "another attempt": {"custom_id": "order-1-charge-1-abc"},
    "no attempt": {"custom_id": None},
    "another order": {"supplementary_data": {"related_ids": {"order_id": "SOMEBODYS"}}},
    "no order": {"supplementary_data": {}},
    "not taken yet": {"status": "PENDING"},
    "nonsense": {"amount": [1], "custom_id": 5},
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_signed_event_about_another_payment_settles_nothing(paypal_buyer: PayPalBuyer, name: str):
    buyer = paypal_buyer
    await buyer.start()
    event = _captured(await buyer.order(), buyer.paypal.merchant_id)
    event["resource"].update(WRONG[name])
    assert (await buyer.send(event)).json() == {"received": True, "taken": True}
    assert await buyer.state() == "paying"
    assert await buyer.rows("SELECT state FROM payments WHERE store_id = :store") == [("action_needed",)]
    await buyer.check_books(orders=0, stock=(5, 1))


async def test_the_event_without_a_fault_would_have_settled(paypal_buyer: PayPalBuyer):
    """The control: what the cases above change is what keeps them from settling."""
    await paypal_buyer.start()
    event = _captured(await paypal_buyer.order(), paypal_buyer.paypal.merchant_id)
    assert (await paypal_buyer.send(event)).status_code == 200
    assert await paypal_buyer.rows("SELECT state FROM payments WHERE store_id = :store") == [("captured",)]


async def test_events_of_unknown_kinds_are_kept_and_have_no_effect(paypal_buyer: PayPalBuyer):
    buyer = paypal_buyer
    await buyer.start()
    for change in ({"event_type": "BILLING.PLAN.CREATED"}, {"resource": [1]}, {"resource": None}):
        event = {**_captured(await buyer.order(), buyer.paypal.merchant_id), **change}
        assert (await buyer.send(event)).json() == {"received": True, "taken": True}
        async with buyer.sessions() as session:
            outcome = await session.scalar(
                text("SELECT outcome FROM payment_events WHERE service = 'paypal' AND event_id = :id"),
                {"id": event["id"]},
            )
        assert outcome == "parked"
    await buyer.check_books(orders=0, stock=(5, 1))


async def test_only_events_that_paypal_confirms_are_taken(paypal_buyer: PayPalBuyer):
    buyer = paypal_buyer
    await buyer.start()
    event = _captured(await buyer.order(), buyer.paypal.merchant_id)
    asked = buyer.paypal.calls.count("verify")
    signed = buyer.paypal.sign(b"{}")
    faults = [
        {"PayPal-Transmission-Sig": signed["PayPal-Transmission-Sig"]},
        {"PayPal-Transmission-Id": "another"},
        {"PayPal-Transmission-Time": "2026-11-21T00:00:00Z"},
        buyer.paypal.sign(b"{}", webhook_id="OTHER"),
    ]
    for headers in faults:
        answer = await buyer.send(event, **headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "bad_signature")
    assert buyer.paypal.calls.count("verify") == asked + len(faults)
    # What cannot be PayPal's is not asked about.
    for header in signed:
        for value in ("", "x" * 600):
            answer = await buyer.send(event, **{header: value})
            assert (answer.status_code, answer.json()["code"]) == (403, "bad_signature")
    assert buyer.paypal.calls.count("verify") == asked + len(faults)
    await buyer.check_books(orders=0, stock=(5, 1))


async def test_the_signature_is_over_the_body_as_it_was_sent(paypal_buyer: PayPalBuyer):
    buyer = paypal_buyer
    await buyer.start()
    event = _captured(await buyer.order(), buyer.paypal.merchant_id)
    body = str(event).replace("'", '"').replace(":", "  :\n").encode()
    for sent, status in ((json.dumps(event).encode(), 403), (body, 200)):
        answer = await buyer.place.client.post(
            "/storefront/v1/webhooks/paypal",
            content=sent,
            headers={"Content-Type": "application/json", **buyer.paypal.sign(body)},
        )
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"null",
        b"not json",
        b'{"id": 1, "event_type": "x"}',
        b"\xff\xfe",
        b'{"id": "WH-1", "id": "WH-2", "event_type": "x"}',
        b'{"id": "WH-1", "event_type": "x"}, "webhook_id": "y"',
    ],
)
async def test_a_body_that_is_no_event_is_refused(paypal_buyer: PayPalBuyer, body: bytes):
    answer = await paypal_buyer.place.client.post(
        "/storefront/v1/webhooks/paypal",
        content=body,
        headers={"Content-Type": "application/json", **paypal_buyer.paypal.sign(body)},
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


@pytest.mark.parametrize("fault", ["error", "cut", "limit"])
async def test_an_event_that_cannot_be_checked_is_to_be_sent_again(paypal_buyer: PayPalBuyer, fault: str):
    buyer = paypal_buyer
    reference = await buyer.start_and_approve()
    (event,) = buyer.paypal.events_of(reference)
    buyer.paypal.fail("verify", fault)
    answer = await buyer.send(event)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert (await buyer.send(event)).json() == {"received": True, "taken": True}
