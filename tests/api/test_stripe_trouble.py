"""Paying through Stripe while calls fail, hang and get lost: the shop's books and Stripe's log agree."""

import asyncio
import random

import pytest
from sqlalchemy import text

from app.cli.doctor import NotNowError, TroubleError, check_payments
from app.db.session import transaction
from app.domain.checkout.till import CALL_IS_OVER_SECONDS
from tests.api.stripe_shop import Buyer
from tests.shop import Guest, add_variant


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


@pytest.mark.parametrize("heard_of", [False, True])
async def test_nobody_asks_about_a_payment_while_the_call_that_charges_is_on_its_way(
    buyer: Buyer, heard_of: bool
):
    # That it is not known yet would be no news; and what is known and not confirmed yet would be ended.
    buyer.stripe.hidden_from_lists = not heard_of
    buyer.stripe.fail("create", "hang")
    assert (await buyer.pay()).status_code == 202
    await buyer.reconcile(after=CALL_IS_OVER_SECONDS - 15)
    assert await buyer.rows("SELECT state FROM payments WHERE store_id = :store") == [("started",)]
    buyer.stripe.hidden_from_lists = False
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


async def test_doctor_names_a_payment_that_has_no_outcome_for_a_day(buyer: Buyer):
    async def age(reason: str) -> None:
        async with transaction(buyer.sessions) as session:
            await session.execute(
                text(
                    "UPDATE payments SET created_at = now() - interval '25 hours', reason = :reason "
                    "WHERE store_id = :id AND state = 'unknown'"
                ),
                {"id": buyer.guest.store.id, "reason": reason},
            )

    async with transaction(buyer.sessions) as session:  # what other tests left
        await session.execute(text("UPDATE payments SET created_at = now()"))
    buyer.stripe.fail("confirm", "error_after")
    assert (await buyer.pay()).status_code == 202
    ((key,),) = await buyer.rows("SELECT key FROM payments WHERE store_id = :store")
    assert "none" in await check_payments(buyer.settings)
    await age("resource_missing")
    with pytest.raises(TroubleError, match=key):
        await check_payments(buyer.settings)
    await age("processing")
    with pytest.raises(NotNowError, match=key):
        await check_payments(buyer.settings)
    await buyer.reconcile()
    assert "none" in await check_payments(buyer.settings)


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
    await buyer.let_hold_run_out()
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
    trouble = ["", "", "", "", "error", "error_after", "cut", "limit"]
    buyer.stripe.fail("create", *dice.choices(trouble, k=12))
    buyer.stripe.fail("confirm", *dice.choices([*trouble, "decline", "hang"], k=24))
    buyer.stripe.fail("retrieve", *dice.choices(trouble, k=24))
    cards = ["pm_card_visa", "pm_card_visa", "pm_card_authenticationRequired", "pm_card_chargeDeclined"]
    paid = await asyncio.gather(*(one.pay(dice.choice(cards)) for one in crowd))
    # Who finds no place at the till in this shop's one second is told to come again.
    assert {answer.status_code for answer in paid} <= {204, 202, 402, 503}
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
    await buyer.let_hold_run_out()
    buyer.stripe.clear_faults()
    for _ in range(3):
        await buyer.reconcile()
    orders = len([one for one in buyer.stripe.log if one.attempt in keys])
    buyer.variant = variant
    await buyer.check_books(orders=orders, stock=(40 - orders, 0))
    assert orders
