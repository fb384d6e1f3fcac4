"""How an event of a payment service takes effect: recorded and settled in one transaction, once."""

from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.checkout.placing import settle
from app.domain.payments.models import Payment
from app.domain.payments.service import find_payment_by_reference, receive_event
from app.domain.payments.services import Captured, Finding, ServiceEvent
from app.domain.stores.directory import StoreDirectory


async def take_event(
    session: AsyncSession, stores: StoreDirectory, *, service: str, event: ServiceEvent, now: datetime
) -> bool:
    """Settle what an event says; False where it was taken before. In any order, any number of times."""
    payment = await find_payment_by_reference(session, service, key=event.key, reference=None)
    finding = event.finding if payment is not None and _is_about(payment, event.finding) else None
    fresh = await receive_event(
        session,
        payment.store_id if payment else 0,
        service=service,
        event_id=event.event_id,
        kind=event.kind,
        payload=msgspec.json.encode(event).decode(),
        outcome="settled" if finding is not None else "parked",
    )
    if fresh and payment is not None and finding is not None:
        store = await stores.get(payment.store_id)
        await settle(session, store, payment=payment, finding=finding, now=now)
    return fresh


def _is_about(payment: Payment, finding: Finding | None) -> bool:
    """A signed event about another sum is no payment of this one. What really came in, the service is asked."""
    if not isinstance(finding, Captured):
        return finding is not None
    return (finding.amount, finding.currency) == (payment.amount, payment.currency)
