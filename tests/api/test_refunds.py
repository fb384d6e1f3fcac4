"""Money that is given back at the service's side: booked once, in any order, and never more than was taken."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from app.cli.doctor import TroubleError, check_refunds
from app.db.audit import run_audit
from app.db.queue import GiveUp, Job
from app.db.reads import Reads
from app.db.session import transaction
from app.domain.checkout.cancelling import refund_order
from app.domain.checkout.jobs import STRANGERS_TRIES, checkout_jobs
from app.domain.payments.models import Payment
from app.domain.payments.refunds import order_refund
from app.domain.payments.services import ServiceRefund
from app.integrations.stripe_payments import StripePayments
from app.kit.clock import utc_now
from app.main import build_shop, close_shop
from tests.api.stripe_shop import Buyer


@pytest.fixture
async def paid(buyer: Buyer, reads: Reads) -> AsyncIterator[Buyer]:
    """Somebody whose order is paid; in the end the books must agree with the stand-in's."""
    async with asyncio.timeout(20):  # on a busy machine the first answer may say that it takes a while
        while (answer := await buyer.pay()).status_code == 202:
            pass
    assert answer.status_code == 204
    yield buyer
    await buyer.check_books(orders=1, stock=(4, 0))
    assert await run_audit(reads, utc_now(), store_id=buyer.guest.store.id) == []


async def tell_all(buyer: Buyer, *, times: int = 1, seed: int = 1) -> None:
    """Every event about the buyer's refunds and disputes, shuffled, that often; then the worker's turn."""
    events = buyer.stripe.events_about((await buyer.intent())["id"]) * times
    random.Random(seed).shuffle(events)
    for event in events:
        assert (await buyer.send(event)).status_code == 200
    await buyer.compare_refunds()


async def order_status(buyer: Buyer) -> str:
    ((status,),) = await buyer.rows("SELECT payment_status FROM orders WHERE store_id = :store")
    return str(status)


async def timeline(buyer: Buyer) -> list[str]:
    rows = await buyer.rows("SELECT event FROM order_events WHERE store_id = :store ORDER BY id")
    return [event for (event,) in rows]


async def booked(buyer: Buyer) -> dict[str, int]:
    rows = await buyer.rows(
        "SELECT account, sum(amount)::bigint FROM ledger_entries WHERE store_id = :store GROUP BY account"
    )
    return {account: amount for account, amount in rows if account in ("payments:stripe", "refunds")}


async def order_back(buyer: Buyer, units: int) -> None:
    """Have so many units of the order's line paid back, and let the worker call the service."""
    ((line, order),) = await buyer.rows("SELECT id, order_id FROM order_lines WHERE store_id = :store")
    async with transaction(buyer.sessions) as session:
        await refund_order(
            session,
            buyer.guest.store.id,
            order,
            amount=None,
            reason="x",
            units={line: units},
            now=utc_now(),
        )
    await buyer.work("payments.make_refund")


@pytest.mark.parametrize("seed", range(3))
async def test_refunds_at_the_service_are_booked_once_in_any_order(paid: Buyer, seed):
    reference = (await paid.intent())["id"]
    paid.stripe.give_back(reference, 1000)
    paid.stripe.give_back(reference, 500, status="pending")
    await tell_all(paid, times=3, seed=seed)
    assert await order_status(paid) == "partially_refunded"
    assert await booked(paid) == {"payments:stripe": 1500, "refunds": 1500}
    paid.stripe.give_back(reference, 1500)
    await tell_all(paid, times=3, seed=seed)
    assert await order_status(paid) == "refunded"
    assert await booked(paid) == {"refunds": 3000, "payments:stripe": 0}
    assert (await timeline(paid)).count("refunded") == 3


