"""What the service `paypal` makes of PayPal's answers, one call at a time."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.db.session import Sessions
from app.domain.payments.services import (
    ActionNeeded,
    Captured,
    Charge,
    Refused,
    ServiceRefund,
    Unheard,
    Unknown,
)
from app.integrations.paypal_amounts import from_paypal, to_paypal
from app.integrations.paypal_payments import PayPalPayments
from tests.api.paypal_shop import PayPalPlace
from tests.conftest import make_store
from tests.shop import Guest, add_variant, open_till
from tests.standins.paypal import PayPalStandIn


def gateway_of(paypal: PayPalStandIn, **given: str) -> PayPalPayments:
    return PayPalPayments(
        **{
            "client_id": paypal.client_id,
            "client_secret": paypal.client_secret,
            "api_base": paypal.url,
            "webhook_id": paypal.webhook_id,
            "merchant_id": paypal.merchant_id,
            **given,
        }
    )


@pytest.fixture
async def paypal(paypal_place: PayPalPlace) -> AsyncIterator[PayPalStandIn]:
    yield paypal_place.paypal
    paypal_place.paypal.clear_faults()


@pytest.fixture
async def gateway(paypal: PayPalStandIn) -> AsyncIterator[PayPalPayments]:
    made = gateway_of(paypal)
    yield made
    await made.close()


def _charge(**given: Any) -> Charge:
    return Charge(
        **{
            "key": f"order-1-charge-1-{random.randbytes(6).hex()}",
            "amount": 1800,
            "currency": "USD",
            "token": "",
            "order_id": 1,
            "checkout_token": "c" * 43,
            "email": "ada@example.com",
            "return_url": "http://localhost",
            **given,
        }
    )


async def _approved(gateway: PayPalPayments, paypal: PayPalStandIn, **given: Any) -> tuple[str, str]:
    """Key and reference of an attempt whose shopper has agreed."""
    charge = _charge(**given)
    opened = await gateway.charge(charge)
    assert isinstance(opened, ActionNeeded)
    paypal.approve(opened.reference)
    return charge.key, opened.reference


async def test_the_same_attempt_twice_is_one_order(paypal: PayPalStandIn, gateway: PayPalPayments):
    charge = _charge()
    first, again = await gateway.charge(charge), await gateway.charge(charge)
    assert first == again == await gateway.find(charge.key, first.reference)
    keys = [one["purchase_units"][0]["custom_id"] for one in paypal.orders.values()]
    assert keys.count(charge.key) == 1
    assert await gateway.charge(_charge(key=charge.key, amount=1900)) == Unknown("idempotency")


async def test_whoever_asks_at_once_an_order_is_captured_once(paypal: PayPalStandIn, gateway: PayPalPayments):
    key, reference = await _approved(gateway, paypal)
    others = [gateway_of(paypal) for _ in range(3)]
    outcomes = await asyncio.gather(
        *(one.find(key, reference) for one in (gateway, *others) for _ in range(3))
    )
    assert len([one for one in paypal.log if one.reference == reference]) == 1
    assert {type(outcome) for outcome in outcomes} <= {Captured, Unknown}
    assert await gateway.find(key, reference) == Captured(reference, 1800, "USD")
    for one in others:
        await one.close()


async def test_another_order_or_merchant_is_never_captured(paypal: PayPalStandIn, gateway: PayPalPayments):
    key, reference = await _approved(gateway, paypal)
    assert await gateway.find("order-1-charge-1-other", reference) == Unknown("another_order", reference)
    foreign = gateway_of(paypal, merchant_id="SOMEBODY")
    assert await foreign.find(key, reference) == Unknown("another_merchant", reference)
    assert await gateway.find(key, f"../{reference}") == Unknown("strange_id", f"../{reference}")
    assert [one for one in paypal.log if one.reference == reference] == []
    await foreign.close()


async def test_an_attempt_that_paypal_never_answered_was_never_charged(gateway: PayPalPayments):
    assert await gateway.find("order-1-charge-1-unheard", None) == Unheard()
    assert await gateway.cancel("order-1-charge-1-unheard", None) == Unheard()


async def test_an_approved_order_can_be_given_up_and_a_captured_one_cannot(
    paypal: PayPalStandIn, gateway: PayPalPayments
):
    key, reference = await _approved(gateway, paypal)
    assert await gateway.cancel(key, reference) == Refused("cancelled", reference)
    paid = await gateway.find(key, reference)
    assert isinstance(paid, Captured)
    assert await gateway.cancel(key, reference) == paid


async def test_no_more_is_refunded_than_was_taken(paypal: PayPalStandIn, gateway: PayPalPayments):
    key, reference = await _approved(gateway, paypal)
    assert await gateway.refund(f"{key}-early", reference, 100, "USD") is None
    await gateway.find(key, reference)
    first = await gateway.refund(f"{key}-a", reference, 1000, "USD")
    assert first is not None
    assert first == await gateway.refund(f"{key}-a", reference, 1000, "USD")
    too_much = await gateway.refund(f"{key}-b", reference, 1000, "USD")
    assert too_much == ServiceRefund(f"{key}-b", 1000, "USD", failed=True)
    last = await gateway.refund(f"{key}-c", reference, 800, "USD")
    nothing_left = await gateway.refund(f"{key}-d", reference, 800, "USD")
    assert nothing_left == ServiceRefund(f"{key}-d", 800, "USD", failed=True)
    assert await gateway.refund(f"{key}-e", "UNHEARDOF", 1, "USD") is None
    assert await gateway.refund("k", reference, 2501, "HUF") == ServiceRefund("k", 2501, "HUF", failed=True)
    assert await gateway.list_refunds(reference) == [first, last]
    assert paypal.refunded(reference) == 1800


async def test_a_refund_is_known_again_when_paypal_has_forgotten_the_request(
    paypal: PayPalStandIn, gateway: PayPalPayments
):
    key, reference = await _approved(gateway, paypal)
    await gateway.find(key, reference)
    first = await gateway.refund(f"{key}-a", reference, 500, "USD")
    del paypal._answers[f"{key}-a"]
    assert await gateway.refund(f"{key}-a", reference, 500, "USD") == first
    assert paypal.refunded(reference) == 500


async def test_however_many_call_a_token_is_fetched_once(paypal: PayPalStandIn):
    gateway = gateway_of(paypal)
    before = paypal.calls.count("token")
    await asyncio.gather(*(gateway.charge(_charge()) for _ in range(8)))
    assert paypal.calls.count("token") == before + 1
    paypal.end_tokens()
    outcomes = await asyncio.gather(*(gateway.charge(_charge()) for _ in range(8)))
    assert {type(outcome) for outcome in outcomes} == {ActionNeeded}
    assert paypal.calls.count("token") == before + 2
    await gateway.close()


async def test_a_token_is_given_up_before_its_end(paypal: PayPalStandIn, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(paypal, "token_seconds", 60)
    gateway = gateway_of(paypal)
    before = paypal.calls.count("token")
    for _ in range(2):
        assert isinstance(await gateway.charge(_charge()), ActionNeeded)
    assert paypal.calls.count("token") == before + 2
    await gateway.close()


async def test_wrong_keys_are_trouble_and_never_a_payment(paypal: PayPalStandIn):
    gateway = gateway_of(paypal, client_secret="wrong")
    assert await gateway.charge(_charge()) == Refused("service_unavailable")
    assert await gateway.find("order-1", "ORDER1") == Unknown("login_401", "ORDER1")
    assert await gateway.list_refunds("ORDER1") is None
    await gateway.close()


async def test_what_paypal_cannot_take_is_not_offered_and_refused_by_its_field(
    paypal_place: PayPalPlace, sessions: Sessions
):
    """Forints in hundredths, which PayPal does not know; dinars of Kuwait, which it does not take at all."""
    calls = len(paypal_place.paypal.calls)
    for currency, price, offered in (("HUF", 2501, False), ("HUF", 2500, True), ("KWD", 2500, False)):
        store = await make_store(sessions, currency=currency)
        guest = Guest(paypal_place.client, store, await open_till(sessions, store))
        checkout = await guest.prepare(await add_variant(sessions, store, price=price))
        names = {one["name"] for one in checkout["payment_services"]}
        assert ("paypal" in names, "manual" in names) == (offered, True), (currency, price)
        options = (await guest.call("GET", "/options")).json()["payment_services"]
        assert ("paypal" in {one["name"] for one in options}) == (currency == "HUF")
        if offered:
            continue
        for answer in (
            await guest.call("POST", f"/checkout/{guest.token}/payment/paypal", {}),
            await guest.pay(price + 500, service="paypal", payment_token="x"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (422, "currency_not_taken")
            assert [fault["field"] for fault in answer.json()["errors"]] == ["payment_type"]
        assert (await guest.read_checkout())["state"] == "priced"
    assert len(paypal_place.paypal.calls) == calls


@pytest.mark.parametrize(
    ("currency", "amount"), [("HUF", 104_500), ("JPY", 500), ("TWD", 30_000), ("EUR", 5)]
)
async def test_an_amount_comes_back_as_it_was_sent(
    paypal: PayPalStandIn, gateway: PayPalPayments, currency: str, amount: int
):
    key, reference = await _approved(gateway, paypal, currency=currency, amount=amount)
    assert await gateway.find(key, reference) == Captured(reference, amount, currency)
    assert paypal.log[-1].amount == amount


@pytest.mark.parametrize(
    ("currency", "minor", "value"),
    [
        ("USD", 1099, "10.99"),
        ("USD", 5, "0.05"),
        ("JPY", 500, "500"),
        ("HUF", 104_500, "1045"),
        ("HUF", 104_550, None),
        ("TWD", 30_000, "300"),
        ("TWD", 30_001, None),
        ("KWD", 5120, None),
        ("KRW", 500, None),
        ("USD", 0, None),
    ],
)
def test_amounts_are_written_as_paypal_wants_them(currency: str, minor: int, value: str | None):
    assert to_paypal(minor, currency) == value
    if value is not None:
        assert from_paypal(value, currency) == minor


@pytest.mark.parametrize("value", ["", "-1.00", "1e5", "NaN", "1.001", "0.00", "٣", "1,00", "9" * 40])
def test_what_is_no_amount_is_not_taken_for_one(value: str):
    assert from_paypal(value, "USD") is None
