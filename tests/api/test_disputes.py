"""What a shopper's bank disputes: noted and booked once, in whatever order it is told of."""

import asyncio
import random
import re

from click.testing import CliRunner
from sqlalchemy import select

from app.cli import main
from app.db.audit import run_audit
from app.db.session import transaction
from app.domain.payments.models import Payment
from app.domain.payments.refunds import order_refund
from app.domain.payments.states import is_further
from app.kit.clock import utc_now
from tests.api.stripe_shop import Buyer

DISPUTE_ACCOUNTS = ("disputes:stripe", "disputed", "dispute_fees", "payments:stripe")


async def tell_all(buyer: Buyer, *, seed: int) -> None:
    """Every event so far, three times each and shuffled; then the worker's turn."""
    events = buyer.stripe.events_about((await buyer.intent())["id"]) * 3
    random.Random(seed).shuffle(events)
    for event in events:
        assert (await buyer.send(event)).status_code == 200
    await buyer.work("payments.compare_disputes")


async def booked(buyer: Buyer) -> dict[str, int]:
    rows = await buyer.rows(
        "SELECT account, sum(amount)::bigint FROM ledger_entries WHERE store_id = :store GROUP BY account"
    )
    return {account: amount for account, amount in rows if account in DISPUTE_ACCOUNTS}


async def timeline(buyer: Buyer) -> list[tuple[str, str]]:
    rows = await buyer.rows(
        "SELECT event, detail FROM order_events WHERE store_id = :store AND event LIKE 'dispute%' ORDER BY id"
    )
    return [(event, detail) for event, detail in rows]


async def test_a_dispute_is_noted_and_booked_as_it_goes_on(
    buyer: Buyer, reads, database_url, tmp_path, monkeypatch
):
    assert (await buyer.pay()).status_code == 204
    dispute = buyer.stripe.dispute((await buyer.intent())["id"])
    await tell_all(buyer, seed=1)
    assert await timeline(buyer) == [
        ("disputed", "stripe: needs_response, fraudulent"),
        ("dispute_withdrawn", "stripe: 30.00 USD, fee 15.00 USD"),
    ]
    taken = {"payments:stripe": 3000, "disputes:stripe": -4500, "disputed": 3000, "dispute_fees": 1500}
    assert await booked(buyer) == taken

    buyer.stripe.disputes.decide(dispute, "won")
    await tell_all(buyer, seed=2)
    await tell_all(buyer, seed=3)
    assert (await timeline(buyer))[2:] == [
        ("disputed", "stripe: won, fraudulent"),
        ("dispute_reinstated", "stripe: 30.00 USD"),
    ]
    assert await booked(buyer) == taken | {"disputes:stripe": -1500, "disputed": 0}
    # What was captured for the order stays what it was.
    assert await run_audit(reads, utc_now(), store_id=buyer.guest.store.id) == []
    await buyer.check_books(orders=1, stock=(4, 0))

    ((number,),) = await buyer.rows("SELECT number FROM orders WHERE store_id = :store")
    environ = {"DATABASE_URL": database_url, "STOREFRONT_DATA_DIR": str(tmp_path)}
    arguments = ["order", "show", str(number), "--store", buyer.guest.store.code]
    shown = await asyncio.to_thread(CliRunner(env=environ).invoke, main, arguments)
    assert re.search(r"DISPUTED at du_\w+: won, fraudulent, 30\.00 USD\n", shown.output), shown.output


async def test_a_dispute_is_noted_while_a_refund_has_no_answer(buyer: Buyer):
    assert (await buyer.pay()).status_code == 204
    async with transaction(buyer.sessions) as session:
        payment = (
            await session.scalars(select(Payment).where(Payment.store_id == buyer.guest.store.id))
        ).one()
        await order_refund(session, payment, amount=1000, reason="Scratched", now=utc_now())
    buyer.stripe.dispute((await buyer.intent())["id"])
    await tell_all(buyer, seed=6)
    assert [event for event, _ in await timeline(buyer)] == ["disputed", "dispute_withdrawn"]


async def test_what_is_heard_of_a_dispute_late_does_not_take_it_back(buyer: Buyer, monkeypatch):
    assert (await buyer.pay()).status_code == 204
    dispute = buyer.stripe.dispute((await buyer.intent())["id"])
    before = dict(dispute)
    buyer.stripe.disputes.decide(dispute, "lost")
    await tell_all(buyer, seed=4)
    assert [detail for event, detail in await timeline(buyer) if event == "disputed"] == [
        "stripe: lost, fraudulent"
    ]
    # An answer that was on its way for long.
    monkeypatch.setattr(buyer.stripe.disputes, "made", [before])
    await tell_all(buyer, seed=5)
    assert await buyer.rows("SELECT status FROM payment_disputes WHERE store_id = :store") == [("lost",)]
    assert len(await timeline(buyer)) == 2
    assert await booked(buyer) == {
        "payments:stripe": 3000,
        "disputes:stripe": -4500,
        "disputed": 3000,
        "dispute_fees": 1500,
    }


def test_a_dispute_goes_one_way_and_an_unknown_status_comes_before_the_end():
    order = ["warning_needs_response", "needs_response", "under_review", "something_new", "lost", "won"]
    for place, old in enumerate(order):
        assert [is_further(old, new) for new in order] == [False] * (place + 1) + [True] * (
            len(order) - place - 1
        )
