"""Paying through PayPal while calls fail, hang and get lost: the shop's books and PayPal's log agree."""

import asyncio
import random

import pytest
from sqlalchemy import text

from tests.api.paypal_shop import PayPalBuyer
from tests.shop import Guest, add_variant


@pytest.mark.parametrize("fault", ["error_after", "cut"])
async def test_a_capture_whose_answer_was_lost_ends_as_one_paid_order(paypal_buyer: PayPalBuyer, fault: str):
    buyer = paypal_buyer
    await buyer.start_and_approve()
    buyer.paypal.fail("capture", fault)
    assert (await buyer.confirm()).json()["state"] == "paying"
    await buyer.check_unknown()
    await buyer.reconcile()
    assert await buyer.state() == "completed"
    await buyer.check_books(orders=1, stock=(4, 0))


@pytest.mark.parametrize("fault", ["error", "limit"])
async def test_a_capture_that_never_happened_is_tried_again(paypal_buyer: PayPalBuyer, fault: str):
    buyer = paypal_buyer
    await buyer.start_and_approve()
    buyer.paypal.fail("capture", fault)
    assert (await buyer.confirm()).json()["state"] == "paying"
    await buyer.check_unknown()
    assert (await buyer.confirm()).json()["state"] == "completed"
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_where_everything_after_the_approval_is_lost_the_reconciler_settles(paypal_buyer: PayPalBuyer):
    buyer = paypal_buyer
    await buyer.start_and_approve()
    await buyer.reconcile()
    assert await buyer.state() == "completed"
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_a_hanging_capture_answers_in_time_and_settles_by_itself(paypal_buyer: PayPalBuyer):
    buyer = paypal_buyer
    await buyer.start_and_approve()
    buyer.paypal.fail("capture", "hang")
    answer = await buyer.confirm()
    assert (answer.status_code, answer.json()["state"]) == (200, "paying")
    buyer.paypal.release()
    async with asyncio.timeout(10):
        while await buyer.state() != "completed":  # noqa: ASYNC110 - only the shop knows, and is asked
            await asyncio.sleep(0.05)
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_while_one_capture_hangs_another_call_finds_what_it_did(paypal_buyer: PayPalBuyer):
    buyer = paypal_buyer
    await buyer.start_and_approve()
    buyer.paypal.fail("capture", "hang")
    assert (await buyer.confirm()).json()["state"] == "paying"
    assert (await buyer.confirm()).json()["state"] == "completed"
    buyer.paypal.release()
    await buyer.check_books(orders=1, stock=(4, 0))


@pytest.mark.parametrize("fault", ["error", "error_after", "cut", "limit"])
async def test_an_order_that_could_not_be_made_is_over_at_once(paypal_buyer: PayPalBuyer, fault: str):
    buyer = paypal_buyer
    buyer.paypal.fail("create", fault)
    answer = await buyer.start()
    assert (answer.status_code, answer.json()["reason"]) == (402, "service_unavailable")
    await buyer.check_books(orders=0, stock=(5, 0))
    await buyer.start_and_approve()
    assert (await buyer.confirm()).json()["state"] == "completed"
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_a_payment_stays_unknown_until_paypal_answers(paypal_buyer: PayPalBuyer):
    buyer = paypal_buyer
    await buyer.start_and_approve()
    buyer.paypal.fail("capture", "error_after")
    assert (await buyer.confirm()).json()["state"] == "paying"
    buyer.paypal.fail("get", "error", "cut", "limit")
    for _ in range(3):
        await buyer.reconcile()
        await buyer.check_unknown()
    await buyer.reconcile()
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_a_token_that_ended_early_is_fetched_anew_once(paypal_buyer: PayPalBuyer):
    buyer = paypal_buyer
    await buyer.start_and_approve()
    buyer.paypal.end_tokens()
    before = buyer.paypal.calls.count("token")
    assert (await buyer.confirm()).json()["state"] == "completed"
    assert buyer.paypal.calls.count("token") == before + 1
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_an_attempt_whose_process_died_was_never_charged(paypal_buyer: PayPalBuyer):
    buyer = paypal_buyer
    await buyer.start()
    # As a process leaves it that died after the call and before it wrote the answer down.
    async with buyer.sessions() as session:
        await session.execute(
            text(
                "UPDATE payments SET state = 'started', reference = NULL, action = NULL, "
                "created_at = now() - interval '2 minutes' WHERE store_id = :store"
            ),
            {"store": buyer.guest.store.id},
        )
        await session.commit()
    await buyer.reconcile()
    await buyer.check_books(orders=0, stock=(5, 0))
    await buyer.start_and_approve()
    assert (await buyer.confirm()).json()["state"] == "completed"
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_a_checkout_that_was_left_gives_up_its_order_and_never_captures_it(paypal_buyer: PayPalBuyer):
    buyer = paypal_buyer
    await buyer.start()
    reference = (await buyer.order())["id"]
    await buyer.let_hold_run_out()
    await buyer.reconcile()
    await buyer.check_books(orders=0, stock=(5, 0))
    buyer.paypal.approve(reference)
    for event in buyer.paypal.events_of(reference):
        assert (await buyer.send(event)).status_code == 200
    await buyer.ask()
    await buyer.reconcile()
    late = await buyer.confirm()
    assert (late.status_code, late.json()["code"]) == (409, "no_payment_started")
    assert buyer.paypal.orders[reference]["status"] == "APPROVED"
    await buyer.check_books(orders=0, stock=(5, 0))


