"""What becomes of an order whose money a service only holds: taken when it is shipped, or at once where nothing of it
is; let go when it is cancelled.

The order is placed as any other, and the sale stands in the books as owed; what is held stands nowhere in them,
for it is not ours. Only a capture is booked.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.domain.checkout.receipts import book_capture
from app.domain.orders.models import Order
from app.domain.orders.service import note_event
from app.domain.orders.shipping import count_unshipped
from app.domain.payments.authorizations import capture_later
from app.domain.payments.models import Payment
from app.domain.payments.service import move_payment
from app.domain.payments.services import Captured, Finding, Refused, Unheard
from app.domain.payments.states import PaymentState
from app.kit.clock import isoformat
from app.kit.money import to_text

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
    told = f"{payment.service}: {to_text(payment.amount, payment.currency)} until {isoformat(until)}"
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
            move_payment(payment, PaymentState.CAPTURED, reference=finding.reference, now=now)
            await book_capture(session, order, payment, told=payment.service, now=now)
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
