"""What becomes of an order whose money a service only holds: taken when it is shipped, or at once where nothing of it
is; let go when it is cancelled.

The order is placed as any other, and the sale stands in the books as owed; what is held stands nowhere in them,
for it is not ours. Only a capture is booked.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.domain.ledger.service import payments_account, post_entries
from app.domain.orders.models import Order
from app.domain.orders.service import note_event, queue_paid, show_refunded
from app.domain.orders.shipping import complete_if_done, count_unshipped
from app.domain.payments.authorizations import capture_later
from app.domain.payments.models import Payment
from app.domain.payments.service import move_payment, sum_captured
from app.domain.payments.services import Captured, Finding, Refused, Unheard
from app.domain.payments.states import PaymentState
from app.kit.clock import isoformat

# How long services hold money for certain: Stripe says 7 days. What it ends earlier it tells by an event.
HELD_FOR: Final = timedelta(days=7)
WARNED_BEFORE: Final = timedelta(days=1)
ENDS_SOON: Final = "payments.authorization_ends_soon"
ENDS: Final = "payments.authorization_ends"


async def note_authorized(session: AsyncSession, order: Order, payment: Payment, *, now: datetime) -> None:
    """Say that the money of an order that was just placed is held, and until when; queue the looks at its end.

    Where nothing of it has to be shipped no parcel will ever ask for the money: it is taken at once.
    """
    until = now + HELD_FOR
    order.payment_status = "authorized"
    told = f"{payment.service}: {payment.amount} {payment.currency} until {isoformat(until)}"
    await note_event(session, order, "authorized", told, now=now)
    for kind, moment in ((ENDS_SOON, until - WARNED_BEFORE), (ENDS, until)):
        await queue.enqueue(
            session,
            store_id=order.store_id,
            kind=kind,
            dedupe_key=f"payment-{payment.id}",
            payload={"payment_id": payment.id, "until": isoformat(until)},
            run_at=moment,
        )
    if not await count_unshipped(session, order):
        await session.flush()
        await capture_later(session, order.store_id, order.id, now=now)


async def settle_authorized(
    session: AsyncSession, order: Order, payment: Payment, finding: Finding, *, now: datetime
) -> bool:
    """Write down what became of money that was held; False for a capture that nobody asked for any more.

    That one is late money. The caller holds the locks of order and payment.
    """
    if isinstance(finding, Captured):
        asked_for = (payment.amount, payment.currency) == (finding.amount, finding.currency)
        if asked_for and order.status != "cancelled":
            await _book_capture(session, order, payment, finding, now=now)
            return True
        _show_unpaid(order)
        return False
    if isinstance(finding, (Refused, Unheard)):
        reason = finding.reason if isinstance(finding, Refused) else "unheard"
        move_payment(payment, PaymentState.CANCELLED, reason=reason, now=now)
        _show_unpaid(order)
        await note_event(session, order, "authorization_over", f"{payment.service}: {reason}", now=now)
    return True


def _show_unpaid(order: Order) -> None:
    if order.payment_status == "authorized":
        order.payment_status = "failed"


async def _book_capture(
    session: AsyncSession, order: Order, payment: Payment, finding: Captured, *, now: datetime
) -> None:
    move_payment(payment, PaymentState.CAPTURED, reference=finding.reference, now=now)
    await post_entries(
        session,
        order.store_id,
        key=f"payment-{payment.id}-capture",
        currency=payment.currency,
        amounts={
            payments_account(payment.service, payment.source_id): payment.captured,
            "receivable": -payment.captured,
        },
        order_id=order.id,
        now=now,
    )
    await note_event(session, order, "paid", payment.service, now=now)
    await session.flush()
    taken = await sum_captured(session, order.store_id, order.id)
    if taken.captured == order.total:
        order.paid_at = now
        # What a gift card paid may have gone back before.
        show_refunded(order, captured=taken.captured, refunded=taken.refunded)
        await queue_paid(session, order, now=now)
        await complete_if_done(session, order, now=now)