async def test_one_event_about_the_charge_is_enough(paid: Buyer):
    reference = (await paid.intent())["id"]
    paid.stripe.give_back(reference, 700)
    (event,) = [one for one in paid.stripe.events_about(reference) if one["type"] == "charge.refunded"]
    assert (await paid.send(event)).json() == {"received": True, "taken": True}
    await paid.compare_refunds()
    ((order_id,),) = await paid.rows("SELECT id FROM orders WHERE store_id = :store")
    order = (await paid.guest.read_order(order_id)).json()
    assert [refund["amount"] for refund in order["refunds"]] == [700]


async def test_a_refund_that_fails_is_taken_back(paid: Buyer):
    reference = (await paid.intent())["id"]
    refund = paid.stripe.give_back(reference, 3000, status="pending")
    await tell_all(paid)
    assert await order_status(paid) == "refunded"
    paid.stripe.let_refund_fail(refund)
    await tell_all(paid, times=2)
    assert await order_status(paid) == "paid"
    assert await booked(paid) == {"payments:stripe": 3000, "refunds": 0}
    assert (await timeline(paid))[-2:] == ["refunded", "refund_failed"]


async def test_a_refund_that_had_failed_when_it_was_heard_of_moves_nothing(paid: Buyer):
    refund = paid.stripe.give_back((await paid.intent())["id"], 3000)
    paid.stripe.let_refund_fail(refund)
    await tell_all(paid, times=2)
    assert await order_status(paid) == "paid"
    assert await booked(paid) == {"payments:stripe": 3000}


async def test_units_whose_refund_fails_later_are_paid_for_again(paid: Buyer):
    await order_back(paid, 1)
    await paid.work("payments.make_refund")
    assert await booked(paid) == {"payments:stripe": 500, "refunds": 2500}
    assert await paid.rows("SELECT refunded FROM order_lines WHERE store_id = :store") == [(1,)]
    paid.stripe.let_refund_fail(paid.stripe.refunds[-1])
    await tell_all(paid, times=2)
    assert await booked(paid) == {"payments:stripe": 3000, "refunds": 0}
    assert await paid.rows("SELECT refunded FROM order_lines WHERE store_id = :store") == [(0,)]
    assert await paid.rows("SELECT state FROM refund_orders WHERE store_id = :store") == [("failed",)]


async def test_a_refund_that_failed_before_its_answer_was_booked_has_failed(paid: Buyer, monkeypatch):
    refund = StripePayments.refund

    async def slow(service: StripePayments, *asked: Any) -> ServiceRefund | None:
        answer = await refund(service, *asked)
        paid.stripe.let_refund_fail(paid.stripe.refunds[-1])
        await tell_all(paid)
        return answer

    monkeypatch.setattr(StripePayments, "refund", slow)
    with pytest.raises(GiveUp, match="could not give the money back"):
        await order_back(paid, 1)
    assert await paid.rows("SELECT state FROM refund_orders WHERE store_id = :store") == [("failed",)]
    assert await paid.rows("SELECT refunded FROM order_lines WHERE store_id = :store") == [(0,)]
    assert (await order_status(paid), await booked(paid)) == ("paid", {"payments:stripe": 3000})


async def test_what_the_service_refuses_to_give_back_can_be_ordered_back_again(paid: Buyer):
    dispute = paid.stripe.dispute((await paid.intent())["id"])
    with pytest.raises(GiveUp, match="could not give the money back"):
        await order_back(paid, 1)
    wishes = "SELECT state FROM refund_orders WHERE store_id = :store ORDER BY id"
    assert await paid.rows(wishes) == [("failed",)]
    assert await paid.rows("SELECT refunded FROM order_lines WHERE store_id = :store") == [(0,)]
    assert await booked(paid) == {"payments:stripe": 3000}
    assert (await timeline(paid))[-1] == "refund_failed"
    paid.stripe.disputes.decide(dispute, "won")
    await order_back(paid, 1)
    assert await paid.rows(wishes) == [("failed",), ("made",)]
    assert await booked(paid) == {"payments:stripe": 500, "refunds": 2500}


