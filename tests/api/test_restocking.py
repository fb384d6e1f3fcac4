"""What of an order is on stock again once it is paid back: each unit that is here, and none twice."""

from sqlalchemy import text

from app.db.audit import run_audit
from app.db.session import transaction
from app.domain.checkout.cancelling import cancel_order, refund_order
from app.domain.checkout.refunds import fail_refund
from app.domain.orders.service import lock_order
from app.kit.clock import utc_now
from tests.api.after_order import stock_of
from tests.shop import Guest, add_variant


async def test_units_whose_refund_failed_are_on_stock_once_when_they_are_paid_back_after_all(
    guest: Guest, sessions, reads
):
    store, variant = guest.store.id, await add_variant(sessions, guest.store, price=1000, on_hand=10)
    checkout = await guest.prepare(variant, 5)
    paid = await guest.pay(checkout["totals"]["total"], service="test")
    order_id = int(paid.headers["location"].rpartition("/")[2])

    async def on_hand() -> int:
        return (await stock_of(sessions, variant))[0]

    async def refund(units: int, *, fails: bool = False) -> int:
        """How much is on stock then."""
        async with transaction(sessions) as session:
            line = await session.scalar(
                text("SELECT id FROM order_lines WHERE order_id = :id"), {"id": order_id}
            )
            (wish,) = await refund_order(
                session,
                store,
                order_id,
                amount=None,
                reason="x",
                units={line: units},
                restock=True,
                now=utc_now(),
            )
            if fails:
                await fail_refund(session, await lock_order(session, store, order_id), wish)
        return await on_hand()

    assert await on_hand() == 5
    assert await refund(2, fails=True) == 7
    assert await refund(2) == 7, "they are here already"
    assert await refund(1) == 8
    async with transaction(sessions) as session:
        assert await cancel_order(session, store, order_id, reason="x", note="", now=utc_now())
    assert await on_hand() == 10
    assert await run_audit(reads, utc_now(), store_id=store) == []
