"""How money that a service holds is asked to be taken or let go: as a job, since no transaction waits for a service."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.domain.payments.models import Payment
from app.domain.payments.states import PaymentState

CAPTURE: Final = "payments.capture"
VOID: Final = "payments.void"


async def capture_later(
    session: AsyncSession, store_id: int, order_id: int, *, now: datetime
) -> Sequence[Payment]:
    """Have what is held for an order taken; the payments that it is about. The caller holds the order's lock."""
    found = await session.scalars(
        select(Payment)
        .where(
            Payment.store_id == store_id,
            Payment.order_id == order_id,
            Payment.state == PaymentState.AUTHORIZED,
        )
        .order_by(Payment.id)
    )
    held = found.all()
    for payment in held:
        await _ask_for(session, CAPTURE, payment, now=now)
    return held


async def void_later(session: AsyncSession, payment: Payment, *, now: datetime) -> None:
    """Have what is held for a payment let go."""
    await _ask_for(session, VOID, payment, now=now)


async def _ask_for(session: AsyncSession, kind: str, payment: Payment, *, now: datetime) -> None:
    # Again and again, if somebody wishes: done once is done, and one that was parked is tried anew.
    await queue.enqueue(
        session,
        store_id=payment.store_id,
        kind=kind,
        dedupe_key=f"payment-{payment.id}-{now.isoformat()}",
        payload={"payment_id": payment.id},
        run_at=now,
    )