async def test_an_order_that_paypal_has_forgotten_gives_the_stock_back(paypal_buyer: PayPalBuyer):
    buyer = paypal_buyer
    await buyer.start()
    buyer.paypal.forget((await buyer.order())["id"])
    answer = await buyer.confirm()
    assert (answer.status_code, answer.json()["reason"]) == (402, "expired")
    await buyer.check_books(orders=0, stock=(5, 0))


async def test_money_that_came_after_its_attempt_was_given_up_goes_back_once(paypal_buyer: PayPalBuyer):
    buyer = paypal_buyer
    reference = await buyer.start_and_approve("review")
    assert (await buyer.confirm()).json()["state"] == "paying"
    # As a shop leaves it whose staff gave the order up, or that was restored from yesterday.
    async with buyer.sessions() as session:
        await session.execute(
            text("UPDATE payments SET state = 'cancelled' WHERE store_id = :store"),
            {"store": buyer.guest.store.id},
        )
        await session.commit()
    buyer.paypal.end_review(reference, accept=True)
    (event,) = buyer.paypal.events_of(reference, "PAYMENT.CAPTURE.COMPLETED")
    for _ in range(3):
        assert (await buyer.send(event)).status_code == 200
    assert await buyer.rows("SELECT state FROM payments WHERE store_id = :store") == [("late",)]
    buyer.paypal.fail("refund", "error_after")
    with pytest.raises(RuntimeError, match="did not say"):
        await buyer.refund()
    await buyer.refund()
    await buyer.refund()
    assert buyer.paypal.refunded(reference) == 3000
    await buyer.check_books(orders=0, stock=(5, 1))


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_fails_the_log_and_the_books_agree(paypal_buyer: PayPalBuyer, seed: int):
    buyer = paypal_buyer
    dice = random.Random(seed)
    variant = await add_variant(buyer.sessions, buyer.guest.store, price=2500, on_hand=40)
    guests = [Guest(buyer.place.client, buyer.guest.store, buyer.guest.option_id) for _ in range(24)]
    crowd = [PayPalBuyer(one, buyer.paypal, buyer.place, buyer.sessions, variant) for one in guests]
    await asyncio.gather(*(one.guest.prepare(variant) for one in crowd))
    trouble = ["", "", "", "", "error", "error_after", "cut", "limit"]
    for call, times in (("create", 12), ("capture", 24), ("get", 24), ("verify", 24)):
        hanging = ["hang"] if call == "capture" else []
        buyer.paypal.fail(call, *dice.choices([*trouble, *hanging], k=times))
    buyer.paypal.fail("token", "cut", "error")
    started = await asyncio.gather(*(one.start() for one in crowd))
    # Who finds no place at the till in this shop's one second is told to come again.
    assert {answer.status_code for answer in started} <= {200, 402, 503}
    keys = {key for (key,) in await buyer.rows("SELECT key FROM payments WHERE store_id = :store")}
    orders = buyer.paypal.orders.values()
    mine = [one for one in orders if one["purchase_units"][0]["custom_id"] in keys]
    for order in mine:
        if dice.random() < 0.8:
            buyer.paypal.approve(order["id"], dice.choice(["bank", "bank", "bank", "refused", "failed"]))
    events = [event for order in mine for event in buyer.paypal.events_of(order["id"])] * 3
    dice.shuffle(events)
    told = await asyncio.gather(
        *(buyer.send(event) for event in events[: len(events) // 2]),
        *(one.confirm() for one in crowd if dice.random() < 0.5),
    )
    assert {answer.status_code for answer in told} <= {200, 402, 409, 503}
    buyer.paypal.release()
    buyer.paypal.clear_faults()
    await buyer.ask()
    await buyer.let_hold_run_out()
    for _ in range(3):
        await buyer.reconcile()
    paid = len([one for one in buyer.paypal.log if one.attempt in keys])
    buyer.variant = variant
    await buyer.check_books(orders=paid, stock=(40 - paid, 0))
    assert paid
