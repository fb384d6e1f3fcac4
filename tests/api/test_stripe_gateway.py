"""What the service `stripe` makes of Stripe's answers, one call at a time."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.db.session import Sessions
from app.domain.payments.services import Captured, Charge, Refused, ServiceRefund, Unheard, Unknown
from app.integrations.stripe_amounts import from_stripe, to_stripe
from app.integrations.stripe_payments import StripePayments
from tests.api.stripe_shop import Place
from tests.conftest import make_store
from tests.shop import Guest, add_variant, open_till


@pytest.fixture
async def gateway(place: Place) -> AsyncIterator[StripePayments]:
    made = StripePayments(
        secret_key=place.stripe.secret_key,
        publishable_key="",
        api_base=place.stripe.url,
        account_id="",
        webhook_secrets=(),
        window=300,
    )
    yield made
    await made.close()


def _charge(**given: Any) -> Charge:
    return Charge(
        **{
            "key": f"order-1-charge-1-{random.randbytes(6).hex()}",
            "amount": 1800,
            "currency": "USD",
            "token": "pm_card_visa",
            "order_id": 1,
            "checkout_token": "c" * 43,
            "email": "ada@example.com",
            "return_url": "http://localhost",
            **given,
        }
    )


async def test_the_same_attempt_twice_is_charged_once(place: Place, gateway: StripePayments):
    charge = _charge()
    first, again = await gateway.charge(charge), await gateway.charge(charge)
    assert first == again == await gateway.find(charge.key, None)
    assert isinstance(first, Captured)
    assert [one.reference for one in place.stripe.log if one.attempt == charge.key] == [first.reference]
    other = await gateway.charge(_charge(key=charge.key, amount=1900))
    assert isinstance(other, Unknown)
    assert [one.amount for one in place.stripe.log if one.attempt == charge.key] == [1800]


async def test_two_calls_of_one_attempt_at_once_charge_once(place: Place, gateway: StripePayments):
    charge = _charge()
    outcomes = await asyncio.gather(*(gateway.charge(charge) for _ in range(4)))
    assert len([one for one in place.stripe.log if one.attempt == charge.key]) == 1
    assert {type(outcome) for outcome in outcomes} <= {Captured, Unknown}


async def test_an_attempt_that_stripe_never_heard_of(gateway: StripePayments):
    assert await gateway.find("order-1-charge-1-unheard", None) == Unheard()
    assert await gateway.cancel("order-1-charge-1-unheard", None) == Unheard()


async def test_a_payment_that_was_made_is_not_cancelled(gateway: StripePayments):
    charge = _charge()
    paid = await gateway.charge(charge)
    assert isinstance(paid, Captured)
    assert await gateway.cancel(charge.key, paid.reference) == paid


async def test_no_more_is_refunded_than_was_taken(place: Place, gateway: StripePayments):
    charge = _charge()
    paid = await gateway.charge(charge)
    assert isinstance(paid, Captured)
    first = await gateway.refund(f"{charge.key}-a", paid.reference, 1000, "USD")
    assert first == await gateway.refund(f"{charge.key}-a", paid.reference, 1000, "USD")
    too_much = await gateway.refund(f"{charge.key}-b", paid.reference, 1000, "USD")
    assert too_much == ServiceRefund(f"{charge.key}-b", 1000, "USD", failed=True)
    last = await gateway.refund(f"{charge.key}-c", paid.reference, 800, "USD")
    nothing_left = await gateway.refund(f"{charge.key}-d", paid.reference, 800, "USD")
    assert nothing_left == ServiceRefund(f"{charge.key}-d", 800, "USD", failed=True)
    # Nobody knows what came of a refund before, where the payment cannot be looked at.
    assert await gateway.refund(f"{charge.key}-e", "pi_unheard_of", 1, "USD") is None
    assert await gateway.refund("k", paid.reference, 5, "UGX") == ServiceRefund("k", 5, "UGX", failed=True)
    assert await gateway.list_refunds(paid.reference) == [last, first]
    assert place.stripe.refunded(paid.reference) == 1800


async def test_every_page_of_refunds_is_read(place: Place, gateway: StripePayments, monkeypatch):
    paid = await gateway.charge(_charge())
    assert isinstance(paid, Captured)
    made = [place.stripe.give_back(paid.reference, amount) for amount in (1, 2, 3, 4, 5)]
    place.stripe.let_refund_fail(made[2])
    monkeypatch.setattr(place.stripe, "page_size", 2)
    found = await gateway.list_refunds(paid.reference)
    assert found is not None
    assert [(refund.amount, refund.failed) for refund in found] == [
        (5, False),
        (4, False),
        (3, True),
        (2, False),
        (1, False),
    ]


async def test_a_wrong_key_is_trouble_and_never_a_payment(place: Place):
    made = StripePayments(
        secret_key="sk_test_wrong",
        publishable_key="",
        api_base=place.stripe.url,
        account_id="",
        webhook_secrets=(),
        window=300,
    )
    assert await made.charge(_charge()) == Refused("service_unavailable")
    assert isinstance(await made.find("order-1", "pi_1"), Unknown)
    await made.close()


async def test_an_amount_that_stripe_cannot_take_is_never_sent(place: Place, sessions: Sessions):
    store = await make_store(sessions, currency="KWD")
    guest = Guest(place.client, store, await open_till(sessions, store))
    variant = await add_variant(sessions, store, price=2501)
    checkout = await guest.prepare(variant)
    assert "stripe" not in {one["name"] for one in checkout["payment_services"]}
    calls = len(place.stripe.calls)
    answer = await guest.pay(3001, service="stripe", payment_token="pm_card_visa")
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert (fault["field"], fault["code"]) == ("payment_type", "currency_not_taken")
    assert len(place.stripe.calls) == calls
    checkout = (await guest.add(variant, 9), await guest.read_checkout())[1]  # ten of them come to 25.010
    assert "stripe" in {one["name"] for one in checkout["payment_services"]}


@pytest.mark.parametrize(
    ("currency", "minor", "amount"),
    [
        ("USD", 1099, 1099),
        ("JPY", 500, 500),
        ("KRW", 500, 500),
        ("KWD", 5120, 5120),
        ("KWD", 5124, None),
        ("ISK", 5, 500),
        ("MGA", 500, 5),
        ("MGA", 501, None),
        ("HUF", 1045, 1045),
        ("UGX", 5, None),
    ],
)
def test_amounts_are_written_as_stripe_wants_them(currency: str, minor: int, amount: int | None):
    assert to_stripe(minor, currency) == amount
    if amount is not None:
        assert from_stripe(amount, currency) == minor
