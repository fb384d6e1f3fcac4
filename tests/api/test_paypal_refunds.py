"""Money that goes back through PayPal: booked once, whoever sent it, in any order, never more than was taken."""

import random
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from app.db.audit import run_audit
from app.db.reads import Reads
from app.db.session import transaction
from app.domain.checkout.cancelling import refund_order
from app.kit.clock import utc_now
from tests.api.paypal_shop import PayPalBuyer
from tests.people import make_customer


@pytest.fixture
async def paid(paypal_buyer: PayPalBuyer, reads: Reads) -> AsyncIterator[PayPalBuyer]:
    """Somebody whose order is paid; in the end the books must agree with the stand-in's."""
    await paypal_buyer.start_and_approve()
    assert (await paypal_buyer.confirm()).json()["state"] == "completed"
    yield paypal_buyer
    await paypal_buyer.check_books(orders=1, stock=(4, 0))
    assert await run_audit(reads, utc_now(), store_id=paypal_buyer.guest.store.id) == []


async def tell_all(buyer: PayPalBuyer, *, times: int = 1, seed: int = 1) -> None:
    """Every event about the buyer's order, shuffled, that often; then the worker's turn."""
    events = buyer.paypal.events_of((await buyer.order())["id"]) * times
    random.Random(seed).shuffle(events)
    for event in events:
        assert (await buyer.send(event)).status_code == 200
    await buyer.compare_refunds()
    await buyer.work("payments.compare_disputes")


async def status_and_books(buyer: PayPalBuyer) -> tuple[str, dict[str, int]]:
    ((status,),) = await buyer.rows("SELECT payment_status FROM orders WHERE store_id = :store")
    rows = await buyer.rows(
        "SELECT account, sum(amount)::bigint FROM ledger_entries WHERE store_id = :store GROUP BY account"
    )
    return status, {name: amount for name, amount in rows if name in ("payments:paypal", "refunds")}


@pytest.mark.parametrize("seed", range(3))
async def test_refunds_at_the_service_are_booked_once_in_any_order(paid: PayPalBuyer, seed: int):
    reference = (await paid.order())["id"]
    paid.paypal.give_back(reference, 1000)
    paid.paypal.give_back(reference, 500, status="PENDING")
    await tell_all(paid, times=3, seed=seed)
    assert await status_and_books(paid) == (
        "partially_refunded",
        {"payments:paypal": 1500, "refunds": 1500},
    )
    paid.paypal.give_back(reference, 1500)
    await tell_all(paid, times=3, seed=seed)
    assert await status_and_books(paid) == ("refunded", {"payments:paypal": 0, "refunds": 3000})
    rows = await paid.rows("SELECT event FROM order_events WHERE store_id = :store ORDER BY id")
    assert [event for (event,) in rows].count("refunded") == 3


async def test_a_refund_that_fails_is_taken_back(paid: PayPalBuyer):
    refund = paid.paypal.give_back((await paid.order())["id"], 3000, status="PENDING")
    await tell_all(paid)
    assert (await status_and_books(paid))[0] == "refunded"
    paid.paypal.let_refund_fail(refund)
    await tell_all(paid, times=2)
    assert await status_and_books(paid) == ("paid", {"payments:paypal": 3000, "refunds": 0})


async def moved(buyer: PayPalBuyer) -> dict[str, int]:
    rows = await buyer.rows(
        "SELECT account, sum(amount)::bigint FROM ledger_entries WHERE store_id = :store "
        "AND account NOT IN ('sales', 'shipping') GROUP BY account HAVING sum(amount) <> 0"
    )
    return dict(rows)


async def told_of_disputes(buyer: PayPalBuyer) -> list[tuple[str, str]]:
    return await buyer.rows(
        "SELECT event, detail FROM order_events WHERE store_id = :store AND event LIKE 'dispute%' ORDER BY id"
    )


