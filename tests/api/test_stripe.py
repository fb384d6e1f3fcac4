"""Paying through Stripe, against a stand-in on loopback: whatever is lost, late or forged, books and log agree."""

import asyncio
import copy
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.db.queue import Job
from app.db.session import Sessions
from app.domain.checkout.jobs import checkout_jobs, reconcile
from app.domain.stores.models import Store
from app.integrations.stripe_amounts import from_stripe, to_stripe
from app.kit.clock import utc_now
from app.main import build_shop, close_shop
from app.settings import Settings
from tests.api.test_checkout_flow import stock_of
from tests.conftest import make_store
from tests.shop import Guest, add_variant, open_till, running_shop, settings_for
from tests.standins.stripe import StripeStandIn, stripe_stand_in

SECOND_SECRET = "whsec_second"


@dataclass
class Place:
    """A shop that takes Stripe, and the stand-in that it talks to."""

    client: httpx.AsyncClient
    stripe: StripeStandIn
    settings: Settings


@pytest.fixture(scope="module")
async def place(database_url: str, redis_url: str) -> AsyncIterator[Place]:
    async with stripe_stand_in() as stripe:
        settings = settings_for(
            database_url,
            redis_url,
            STRIPE_SECRET_KEY=stripe.secret_key,
            STRIPE_PUBLISHABLE_KEY="pk_test_standin",
            STRIPE_API_BASE=stripe.url,
            STRIPE_WEBHOOK_SECRETS=f"{stripe.webhook_secret},{SECOND_SECRET}",
            STOREFRONT_PAYMENT_WAIT_SECONDS="1",
        )
        async with running_shop(settings) as client:
            yield Place(client, stripe, settings)


@dataclass
class Buyer:
    """A guest with a filled checkout at a store of their own."""

    guest: Guest
    stripe: StripeStandIn
    place: Place
    sessions: Sessions
    variant: int
    total: int = 3000

    async def pay(self, card: str = "pm_card_visa") -> httpx.Response:
        return await self.guest.pay(self.total, service="stripe", payment_token=card)

    async def confirm(self) -> httpx.Response:
        return await self.guest.call("POST", f"/checkout/{self.guest.token}/payment/stripe/confirm", {})

    async def send(self, event: dict[str, Any], **signing: Any) -> httpx.Response:
        return await self.stripe.send(self.place.client, event, **signing)

    async def state(self) -> str:
        state: str = (await self.guest.read_checkout())["state"]
        return state

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with self.sessions() as session:
            found = await session.execute(text(query), {"store": self.guest.store.id})
            return [tuple(row) for row in found]

    async def intent(self) -> dict[str, Any]:
        """The newest PaymentIntent of this store's attempts."""
        keys = {key for (key,) in await self.rows("SELECT key FROM payments WHERE store_id = :store")}
        mine = [one for one in self.stripe.intents.values() if one["metadata"]["attempt"] in keys]
        return mine[-1]

    async def reconcile(self) -> None:
        """One round of the worker, after every call must be over."""
        async with self.sessions() as session:  # what other tests left unfinished is not this round's
            await session.execute(
                text("UPDATE payments SET updated_at = now() + interval '1 day' WHERE store_id <> :store"),
                {"store": self.guest.store.id},
            )
            await session.commit()
        shop = build_shop(self.place.settings)
        try:
            later = utc_now() + timedelta(seconds=70)
            await reconcile(shop.till, shop.stores, now=later, quiet=timedelta(0))
        finally:
            await close_shop(shop)

    async def refund(self) -> None:
        """What the worker does with the refund in the queue."""
        (row,) = await self.rows(
            "SELECT id, store_id, kind, dedupe_key, payload FROM jobs "
            "WHERE kind = 'payments.refund' AND store_id = :store"
        )
        shop = build_shop(self.place.settings)
        try:
            await checkout_jobs(till=shop.till, clock=utc_now)["payments.refund"](Job(*row, tries=1))
        finally:
            await close_shop(shop)

    async def check_unknown(self) -> None:
        rows = await self.rows("SELECT state FROM payments WHERE store_id = :store")
        assert rows == [("unknown",)]
        assert await stock_of(self.sessions, self.variant) == (5, 1)

    async def check_books(self, *, orders: int, stock: tuple[int, int]) -> None:
        """Orders and stock as named, and money as the stand-in's own log has it, charge by charge."""
        placed = await self.rows("SELECT id FROM orders WHERE store_id = :store AND status <> 'pending'")
        assert len(placed) == orders
        assert await stock_of(self.sessions, self.variant) == stock
        payments = await self.rows(
            "SELECT key, reference, captured, currency, refunded FROM payments WHERE store_id = :store"
        )
        keys = {row[0] for row in payments}
        log = {
            (
                one.attempt,
                one.reference,
                one.amount,
                one.currency.upper(),
                self.stripe.refunded(one.reference),
            )
            for one in self.stripe.log
            if one.attempt in keys
        }
        assert log == {row for row in payments if row[2]}


