"""How an event of a payment service takes effect: recorded and settled in one transaction, once."""

from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.domain.checkout.disputes import note_dispute
from app.domain.checkout.placing import settle
from app.domain.payments.models import Payment
from app.domain.payments.service import find_payment_by_reference, receive_event
from app.domain.payments.services import (
    Approved,
    Authorized,
    Captured,
    Contested,
    GivenBack,
    Refused,
    ServiceEvent,
)
from app.domain.payments.states import PaymentState
from app.domain.stores.directory import StoreDirectory

Effect = Captured | Authorized | Refused | Approved | GivenBack | Contested
COMPARE_REFUNDS: Final = "payments.compare_refunds"
COMPARE_DISPUTES: Final = "payments.compare_disputes"
ASK: Final = "payments.ask"


async def take_event(
    session: AsyncSession, stores: StoreDirectory, *, service: str, event: ServiceEvent, now: datetime
) -> bool:
    """Settle what an event says; False where it was taken before. In any order, any number of times."""
    reference = event.finding.reference if event.finding is not None else None
    payment = await find_payment_by_reference(session, service, key=event.key, reference=reference)
    finding = event.finding if _has_effect(payment, event.finding) else None
    fresh = await receive_event(
        session,
        payment.store_id if payment else 0,
        service=service,
        event_id=event.event_id,
        kind=event.kind,
        payload=msgspec.json.encode(event).decode(),
        outcome="settled" if finding is not None else "parked",
    )
    if fresh and finding is None and _may_be_a_part(payment, event.finding):
        await _ask_later(session, ASK, payment, service=service, event=event, now=now)
    if not fresh or finding is None:
        return fresh
    if isinstance(finding, GivenBack):
        await _ask_later(session, COMPARE_REFUNDS, payment, service=service, event=event, now=now)
    elif isinstance(finding, Contested):
        if payment is not None and finding.said is not None:
            await note_dispute(session, payment=payment, dispute=finding.said, now=now)
        await _ask_later(session, COMPARE_DISPUTES, payment, service=service, event=event, now=now)
    elif isinstance(finding, Approved):
        await _ask_later(session, ASK, payment, service=service, event=event, now=now)
    elif payment is not None and isinstance(finding, (Captured, Authorized, Refused)):
        store = await stores.get(payment.store_id)
        await settle(session, store, payment=payment, finding=finding, now=now)
    return fresh


async def _ask_later(
    session: AsyncSession,
    kind: str,
    payment: Payment | None,
    *,
    service: str,
    event: ServiceEvent,
    now: datetime,
) -> None:
    """Have the service asked by a job, which also waits for a payment that nobody has settled yet."""
    said = event.finding.said if isinstance(event.finding, GivenBack) else None
    await queue.enqueue(
        session,
        store_id=payment.store_id if payment else 0,
        kind=kind,
        dedupe_key=f"{service}-{event.event_id}",
        payload={
            "service": service,
            "key": event.key,
            "reference": event.finding.reference if event.finding is not None else None,
            **({"refund": msgspec.to_builtins(said)} if said is not None else {}),
        },
        run_at=now,
    )


def _may_be_a_part(payment: Payment | None, finding: Effect | None) -> bool:
    """Whether somebody captured a part of what is held. The reconciler asks about unfinished payments only."""
    held = payment is not None and payment.state == PaymentState.AUTHORIZED
    return held and isinstance(finding, Captured)


def _has_effect(payment: Payment | None, finding: Effect | None) -> bool:
    """A signed event about another sum is no payment of this one. What really came in, the service is asked."""
    if isinstance(finding, (GivenBack, Contested)):
        return True
    if payment is None or finding is None:
        return False
    if not isinstance(finding, (Captured, Authorized)):
        return True
    return (finding.amount, finding.currency) == (payment.amount, payment.currency)
