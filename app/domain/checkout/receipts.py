"""How money reaches an order that was placed before it was paid: taken by a service, or come in outside of any.

The sale stands in the books as owed from the first; each payment is booked against that, and once all of it is
there, the order is paid. What comes in outside (`manual`) may come in parts: each is a payment of its own, and one
that is still pending says what is left.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.ledger.service import payments_account, post_entries
from app.domain.orders.errors import ORDER_CANCELLED, order_not_found
from app.domain.orders.models import Order
from app.domain.orders.service import lock_order, note_event, queue_paid, show_refunded
from app.domain.orders.shipping import complete_if_done
from app.domain.payments.errors import NOT_PAID_OUTSIDE, PAYMENT_TOO_LARGE, RECEIPT_DIFFERS
from app.domain.payments.models import Payment
from app.domain.payments.service import move_payment, new_mark, new_payment, start_payment, sum_captured
from app.domain.payments.states import MANUAL, PaymentState
from app.kit.errors import Conflict
from app.kit.money import to_text


class Receipt(msgspec.Struct, frozen=True):
    """Money that came in outside of any service: how much, what is still owed, and whether it is booked only now.

    Minor units.
    """

    amount: int
    left: int
    is_new: bool


async def book_receipt(
    session: AsyncSession,
    store_id: int,
    order_id: int,
    *,
    amount: int | None,
    reference: str,
    now: datetime,
) -> Receipt:
    """Book that so much (minor units), or all that is owed with None, was paid outside of any service.

    Told again it changes nothing: a payment is known by its reference, one without by its amount. Raises Conflict
    order_cancelled, not_paid_outside, payment_too_large and receipt_differs. Locks the order, then its payments.
    """
    order = await lock_order(session, store_id, order_id)
    if order.status == "pending":
        raise order_not_found()
    if order.status == "cancelled":
        raise Conflict(ORDER_CANCELLED, "The order was cancelled; what was paid for it is to be sent back.")
    payments = await _lock_outside(session, order)
    if not payments:
        raise Conflict(NOT_PAID_OUTSIDE, "Nothing of this order is paid outside of the shop's services.")
    waiting = next((one for one in payments if one.state == PaymentState.PENDING), None)
    left = 0 if waiting is None else waiting.amount
    taken = [one for one in payments if one.state == PaymentState.CAPTURED]
    before = _find_told(taken, amount=amount, reference=reference, left=left)
    if before is not None:
        return Receipt(before.amount, left, is_new=False)
    wanted = left if amount is None else amount
    if waiting is None or not 0 < wanted <= left:
        raise Conflict(
            PAYMENT_TOO_LARGE,
            "That is more than is still owed for this order.",
            left=left,
            currency=order.currency,
        )
    waiting.amount = wanted
    move_payment(waiting, PaymentState.CAPTURED, reference=reference or None, now=now)
    await session.flush()  # one attempt that waits, by constraint
    if wanted < left:
        await _wait_for(session, order, left - wanted, now=now)
    told = f"{MANUAL}: {to_text(wanted, order.currency)}"
    await book_capture(session, order, waiting, told=told, now=now)
    return Receipt(wanted, left - wanted, is_new=True)


async def book_capture(
    session: AsyncSession, order: Order, payment: Payment, *, told: str, now: datetime
) -> None:
    """Book what a payment took against what its order owes, and let the order say how far it is paid.

    `told` is for the timeline. The caller holds the locks of order and payment.
    """
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
    await session.flush()
    taken = await sum_captured(session, order.store_id, order.id)
    if taken.captured < order.total:
        order.payment_status = "partially_paid"
        await note_event(session, order, "partially_paid", told, now=now)
        return
    await note_event(session, order, "paid", told, now=now)
    order.paid_at = now
    # What a gift card paid may have gone back before.
    show_refunded(order, captured=taken.captured, refunded=taken.refunded)
    await queue_paid(session, order, now=now)
    await complete_if_done(session, order, now=now)
    await session.flush()


def _find_told(taken: Sequence[Payment], *, amount: int | None, reference: str, left: int) -> Payment | None:
    """The payment that is told of again. Raises Conflict receipt_differs."""
    if not reference and amount is None:
        return taken[-1] if taken and not left else None
    for one in taken:
        if (one.reference or "") != reference:
            continue
        if amount in (None, one.amount):
            return one
        if reference:
            raise Conflict(
                RECEIPT_DIFFERS,
                "A payment with this reference was booked with another amount.",
                amount=one.amount,
                currency=one.currency,
            )
    return None


async def _lock_outside(session: AsyncSession, order: Order) -> Sequence[Payment]:
    found = await session.scalars(
        select(Payment)
        .where(
            Payment.store_id == order.store_id,
            Payment.order_id == order.id,
            Payment.service == MANUAL,
            Payment.state.in_((PaymentState.PENDING, PaymentState.CAPTURED)),
        )
        .order_by(Payment.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.all()


async def _wait_for(session: AsyncSession, order: Order, amount: int, *, now: datetime) -> None:
    """Keep what is still owed as an attempt that waits."""
    payment = new_payment(
        order.store_id,
        order_id=order.id,
        checkout_id=order.checkout_id,
        service=MANUAL,
        amount=amount,
        currency=order.currency,
        at_once=PaymentState.PENDING,
        now=now,
    )
    await start_payment(session, payment, mark=new_mark())