async def test_a_dispute_is_noted_and_booked_as_it_goes_on(paid: PayPalBuyer, run):
    dispute = paid.paypal.dispute((await paid.order())["id"])
    paid.paypal.fail("list_disputes", "error")
    (event,) = paid.paypal.events_of((await paid.order())["id"], "CUSTOMER.DISPUTE.CREATED")
    await paid.send(event)
    with pytest.raises(RuntimeError, match="which disputes there are"):
        await paid.work("payments.compare_disputes")
    assert await told_of_disputes(paid) == [
        ("disputed", "paypal: open, unauthorised")
    ]  # the event says that much
    for reason, value in (("DISPUTE_SETTLEMENT", "30.00"), ("DISPUTE_FEE", "15.00")):
        paid.paypal.move(dispute, "DEBIT", reason, value)
    await tell_all(paid, times=2)
    taken = {"payments:paypal": 3000, "disputes:paypal": -4500, "disputed": 3000, "dispute_fees": 1500}
    assert await moved(paid) == taken
    paid.paypal.move(dispute, "CREDIT", "DISPUTE_SETTLEMENT", "30.00")
    paid.paypal.resolve(dispute, "RESOLVED_SELLER_FAVOUR")
    # The list that is to take this one's place names the party otherwise; it is the same money.
    dispute["fund_movements"] = [
        {"party": one.pop("affected_party"), **one} for one in dispute.pop("money_movements")
    ]
    await tell_all(paid, times=2)
    assert await moved(paid) == {"payments:paypal": 3000, "disputes:paypal": -1500, "dispute_fees": 1500}
    told = await told_of_disputes(paid)
    assert len(set(told)) == len(told)
    assert told[-1] == ("disputed", "paypal: resolved_seller_favour, unauthorised") or told[-2:] == [
        ("disputed", "paypal: resolved_seller_favour, unauthorised"),
        ("dispute_reinstated", "paypal: 30.00 USD"),
    ]
    assert {("dispute_withdrawn", "paypal: 30.00 USD"), ("dispute_fee", "paypal: 15.00 USD")} <= set(told)
    ((number,),) = await paid.rows("SELECT number FROM orders WHERE store_id = :store")
    shown = (await run("order", "show", str(number))).output
    assert f"DISPUTED at {dispute['dispute_id']}: resolved_seller_favour, unauthorised, 30.00 USD" in shown


@pytest.mark.parametrize("how", ["dispute first", "together", "not listed"])
async def test_what_settles_a_dispute_and_is_a_refund_is_one_money(paid: PayPalBuyer, how: str):
    reference = (await paid.order())["id"]
    paid.paypal.give_back(reference, 500)  # before all that, and by itself
    dispute = paid.paypal.dispute(reference)
    paid.paypal.move(dispute, "DEBIT", "DISPUTE_SETTLEMENT", "25.00")
    if how == "dispute first":
        await tell_all(paid)
        assert await moved(paid) == {
            "payments:paypal": 2500,
            "refunds": 500,
            "disputes:paypal": -2500,
            "disputed": 2500,
        }
    paid.paypal.reverse(reference, 2500, listed=how != "not listed")
    paid.paypal.resolve(dispute, "RESOLVED_BUYER_FAVOUR")
    await tell_all(paid, times=2)
    assert await moved(paid) == {"refunds": 3000}
    assert (await status_and_books(paid))[0] == "refunded"


@pytest.mark.parametrize("how", ["dispute first", "together"])
async def test_what_a_dispute_took_is_booked_anew_where_the_refund_that_it_was_fails(
    paid: PayPalBuyer, how: str
):
    reference = (await paid.order())["id"]
    dispute = paid.paypal.dispute(reference)
    paid.paypal.move(dispute, "DEBIT", "DISPUTE_SETTLEMENT", "25.00")
    taken = {"payments:paypal": 3000, "disputes:paypal": -2500, "disputed": 2500}
    if how == "dispute first":
        await tell_all(paid)
        assert await moved(paid) == taken
    # As often as that may be: each refund is another one.
    for _ in range(2):
        refund = paid.paypal.reverse(reference, 2500)
        await tell_all(paid, times=2)
        assert await moved(paid) == {"payments:paypal": 500, "refunds": 2500}
        paid.paypal.let_refund_fail(refund)
        await tell_all(paid, times=2)
        assert await moved(paid) == taken
    assert (await status_and_books(paid))[0] == "paid"
    assert (await told_of_disputes(paid)).count(("dispute_withdrawn", "paypal: 25.00 USD")) == 1