@pytest.fixture
async def buyer(place: Place, sessions: Sessions, store: Store) -> Buyer:
    guest = Guest(place.client, store, await open_till(sessions, store))
    variant = await add_variant(sessions, store, price=2500, on_hand=5)
    checkout = await guest.prepare(variant)
    assert checkout["totals"]["total"] == 3000
    return Buyer(guest, place.stripe, place, sessions, variant)


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


FORGERIES: dict[str, dict[str, Any]] = {
    "less money": {"amount_received": 1},
    "more money": {"amount_received": 300_000},
    "another currency": {"currency": "jpy"},
    "no currency": {"currency": "xx"},
    "another payment": {"id": "pi_of_somebody_else"},
    "a live payment": {"livemode": True},
    "not taken yet": {"status": "processing"},
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_signed_event_about_other_money_settles_nothing(buyer: Buyer, name: str):
    await buyer.pay("pm_card_authenticationRequired")
    intent = await buyer.intent()
    event = _succeeded(buyer.stripe, intent)
    event["data"]["object"].update(FORGERIES[name])
    assert (await buyer.send(event)).status_code == 200
    assert await buyer.state() == "paying"
    await buyer.check_books(orders=0, stock=(5, 1))


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
    for thing in ({"object": "customer", "id": "cus_1"}, {"object": "payment_intent", "metadata": {}}, [1]):
        event = {**_succeeded(buyer.stripe, {"id": "x"}), "data": {"object": thing}}
        assert (await buyer.send(event)).json() == {"received": True, "taken": True}


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
    assert (await buyer.send(event, secret=SECOND_SECRET)).status_code == 200
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_a_signed_body_that_is_no_event_is_refused(buyer: Buyer):
    for body in (b"{}", b"[]", b"null", b"not json", b'{"id": 1}', b"\xff\xfe"):
        answer = await buyer.place.client.post(
            "/storefront/v1/webhooks/stripe",
            content=body,
            headers={"Content-Type": "application/json", "Stripe-Signature": buyer.stripe.sign(body)},
        )
        assert answer.status_code in (403, 422), body


@pytest.mark.parametrize("fault", ["error_after", "cut"])
async def test_a_charge_whose_answer_was_lost_ends_as_one_paid_order(buyer: Buyer, fault: str):
    buyer.stripe.fail("confirm", fault)
    answer = await buyer.pay()
    assert answer.status_code == 202, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert (await buyer.pay()).status_code == 202
    await buyer.reconcile()
    assert await buyer.state() == "completed"
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_a_hanging_charge_answers_202_and_settles_by_itself(buyer: Buyer):
    buyer.stripe.fail("confirm", "hang")
    answer = await buyer.pay()
    assert (answer.status_code, answer.json()["state"]) == (202, "paying")
    # The return of the shopper does not disturb the call that is on its way.
    assert (await buyer.confirm()).json()["state"] == "paying"
    buyer.stripe.release()
    async with asyncio.timeout(10):
        while await buyer.state() != "completed":  # noqa: ASYNC110 - only the shop knows, and is asked
            await asyncio.sleep(0.05)
    await buyer.check_books(orders=1, stock=(4, 0))


@pytest.mark.parametrize("fault", ["error", "limit"])
async def test_a_charge_that_never_happened_gives_the_stock_back(buyer: Buyer, fault: str):
    buyer.stripe.fail("confirm", fault)
    assert (await buyer.pay()).status_code == 202
    await buyer.check_books(orders=0, stock=(5, 1))
    await buyer.reconcile()
    assert (await buyer.intent())["status"] == "canceled"
    await buyer.check_books(orders=0, stock=(5, 0))
    assert (await buyer.pay()).status_code == 204
    await buyer.check_books(orders=1, stock=(4, 0))


@pytest.mark.parametrize("fault", ["error", "error_after", "cut", "limit"])
async def test_a_payment_that_could_not_be_opened_is_over_at_once(buyer: Buyer, fault: str):
    buyer.stripe.fail("create", fault)
    answer = await buyer.pay()
    assert (answer.status_code, answer.json()["reason"]) == (402, "service_unavailable")
    await buyer.check_books(orders=0, stock=(5, 0))
    assert (await buyer.pay()).status_code == 204
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_a_payment_stays_unknown_until_stripe_answers(buyer: Buyer):
    buyer.stripe.fail("confirm", "error_after")
    buyer.stripe.fail("retrieve", "error", "cut", "limit")
    assert (await buyer.pay()).status_code == 202
    for _ in range(3):
        await buyer.reconcile()
        await buyer.check_unknown()
    await buyer.reconcile()
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_a_charge_whose_process_died_is_found_by_its_key(buyer: Buyer):
    await buyer.pay("pm_card_authenticationRequired")
    intent = await buyer.intent()
    # As a process leaves it that died after the call and before it wrote the answer down.
    async with buyer.sessions() as session:
        await session.execute(
            text(
                "UPDATE payments SET state = 'started', reference = NULL, "
                "created_at = now() - interval '2 minutes' WHERE key = :key"
            ),
            {"key": intent["metadata"]["attempt"]},
        )
        await session.commit()
    buyer.stripe.authenticate(intent["id"])
    await buyer.reconcile()
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_money_that_came_after_its_attempt_was_given_up_goes_back_once(buyer: Buyer):
    await buyer.pay("pm_card_authenticationRequired")
    intent = await buyer.intent()
    async with buyer.sessions() as session:
        await session.execute(
            text(
                "UPDATE payments SET state = 'started', reference = NULL, "
                "created_at = now() - interval '2 minutes' WHERE key = :key"
            ),
            {"key": intent["metadata"]["attempt"]},
        )
        await session.commit()
    buyer.stripe.hidden_from_lists = True
    await buyer.reconcile()
    buyer.stripe.hidden_from_lists = False
    await buyer.check_books(orders=0, stock=(5, 0))
    buyer.stripe.authenticate(intent["id"])
    (event,) = buyer.stripe.events_of(intent["id"], "payment_intent.succeeded")
    buyer.stripe.fail("refund", "error_after")
    for _ in range(3):
        assert (await buyer.send(event)).status_code == 200
    with pytest.raises(RuntimeError, match="did not say"):
        await buyer.refund()
    await buyer.refund()
    await buyer.refund()
    assert buyer.stripe.refunded(intent["id"]) == 3000
    await buyer.check_books(orders=0, stock=(5, 0))


async def test_a_checkout_that_was_left_gives_up_its_payment(buyer: Buyer):
    await buyer.pay("pm_card_authenticationRequired")
    intent = await buyer.intent()
    async with buyer.sessions() as session:
        await session.execute(
            text("UPDATE checkouts SET held_until = now() - interval '1 s' WHERE store_id = :id"),
            {"id": buyer.guest.store.id},
        )
        await session.commit()
    await buyer.reconcile()
    assert intent["status"] == "canceled"
    await buyer.check_books(orders=0, stock=(5, 0))


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_fails_the_log_and_the_books_agree(buyer: Buyer, seed: int):
    dice = random.Random(seed)
    variant = await add_variant(buyer.sessions, buyer.guest.store, price=2500, on_hand=40)
    guests = [Guest(buyer.place.client, buyer.guest.store, buyer.guest.option_id) for _ in range(24)]
    crowd = [Buyer(guest, buyer.stripe, buyer.place, buyer.sessions, variant) for guest in guests]
    await asyncio.gather(*(one.guest.prepare(variant) for one in crowd))
    trouble = ["", "", "error", "error_after", "cut", "limit"]
    buyer.stripe.fail("create", *dice.choices(trouble, k=12))
    buyer.stripe.fail("confirm", *dice.choices([*trouble, "decline", "hang"], k=24))
    buyer.stripe.fail("retrieve", *dice.choices(trouble, k=24))
    cards = ["pm_card_visa", "pm_card_visa", "pm_card_authenticationRequired", "pm_card_chargeDeclined"]
    paid = await asyncio.gather(*(one.pay(dice.choice(cards)) for one in crowd))
    assert {answer.status_code for answer in paid} <= {204, 202, 402}
    buyer.stripe.release()
    keys = {key for (key,) in await buyer.rows("SELECT key FROM payments WHERE store_id = :store")}
    mine = [one for one in buyer.stripe.intents.values() if one["metadata"].get("attempt") in keys]
    for intent in mine:
        if intent["status"] == "requires_action" and dice.random() < 0.7:
            buyer.stripe.authenticate(intent["id"], success=dice.random() < 0.7)
    events = [event for intent in mine for event in buyer.stripe.events_of(intent["id"])] * 3
    dice.shuffle(events)
    told = await asyncio.gather(*(buyer.send(event) for event in events[: len(events) // 2]))
    assert {answer.status_code for answer in told} == {200}
    async with buyer.sessions() as session:
        await session.execute(
            text("UPDATE checkouts SET held_until = now() - interval '1 s' WHERE store_id = :id"),
            {"id": buyer.guest.store.id},
        )
        await session.commit()
    buyer.stripe.clear_faults()
    for _ in range(3):
        await buyer.reconcile()
    orders = len([one for one in buyer.stripe.log if one.attempt in keys])
    buyer.variant = variant
    await buyer.check_books(orders=orders, stock=(40 - orders, 0))
    assert orders > 4


async def test_an_amount_that_stripe_cannot_take_is_never_sent(place: Place, sessions: Sessions):
    store = await make_store(sessions, currency="KWD")
    guest = Guest(place.client, store, await open_till(sessions, store))
    variant = await add_variant(sessions, store, price=2501)
    await guest.prepare(variant)
    calls = len(place.stripe.calls)
    answer = await guest.pay(3001, service="stripe", payment_token="pm_card_visa")
    assert (answer.status_code, answer.json()["reason"]) == (402, "amount_not_supported")
    assert len(place.stripe.calls) == calls


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
