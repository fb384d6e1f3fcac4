"""How money that a payment service gave back is booked: each refund once, whoever made it and whoever tells of it.

An event only says that something happened. Which refunds there are, and how they stand, the service is asked
without a transaction; so the order of events does not matter, and a lost one is made up for by the next.
"""

from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.domain.ledger.service import post_entries
from app.domain.orders.service import lock_order, note_event, show_refunded
from app.domain.payments.models import Payment
from app.domain.payments.service import lock_payment, write_refund
from app.domain.payments.services import ServiceRefund
from app.domain.payments.states import PaymentState

REFUNDED: Final = "orders.refunded"
_EVENTS: Final = {"made": "refunded", "failed": "refund_failed", "refused": "refund_mismatch"}


async def note_refund(
    session: AsyncSession, *, payment: Payment, refund: ServiceRefund, now: datetime
) -> None:
    """Book a refund of an attempt, or that it failed after all: payment, order, ledger and timeline.

    Repeating it does nothing. Late money is taken from what is owed to the shopper; what was paid for an order
    is booked as a refund of it. Locks the order, then the attempt.
    """
    order = await lock_order(session, payment.store_id, payment.order_id)
    payment = await lock_payment(session, payment.store_id, payment.id)
    noted = await write_refund(session, payment, refund, now=now)
    if noted is None:
        return
    # After a failure the service holds the money again.
    amount = noted.moves
    late = payment.state == PaymentState.LATE
    await post_entries(
        session,
        order.store_id,
        key=f"refund-{noted.id}-{noted.state}",
        currency=payment.currency,
        amounts={f"payments:{payment.service}": -amount, "owed_to_shoppers" if late else "refunds": amount},
        order_id=order.id,
        now=now,
    )
    if not late:
        show_refunded(order, captured=payment.captured, refunded=payment.refunded)
    told = f"{payment.service}: {refund.amount} {refund.currency}"
    await note_event(session, order, _EVENTS[noted.state], told, now=now)
    await queue.enqueue(
        session,
        store_id=order.store_id,
        kind=REFUNDED,
        dedupe_key=f"refund-{noted.id}",
        payload={"order_id": order.id, "amount": refund.amount, "currency": payment.currency},
        run_at=now,
        wanted=noted.state == "made",
    )
    await session.flush()