async def test_what_went_back_as_credit_settles_no_dispute(paypal_buyer: PayPalBuyer, reads: Reads):
    buyer = paypal_buyer
    await buyer.start_and_approve()
    assert (await buyer.confirm()).json()["state"] == "completed"
    store = buyer.guest.store
    customer = await make_customer(buyer.sessions, store)
    async with transaction(buyer.sessions) as session:
        order: int = (
            await session.execute(
                text("UPDATE orders SET customer_id = :customer WHERE store_id = :store RETURNING id"),
                {"customer": customer, "store": store.id},
            )
        ).scalar_one()
        await refund_order(
            session, store.id, order, amount=2500, reason="late", to_credit=True, now=utc_now()
        )
    dispute = buyer.paypal.dispute((await buyer.order())["id"])
    buyer.paypal.move(dispute, "DEBIT", "DISPUTE_SETTLEMENT", "25.00")
    await tell_all(buyer, times=2)
    books = await moved(buyer)
    assert (books["disputes:paypal"], books["disputed"], books["refunds"]) == (-2500, 2500, 2500)
    assert ("dispute_withdrawn", "paypal: 25.00 USD") in await told_of_disputes(buyer)
    assert await run_audit(reads, utc_now(), store_id=store.id) == []


async def test_a_refund_of_our_own_that_is_on_its_way_settles_no_dispute(paid: PayPalBuyer):
    reference = (await paid.order())["id"]
    dispute = paid.paypal.dispute(reference)
    paid.paypal.move(dispute, "DEBIT", "DISPUTE_SETTLEMENT", "10.00")
    paid.paypal.move(dispute, "CREDIT", "DISPUTE_SETTLEMENT", "10.00")
    paid.paypal.move(dispute, "CREDIT", "DISPUTE_SETTLEMENT", "0.00")
    await tell_all(paid)
    before = await moved(paid)
    ((order,),) = await paid.rows("SELECT id FROM orders WHERE store_id = :store")
    async with transaction(paid.sessions) as session:
        await refund_order(session, paid.guest.store.id, order, amount=1000, reason="x", now=utc_now())
    paid.paypal.fail("refund", "cut")
    with pytest.raises(RuntimeError, match="did not say"):
        await paid.work("payments.make_refund")
    for event in paid.paypal.events_of(reference):
        assert (await paid.send(event)).status_code == 200
    with pytest.raises(RuntimeError, match="on its way"):
        await paid.compare_refunds()
    await paid.work("payments.make_refund")
    await paid.compare_refunds()
    assert await moved(paid) == {**before, "payments:paypal": 2000, "refunds": 1000}


async def test_a_refund_of_somebody_elses_capture_has_no_effect(paid: PayPalBuyer):
    reference = (await paid.order())["id"]
    paid.paypal.give_back(reference, 1000)
    event = paid.paypal.events_of(reference, "PAYMENT.CAPTURE.REFUNDED")[0]
    paid.paypal.captures[paid.paypal.capture_of(reference)["id"]]["payee"]["merchant_id"] = "SOMEBODY"
    assert (await paid.send(event)).json()["taken"]
    assert await paid.rows("SELECT outcome FROM payment_events WHERE store_id = :store") == [("parked",)]
    paid.paypal.captures[paid.paypal.capture_of(reference)["id"]]["payee"]["merchant_id"] = (
        paid.paypal.merchant_id
    )
    await tell_all(paid)
    paid.paypal.give_back(reference, 2000)
    await tell_all(paid)
    assert (await status_and_books(paid))[0] == "refunded"


async def test_a_refund_whose_capture_cannot_be_looked_up_is_to_be_told_again(paid: PayPalBuyer):
    reference = (await paid.order())["id"]
    paid.paypal.give_back(reference, 700)
    (event,) = paid.paypal.events_of(reference, "PAYMENT.CAPTURE.REFUNDED")
    paid.paypal.fail("get_capture", "error")
    assert (await paid.send(event)).status_code == 503
    assert (await paid.send(event)).json() == {"received": True, "taken": True}
    await paid.compare_refunds()
    assert (await status_and_books(paid))[1] == {"payments:paypal": 2300, "refunds": 700}


async def test_a_refund_that_is_heard_of_before_its_capture_settles_that_first(
    paypal_buyer: PayPalBuyer, reads: Reads
):
    buyer = paypal_buyer
    reference = await buyer.start_and_approve()
    buyer.paypal.fail("capture", "cut")
    assert (await buyer.confirm()).json()["state"] == "paying"
    buyer.paypal.give_back(reference, 3000)
    events = buyer.paypal.events_of(reference, "PAYMENT.CAPTURE.REFUNDED")
    for event in events * 2:
        assert (await buyer.send(event)).status_code == 200
    await buyer.compare_refunds()
    await buyer.check_books(orders=1, stock=(4, 0))
    assert (await status_and_books(buyer))[0] == "refunded"
    assert await run_audit(reads, utc_now(), store_id=buyer.guest.store.id) == []
