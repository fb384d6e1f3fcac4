"""A second opinion on how Stripe behaves: our gateway against localstripe, which others wrote.

It runs as a process of its own; `make second-opinion` installs it apart and names its Python in LOCALSTRIPE.
What it can say, and what not, stands in docs/stripe.md.
"""

import asyncio
import os
import random
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.payments.services import ActionNeeded, Captured, Charge, Refused
from app.integrations.stripe_payments import StripePayments
from app.kit.clock import utc_now
from app.kit.errors import Forbidden
from tests.api.live import free_port
from tests.canaries import SECOND_WEBHOOK_SECRET, STRIPE_KEY, WEBHOOK_SECRET
from tests.second_opinion.translating import Translator
from tests.standins.wire import Call, Reply, plain_server

READY_SECONDS = 20
EVENT_SECONDS = 10
SECOND_STEP = "4000002500003155"
DECLINED_ON_CHARGE = "4000000000000341"
GOOD = "4242424242424242"


@pytest.fixture(scope="module")
def localstripe() -> Iterator[str]:
    """Its address."""
    python = os.environ.get("LOCALSTRIPE")
    if not python:
        pytest.skip("make second-opinion installs localstripe and names it")
    port = free_port()
    program = [python, str(Path(__file__).with_name("loopback.py")), str(port)]
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
async def stripe(localstripe: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it, once it answers, with our key."""
    headers = {"Authorization": f"Bearer {STRIPE_KEY}"}
    async with httpx.AsyncClient(base_url=localstripe, headers=headers) as client:
        async with asyncio.timeout(READY_SECONDS):
            while True:
                try:
                    assert (await client.get("/v1/balance_transactions")).status_code == 200
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)  # it has no other sign that it is there
        yield client


@pytest.fixture
async def gateway(stripe: httpx.AsyncClient) -> AsyncIterator[StripePayments]:
    async with plain_server(Translator(stripe).answer) as url:
        made = StripePayments(
            secret_key=STRIPE_KEY,
            publishable_key="",
            api_base=url,
            account_id="",
            webhook_secrets=(SECOND_WEBHOOK_SECRET, WEBHOOK_SECRET),
            window=300,
        )
        yield made
        await made.close()


async def card(stripe: httpx.AsyncClient, number: str) -> str:
    fields = {"number": number, "exp_month": "12", "exp_year": "2031", "cvc": "123"}
    body = {"type": "card", **{f"card[{name}]": value for name, value in fields.items()}}
    made = await stripe.post("/v1/payment_methods", data=body)
    assert made.status_code == 200, made.text
    return str(made.json()["id"])


async def charge_of(stripe: httpx.AsyncClient, number: str = GOOD, **given: Any) -> Charge:
    return Charge(
        **{
            "key": f"order-1-charge-1-{random.randbytes(6).hex()}",
            "amount": 1800,
            "currency": "USD",
            "token": await card(stripe, number),
            "order_id": 1,
            "checkout_token": "c" * 43,
            "email": "ada@example.com",
            "return_url": "http://localhost",
            **given,
        }
    )


async def intent(stripe: httpx.AsyncClient, reference: str) -> dict[str, Any]:
    found: dict[str, Any] = (await stripe.get(f"/v1/payment_intents/{reference}")).json()
    return found


async def test_a_card_is_charged_with_what_leads_back_to_the_order(stripe, gateway: StripePayments):
    charge = await charge_of(stripe)
    paid = await gateway.charge(charge)
    assert isinstance(paid, Captured)
    assert (paid.amount, paid.currency) == (1800, "USD")
    found = await intent(stripe, paid.reference)
    assert (found["amount"], found["currency"], found["status"]) == (1800, "usd", "succeeded")
    assert found["metadata"] == {"attempt": charge.key, "order_id": "1", "flow": "card"}


@pytest.mark.parametrize(
    ("currency", "minor", "sent"), [("JPY", 500, 500), ("ISK", 5, 500), ("KWD", 5120, 5120)]
)
async def test_amounts_go_there_and_come_back(stripe, gateway: StripePayments, currency, minor, sent):
    paid = await gateway.charge(await charge_of(stripe, amount=minor, currency=currency))
    assert isinstance(paid, Captured)
    assert (paid.amount, paid.currency) == (minor, currency)
    assert (await intent(stripe, paid.reference))["amount"] == sent


async def test_an_attempt_is_found_by_its_key_and_by_its_reference(stripe, gateway: StripePayments):
    charge = await charge_of(stripe)
    paid = await gateway.charge(charge)
    assert isinstance(paid, Captured)
    assert await gateway.find(charge.key, None) == paid
    assert await gateway.find(charge.key, paid.reference) == paid
    assert await gateway.cancel(charge.key, paid.reference) == paid


async def test_a_declined_card_is_a_decline_and_the_attempt_is_ended(stripe, gateway: StripePayments):
    charge = await charge_of(stripe, DECLINED_ON_CHARGE)
    refused = await gateway.charge(charge)
    assert isinstance(refused, Refused)
    assert refused.reason == "card_declined"
    assert await gateway.find(charge.key, refused.reference) == refused
    assert (await intent(stripe, refused.reference or ""))["status"] == "canceled"


async def test_a_card_that_nobody_knows_is_refused(stripe, gateway: StripePayments):
    assert isinstance(await gateway.charge(await charge_of(stripe, token="pm_unknown")), Refused)


async def answer_the_second_step(stripe: httpx.AsyncClient, needed: ActionNeeded, *, success: bool) -> int:
    body = {"client_secret": needed.action["client_secret"], "success": str(success).lower()}
    answer = await stripe.post(f"/v1/payment_intents/{needed.reference}/_authenticate", data=body)
    return answer.status_code


async def test_a_second_step_waits_and_then_pays(stripe, gateway: StripePayments):
    charge = await charge_of(stripe, SECOND_STEP)
    needed = await gateway.charge(charge)
    assert isinstance(needed, ActionNeeded)
    assert await gateway.find(charge.key, needed.reference) == needed
    assert await answer_the_second_step(stripe, needed, success=True) == 200
    paid = await gateway.find(charge.key, needed.reference)
    assert paid == Captured(needed.reference, 1800, "USD")


async def test_a_failed_second_step_ends_the_attempt(stripe, gateway: StripePayments):
    charge = await charge_of(stripe, SECOND_STEP)
    needed = await gateway.charge(charge)
    assert isinstance(needed, ActionNeeded)
    assert await answer_the_second_step(stripe, needed, success=False) == 200
    ended = await gateway.find(charge.key, needed.reference)
    assert ended == Refused("payment_intent_authentication_failure", needed.reference)
    assert (await intent(stripe, needed.reference))["status"] == "canceled"


async def test_a_second_step_that_was_given_up_cannot_be_answered_any_more(stripe, gateway: StripePayments):
    charge = await charge_of(stripe, SECOND_STEP)
    needed = await gateway.charge(charge)
    assert isinstance(needed, ActionNeeded)
    assert await gateway.cancel(charge.key, needed.reference) == Refused("cancelled", needed.reference)
    assert await answer_the_second_step(stripe, needed, success=True) == 400


async def test_the_page_opens_a_payment_that_waits_for_it(stripe, gateway: StripePayments):
    charge = await charge_of(stripe, token="")
    opened = await gateway.charge(charge)
    assert isinstance(opened, ActionNeeded)
    assert opened.action["client_secret"].startswith(f"{opened.reference}_secret_")
    assert await gateway.find(charge.key, opened.reference) == opened
    assert await gateway.cancel(charge.key, opened.reference) == Refused("cancelled", opened.reference)


async def test_a_refund_is_made_once_for_each_key(stripe, gateway: StripePayments):
    paid = await gateway.charge(await charge_of(stripe))
    assert isinstance(paid, Captured)
    first = await gateway.refund("a", paid.reference, 1000, "USD")
    assert first == await gateway.refund("a", paid.reference, 1000, "USD")
    second = await gateway.refund("b", paid.reference, 800, "USD")
    assert first is not None
    assert second is not None
    assert (first.amount, second.amount) == (1000, 800)
    made = (await stripe.get("/v1/refunds", params={"payment_intent": paid.reference})).json()["data"]
    assert {(one["id"], one["amount"], one["metadata"]["refund"]) for one in made} == {
        (first.reference, 1000, "a"),
        (second.reference, 800, "b"),
    }


async def test_a_payment_that_took_no_money_is_not_refunded(stripe, gateway: StripePayments):
    opened = await gateway.charge(await charge_of(stripe, token=""))
    assert isinstance(opened, ActionNeeded)
    assert await gateway.refund("c", opened.reference, 100, "USD") is None


async def test_its_signature_is_good_and_its_old_release_of_the_api_is_parked(
    stripe, gateway: StripePayments
):
    heard: asyncio.Queue[Call] = asyncio.Queue()

    async def hear(call: Call) -> Reply:
        await heard.put(call)
        return Reply(200, {})

    async with plain_server(hear) as url:
        hook = {"url": url, "secret": WEBHOOK_SECRET}
        assert (await stripe.post("/_config/webhooks/shop", data=hook)).status_code == 200
        charge = await charge_of(stripe)
        paid = await gateway.charge(charge)
        async with asyncio.timeout(EVENT_SECONDS):
            said = await heard.get()
            while charge.key.encode() not in said.body:
                said = await heard.get()
    event = await gateway.read_event(said.body, said.headers, now=utc_now())
    assert (event.kind, event.key, event.finding) == ("payment_intent.succeeded", charge.key, None)
    assert isinstance(paid, Captured)
    for body, now in ((said.body + b" ", utc_now()), (said.body, datetime(2020, 1, 1, tzinfo=UTC))):
        with pytest.raises(Forbidden):
            await gateway.read_event(body, said.headers, now=now)
