"""How money is meant to go back: as a row before any service is called, and never more than is left.

A service that says nothing for a day leaves such a row without an end and its job parked. People look there, and
have it asked again: it is asked for the refunds that it knows before it is told to make one, so that nothing goes
back twice, however much later that is.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.domain.payments.errors import REFUND_TOO_LARGE
from app.domain.payments.models import Payment, PaymentRefund, RefundOrder
from app.kit.errors import Conflict, NotFound

MAKE_REFUND: Final = "payments.make_refund"

_OPEN: Final = text(
    """
    SELECT r.id, r.amount, p.currency, p.service, r.created_at, r.called_at, EXISTS (
        SELECT 1 FROM jobs j
        WHERE j.kind = 'payments.make_refund' AND j.dedupe_key = 'refund-' || r.id AND j.state = 'parked'
    ) AS parked
    FROM refund_orders r JOIN payments p ON p.store_id = r.store_id AND p.id = r.payment_id
    WHERE r.store_id = :store_id AND p.order_id = :order_id AND r.state = 'wanted'
    ORDER BY r.id
    """
)


class OpenRefund(msgspec.Struct, frozen=True):
    """A refund that a service has not answered: since when it was asked, and whether it is asked no more (parked)."""

    id: int
    amount: int
    currency: str
    service: str
    created_at: datetime
    called_at: datetime | None
    parked: bool


async def count_refundable(session: AsyncSession, payment: Payment) -> int:
    """What of a payment has neither gone back nor is about to, in minor units. The caller holds its lock."""
    wanted = await session.scalar(
        select(func.coalesce(func.sum(RefundOrder.amount), 0)).where(
            RefundOrder.store_id == payment.store_id,
            RefundOrder.payment_id == payment.id,
            RefundOrder.state == "wanted",
        )
    )
    return max(0, payment.captured - payment.refunded - int(wanted or 0))


async def order_refund(
    session: AsyncSession,
    payment: Payment,
    *,
    amount: int,
    reason: str,
    now: datetime,
    at_service: bool = True,
    lines: Sequence[msgspec.Struct] = (),
) -> RefundOrder:
    """Write down that so much of a payment shall go back (minor units), and queue the call that does it.

    `lines` is which units of the order it is for. Not `at_service`: no service is called, since the caller books it
    in this very transaction. Raises Conflict refund_too_large with `left`. The caller holds the payment's lock, so
    that parallel refunds together never come to more than was captured.
    """
    left = await count_refundable(session, payment)
    if not 0 < amount <= left:
        raise Conflict(
            REFUND_TOO_LARGE,
            "That is more than is left of what was paid.",
            left=left,
            currency=payment.currency,
        )
    wanted = RefundOrder(
        store_id=payment.store_id,
        payment_id=payment.id,
        amount=amount,
        reason=reason,
        lines=msgspec.to_builtins(list(lines)),
        state="wanted" if at_service else "made",
        created_at=now,
    )
    session.add(wanted)
    await session.flush()
    # The audit gives a capture that is on its way back its moment.
    payment.updated_at = now
    await queue.enqueue(
        session,
        store_id=payment.store_id,
        kind=MAKE_REFUND,
        dedupe_key=f"refund-{wanted.id}",
        payload={"refund_id": wanted.id},
        run_at=now,
        wanted=at_service,
    )
    return wanted


async def find_made_refund(session: AsyncSession, payment: Payment, reference: str) -> RefundOrder | None:
    """What we wished of a refund that a service made; None where it was somebody else's wish."""
    return await session.scalar(
        select(RefundOrder).where(
            RefundOrder.store_id == payment.store_id,
            RefundOrder.payment_id == payment.id,
            RefundOrder.reference == reference,
            RefundOrder.state == "made",
        )
    )


async def has_failed(session: AsyncSession, payment: Payment, reference: str) -> bool:
    """Whether a refund that was written down has failed, as far as the service has said by now."""
    found = await session.scalar(
        select(PaymentRefund.state).where(
            PaymentRefund.store_id == payment.store_id,
            PaymentRefund.payment_id == payment.id,
            PaymentRefund.reference == reference,
        )
    )
    return found == "failed"


async def lock_refund(session: AsyncSession, store_id: int, refund_id: int) -> RefundOrder:
    """A refund that is meant, locked after its payment. Raises NotFound."""
    found = await session.scalar(
        select(RefundOrder)
        .where(RefundOrder.store_id == store_id, RefundOrder.id == refund_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise NotFound("not_found", "There is no such refund.")
    return found


async def list_open_refunds(session: AsyncSession, store_id: int, order_id: int) -> list[OpenRefund]:
    """What shall go back for an order and has no answer yet, oldest first."""
    found = await session.execute(_OPEN, {"store_id": store_id, "order_id": order_id})
    return [OpenRefund(**row) for row in found.mappings()]


async def ask_again(
    session: AsyncSession, store_id: int, order_id: int, *, now: datetime
) -> list[OpenRefund]:
    """Have the service asked again about refunds that it is asked about no more; which those are.

    The caller holds the order's lock.
    """
    parked = [one for one in await list_open_refunds(session, store_id, order_id) if one.parked]
    for one in parked:
        wanted = await lock_refund(session, store_id, one.id)
        if wanted.called_at is not None:
            wanted.called_at = now
        await queue.take_up_again(session, kind=MAKE_REFUND, dedupe_key=f"refund-{one.id}", now=now)
    await session.flush()
    return parked