async def test_a_refund_without_an_answer_for_a_day_is_seen_and_asked_for_again(paid: Buyer, reads, run):
    """Once it was made and its answer lost, and once it never reached the service."""
    store = paid.guest.store.id
    ((order, number),) = await paid.rows("SELECT id, number FROM orders WHERE store_id = :store")
    for fault, before in (("cut", 1000), ("error", 1000)):
        paid.stripe.fail("refund", fault)
        async with transaction(paid.sessions) as session:
            await refund_order(session, store, order, amount=1000, reason="x", now=utc_now())
        with pytest.raises(RuntimeError, match="did not say"):
            await paid.work("payments.make_refund")
        assert paid.stripe.refunded((await paid.intent())["id"]) == before
        assert "on its way" in (await run("order", "show", str(number))).output
        assert await run_audit(reads, utc_now(), store_id=store) == []
        assert (await run("order", "refund", str(number), "--ask-again")).exit_code == 1
        async with transaction(paid.sessions) as session:
            await session.execute(
                text(
                    "UPDATE refund_orders SET called_at = called_at - interval '1 day' WHERE state = 'wanted'"
                )
            )
        with pytest.raises(GiveUp, match="for a day"):
            await paid.work("payments.make_refund")
        async with transaction(paid.sessions) as session:  # as the queue does with what was given up
            await session.execute(
                text(
                    "UPDATE jobs SET state = 'parked' WHERE store_id = :id AND kind = 'payments.make_refund'"
                ),
                {"id": store},
            )
        (breach,) = await run_audit(reads, utc_now(), store_id=store)
        assert (breach.check, "10" in breach.detail) == ("refund_unanswered", True)
        with pytest.raises(TroubleError, match="--ask-again"):
            await check_refunds(paid.settings)
        assert "NOBODY KNOWS whether it went back" in (await run("order", "show", str(number))).output
        paid.stripe.forget_keys()
        asked = await run("order", "refund", str(number), "--ask-again")
        assert asked.output == f"#{number}: stripe is asked again about 10.00 USD\n"
        await paid.work("payments.make_refund")
    assert paid.stripe.refunded((await paid.intent())["id"]) == 2000
    assert await booked(paid) == {"payments:stripe": 1000, "refunds": 2000}
    assert await paid.rows("SELECT state FROM refund_orders WHERE store_id = :store") == [("made",)] * 2


async def test_a_refund_that_no_longer_fits_what_is_left_is_not_even_asked_for(paid: Buyer):
    async with transaction(paid.sessions) as session:
        payment = (
            await session.scalars(select(Payment).where(Payment.store_id == paid.guest.store.id))
        ).one()
        await order_refund(session, payment, amount=2000, reason="Scratched", now=utc_now())
    reference = (await paid.intent())["id"]
    paid.stripe.give_back(reference, 1500)
    await tell_all(paid)
    made = paid.stripe.calls.count("refund")
    await paid.work("payments.make_refund")
    assert paid.stripe.calls.count("refund") == made
    assert await paid.rows("SELECT state FROM refund_orders WHERE store_id = :store") == [("failed",)]
    events = await paid.rows(
        "SELECT detail FROM order_events WHERE store_id = :store ORDER BY id DESC LIMIT 1"
    )
    assert events == [("it went back before",)]
    assert paid.stripe.refunded(reference) == 1500


async def test_more_than_was_captured_is_never_booked(paid: Buyer):
    reference = (await paid.intent())["id"]
    paid.stripe.give_back(reference, 2000)
    await tell_all(paid)
    # No service should say so; the books must bear it.
    strange = {**paid.stripe.refunds[-1], "id": "re_strange", "amount": 1001}
    paid.stripe.refunds.append(strange)
    paid.stripe._tell("refund.created", strange)
    await tell_all(paid)
    assert (await timeline(paid))[-1] == "refund_mismatch"
    assert await booked(paid) == {"payments:stripe": 1000, "refunds": 2000}
    paid.stripe.refunds.remove(strange)


