"""How money that a payment service gave back is booked: each refund once, whoever made it and whoever tells of it.

An event only says that something happened. Which refunds there are, and how they stand, the service is asked
without a transaction; so the order of events does not matter, and a lost one is made up for by the next.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.domain.giftcards.service import add_credit, put_back
from app.domain.giftcards.split import STORE_CREDIT
from app.domain.ledger.service import payments_account, post_entries
from app.domain.orders.models import Order
from app.domain.orders.refunding import RefundedLine, put_units_again
from app.domain.orders.service import lock_order, note_event, show_refunded
from app.domain.payments.models import Payment, RefundOrder
from app.domain.payments.refunds import find_made_refund, order_refund
from app.domain.payments.service import lock_payment, sum_captured, write_refund
from app.domain.payments.services import ServiceRefund
from app.domain.payments.states import MANUAL, PaymentState
from app.kit.money import to_text

REFUNDED: Final = "orders.refunded"
_EVENTS: Final = {"made": "refunded", "failed": "refund_failed", "refused": "refund_mismatch"}


async def give_back(
    session: AsyncSession,
    order: Order,
    payment: Payment,
    *,
    amount: int,
    reason: str,
    to_credit: bool,
    now: datetime,
    lines: Sequence[RefundedLine] = (),
) -> RefundOrder:
    """Give so much of a payment back (minor units): where it came from, or as store credit of the order's account.

    A service is called by a job; a gift card or credit has it at once, and it is booked here. So is money that came
    in outside of any service, which people pay out. Raises Conflict refund_too_large, and no_credit_account where
    there is nobody to have the credit. The caller holds the locks of order and payment.
    """
    at_service = payment.source_id is None and payment.service != MANUAL and not to_credit
    wanted = await order_refund(
        session, payment, amount=amount, reason=reason, now=now, at_service=at_service, lines=lines
    )
    if at_service:
        return wanted
    kind, source_id = payment.service, payment.source_id
    if to_credit:
        credit = await add_credit(
            session, order.store_id, order.customer_id, amount=amount, currency=payment.currency
        )
        kind, source_id = STORE_CREDIT, credit.id
    elif source_id is not None:
        await put_back(session, order.store_id, kind=kind, source_id=source_id, amount=amount, now=now)
    wanted.reference = f"{kind}-{wanted.id}"
    await session.flush()  # booking reads order and payment anew
    made = ServiceRefund(reference=wanted.reference, amount=amount, currency=payment.currency)
    await note_refund(session, payment=payment, refund=made, now=now, goes_to=(kind, source_id), lines=lines)
    return wanted


async def fail_refund(session: AsyncSession, order: Order, wish: RefundOrder) -> None:
    """Let a refund that was wished come to nothing: its units are to be paid back anew. The caller holds the order's lock.

    Where another payment gave a part of what they are worth, that part is not given back a second time.
    """
    wish.state = "failed"
    await session.flush()  # what is given counts it no more
    await put_units_again(session, order, msgspec.convert(wish.lines, list[RefundedLine]))


async def note_refund(
    session: AsyncSession,
    *,
    payment: Payment,
    refund: ServiceRefund,
    now: datetime,
    goes_to: tuple[str, int | None] | None = None,
    lines: Sequence[RefundedLine] = (),
) -> None:
    """Book a refund of an attempt, or that it failed after all: payment, order, ledger and timeline.

    Repeating it does nothing. Late money is taken from what is owed to the shopper; what was paid for an order
    is booked as a refund of it. `goes_to` is the gift card or credit that has it; without one, the service gave it
    back. `lines` is what it is for, as the buyer is told. Locks the order, then the attempt.
    """
    order = await lock_order(session, payment.store_id, payment.order_id)
    payment = await lock_payment(session, payment.store_id, payment.id)
    noted = await write_refund(session, payment, refund, now=now)
    if noted is None:
        return
    if noted.state == "failed":
        wish = await find_made_refund(session, payment, refund.reference)
        if wish is not None:
            await fail_refund(session, order, wish)
    # After a failure the service holds the money again.
    amount = noted.moves
    late = payment.state == PaymentState.LATE
    service, source_id = goes_to or (payment.service, payment.source_id)
    await post_entries(
        session,
        order.store_id,
        key=f"refund-{noted.id}-{noted.state}",
        currency=payment.currency,
        amounts={
            payments_account(service, source_id): -amount,
            "owed_to_shoppers" if late else "refunds": amount,
        },
        order_id=order.id,
        now=now,
    )
    if not late:
        await session.flush()
        taken = await sum_captured(session, order.store_id, order.id)
        show_refunded(order, captured=taken.captured, refunded=taken.refunded)
    told = f"{service}: {to_text(refund.amount, refund.currency)}"
    await note_event(session, order, _EVENTS[noted.state], told, now=now)
    await queue.enqueue(
        session,
        store_id=order.store_id,
        kind=REFUNDED,
        dedupe_key=f"refund-{noted.id}",
        payload={
            "order_id": order.id,
            "amount": refund.amount,
            "currency": payment.currency,
            "goes_to": service,
            "units": {str(line.line_id): line.quantity for line in lines},
        },
        run_at=now,
        wanted=noted.state == "made",
    )
    await session.flush()
