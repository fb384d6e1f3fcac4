"""How disputes reach an order: in its timeline as they go on, in the ledger by what they move on the account.

As with refunds an event only says that something happened, and the service is asked; so their order does not
matter, and each movement is booked once, by the service's own number for it.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.ledger.service import post_entries
from app.domain.orders.models import Order
from app.domain.orders.service import lock_order, note_event
from app.domain.payments.disputes import write_dispute
from app.domain.payments.models import Payment
from app.domain.payments.services import DisputeMove, ServiceDispute


async def note_dispute(
    session: AsyncSession, *, payment: Payment, dispute: ServiceDispute, now: datetime
) -> None:
    """Note how a dispute stands, and book what it moved. Repeating it does nothing. Locks the order."""
    order = await lock_order(session, payment.store_id, payment.order_id)
    if await write_dispute(session, payment, dispute, now=now):
        told = f"{payment.service}: {dispute.status}, {dispute.reason}"
        await note_event(session, order, "disputed", told, now=now)
    for move in dispute.moves:
        await _book(session, order, payment, move, now=now)


async def _book(
    session: AsyncSession, order: Order, payment: Payment, move: DisputeMove, *, now: datetime
) -> None:
    """Beside what was captured and refunded, which a dispute does not change: in accounts of its own."""
    fresh = await post_entries(
        session,
        order.store_id,
        key=f"dispute-{payment.id}-{move.reference}",
        currency=move.currency,
        amounts={
            f"disputes:{payment.service}": move.amount - move.fee,
            "disputed": -move.amount,
            "dispute_fees": move.fee,
        },
        order_id=order.id,
        now=now,
    )
    if fresh:
        event = "dispute_withdrawn" if move.amount < 0 else "dispute_reinstated"
        fee = f", fee {move.fee}" if move.fee else ""
        told = f"{payment.service}: {abs(move.amount)} {move.currency}{fee}"
        await note_event(session, order, event, told, now=now)