async def test_a_refund_that_is_heard_of_before_its_capture_settles_that_first(buyer: Buyer, reads: Reads):
    buyer.stripe.fail("confirm", "cut")
    assert (await buyer.pay()).status_code == 202
    async with asyncio.timeout(20):  # until the call that lost its answer is over
        while await buyer.rows("SELECT state FROM payments WHERE store_id = :store") != [("unknown",)]:
            pass
    buyer.stripe.give_back((await buyer.intent())["id"], 3000)
    await tell_all(buyer, times=2)
    await buyer.check_books(orders=1, stock=(4, 0))
    assert await timeline(buyer) == ["placed", "paid", "refunded"]
    assert await run_audit(reads, utc_now(), store_id=buyer.guest.store.id) == []


async def pay_twice(buyer: Buyer) -> dict[str, Any]:
    """The shopper turns to another card; the bank had said yes to the first one all the same. That one's intent."""
    await buyer.guest.call("POST", f"/checkout/{buyer.guest.token}/payment/stripe", {})
    intent = await buyer.intent()
    assert (await buyer.pay()).status_code == 204
    intent["status"] = "requires_payment_method"
    buyer.stripe.pay_on_page(intent["client_secret"], "pm_card_visa")
    for event in buyer.stripe.events_of(intent["id"], "payment_intent.succeeded"):
        await buyer.send(event)
    return intent


async def test_late_money_that_the_service_will_not_give_back_is_for_people_at_once(
    buyer: Buyer, reads: Reads
):
    dispute = buyer.stripe.dispute((await pay_twice(buyer))["id"])
    with pytest.raises(GiveUp, match="could not give the money back"):
        await buyer.refund()
    later = utc_now() + timedelta(seconds=130)
    found = await run_audit(reads, later, store_id=buyer.guest.store.id)
    assert [breach.check for breach in found] == ["captured_without_order"]
    buyer.stripe.disputes.decide(dispute, "won")
    await buyer.refund()
    assert await run_audit(reads, later, store_id=buyer.guest.store.id) == []


async def test_late_money_is_sent_back_once_and_what_went_back_before_counts(buyer: Buyer, reads: Reads):
    intent = await pay_twice(buyer)
    buyer.stripe.give_back(intent["id"], 1000)
    for _ in range(2):
        await buyer.refund()
    for event in buyer.stripe.events_about(intent["id"]):
        await buyer.send(event)
    await asyncio.gather(buyer.compare_refunds(), buyer.refund())
    assert buyer.stripe.refunded(intent["id"]) == 3000
    payments = await buyer.rows(
        "SELECT state, captured, refunded FROM payments WHERE store_id = :store ORDER BY attempt"
    )
    assert payments == [("late", 3000, 3000), ("captured", 3000, 0)]
    assert await run_audit(reads, utc_now(), store_id=buyer.guest.store.id) == []


async def test_a_refund_of_a_payment_that_nobody_knows_is_let_go_after_a_while(buyer: Buyer):
    stranger = {
        "id": "re_stranger",
        "object": "refund",
        "amount": 5,
        "currency": "usd",
        "metadata": {},
        "payment_intent": "pi_stranger",
        "status": "succeeded",
    }
    buyer.stripe._tell("refund.created", stranger)
    assert (await buyer.send(buyer.stripe.events[-1])).json()["taken"]
    (row,) = await buyer.rows(
        "SELECT id, store_id, kind, dedupe_key, payload FROM jobs WHERE payload->>'reference' = 'pi_stranger'"
    )
    shop = build_shop(buyer.place.settings)
    try:
        compare = checkout_jobs(till=shop.till, stores=shop.stores, clock=utc_now)["payments.compare_refunds"]
        with pytest.raises(RuntimeError, match="no such payment yet"):
            await compare(Job(*row, tries=STRANGERS_TRIES - 1))
        await compare(Job(*row, tries=STRANGERS_TRIES))
    finally:
        await close_shop(shop)
