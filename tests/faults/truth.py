"""What must hold after any fault, once the dust has settled: books, orders, mails, and a shop that sells."""

from collections import Counter
from dataclasses import dataclass

import asyncpg
import httpx

from app.db.audit import run_audit
from app.db.session import database_address
from app.kit.clock import utc_now
from tests.faults.parts import wait_until
from tests.faults.shoppers import VISA
from tests.faults.stage import Stage
from tests.shop import Guest

SETTLE_SECONDS = 120.0

_UNSETTLED = """
    SELECT 'payment ' || id || ' is ' || state AS what FROM payments
    WHERE state IN ('started', 'action_needed', 'unknown')
    UNION ALL SELECT 'checkout ' || id || ' is paying' FROM checkouts WHERE state = 'paying'
    UNION ALL SELECT format('job %s %s is %s after %s tries: %s', kind, dedupe_key, state, tries, reason)
        FROM jobs WHERE state <> 'done'
"""


@dataclass(frozen=True)
class Truth:
    """The figures of a check that found nothing wrong."""

    orders: int
    acknowledged: int
    charges: int
    refunds: int

    def __str__(self) -> str:
        return f"{self.orders} orders, {self.charges} charges at Stripe, 0 lost, 0 charged twice, audit clean"


async def settle(stage: Stage, seconds: float = SETTLE_SECONDS) -> None:
    """Wait until nothing is on its way any more: no attempt to pay, no checkout in between, no job."""
    left: list[str] = []

    async def nothing_is_left() -> bool:
        left[:] = [row["what"] for row in await stage.rows(_UNSETTLED)]
        return not left

    await wait_until(
        nothing_is_left, "everything has settled", seconds, said=lambda: f"{left}\n{stage.said()}"
    )


async def check(stage: Stage, *, sells: bool = True) -> Truth:
    """Wait until all has settled, then hold the shop against what its buyers and Stripe know."""
    await stage.until_ready()
    await settle(stage)
    await _check_audit(stage)
    charges = await _check_stripe(stage)
    await _check_test_service(stage)
    await _check_acknowledged(stage)
    orders = await _check_mails(stage)
    if sells:
        await check_that_guests_buy(stage)
    return Truth(orders, len(stage.acknowledged), charges, len(stage.stripe.refunds))


async def _check_audit(stage: Stage) -> None:
    connection = await asyncpg.connect(database_address(stage.postgres.url).asyncpg)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            breaches = await run_audit(connection, utc_now())
            assert breaches == []
    finally:
        await connection.close()


async def _check_stripe(stage: Stage) -> int:
    """The log of the stand-in is what really happened: each charge is known, and no order paid twice."""
    payments = {
        row["key"]: row
        for row in await stage.rows(
            "SELECT key, reference, captured, refunded, currency, order_id FROM payments WHERE service = 'stripe'"
        )
    }
    taken = {
        (one.attempt, one.reference, one.amount, one.currency.upper(), stage.stripe.refunded(one.reference))
        for one in stage.stripe.log
    }
    assert len(taken) == len(stage.stripe.log), "a payment was charged twice"
    booked = {
        (key, row["reference"], row["captured"], row["currency"], row["refunded"])
        for key, row in payments.items()
        if row["captured"]
    }
    assert taken == booked
    kept = Counter(payments[one[0]]["order_id"] for one in taken if one[4] < one[2])
    assert not [order for order, times in kept.items() if times > 1], "an order was paid twice"
    return len(taken)


async def _check_test_service(stage: Stage) -> None:
    differing = await stage.rows(
        """
        SELECT coalesce(c.key, p.key) AS key, c.state AS charge, p.state AS payment
        FROM test_charges c
        FULL JOIN (SELECT * FROM payments WHERE service = 'test') p USING (key)
        WHERE coalesce(c.state = 'captured', false) <> coalesce(p.captured > p.refunded, false)
        """
    )
    assert differing == []


async def _check_acknowledged(stage: Stage) -> None:
    """Every order that a buyer was told of is there: placed, theirs, of that total, and paid."""
    told = {one.order_id: one for one in stage.acknowledged}
    assert len(told) == len(stage.acknowledged), "two buyers were told of the same order"
    found = {
        row["id"]: row
        for row in await stage.rows(
            "SELECT id, checkout_token, status, total, payment_status FROM orders WHERE id = ANY($1)",
            list(told),
        )
    }
    assert found.keys() == told.keys()
    for order_id, one in told.items():
        paid = "pending" if one.service == "manual" else "paid"
        row = found[order_id]
        assert (row["checkout_token"], row["status"], row["total"], row["payment_status"]) == (
            one.checkout_token,
            "open",
            one.total,
            paid,
        )


async def _check_mails(stage: Stage) -> int:
    """Each placed order has had its confirmation; how many there are."""
    jobs = await stage.rows(
        """
        SELECT o.id AS order_id, j.id AS job_id, j.state FROM orders o
        LEFT JOIN jobs j ON j.kind = 'orders.confirm' AND j.dedupe_key = 'order-' || o.id
        WHERE o.status <> 'pending'
        """
    )
    assert [row for row in jobs if row["state"] != "done"] == []
    if "SMTP_URL" not in stage.worker.environ:
        wanted = {row["job_id"] for row in jobs}
        there = {int(path.name.split("-")[1]) for path in stage.mails.glob("order_confirmation-*.eml")}
        assert wanted == there
    return len(jobs)


async def check_that_guests_buy(stage: Stage) -> None:
    """Somebody without any patience buys with each service, and sees the order."""
    async with httpx.AsyncClient(base_url=stage.client.base_url, timeout=10) as client:
        for service, card in (("stripe", VISA), ("test", "ok"), ("manual", "")):
            guest = Guest(client, stage.store, stage.option_id)
            checkout = await guest.prepare(stage.variants[0])
            answer = await guest.pay(checkout["totals"]["total"], service=service, payment_token=card)
            assert answer.status_code == 204, answer.text
            order = await guest.read_order(int(answer.headers["location"].rpartition("/")[2]))
            assert order.status_code == 200, order.text
