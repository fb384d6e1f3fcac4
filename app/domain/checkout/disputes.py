"""How disputes reach an order: in its timeline as they go on, in the ledger by what they move on the account.

As with refunds an event only says that something happened, and the service is asked; so their order does not
matter, and each movement is booked once, by the service's own number for it. A service may list what settles a
dispute among the refunds of the payment, too. Then the refund is what is booked; a movement that was booked before
the refund was heard of is taken out again, and booked anew where that refund fails after all.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.ledger.service import is_posted, post_entries
from app.domain.orders.models import Order
from app.domain.orders.service import lock_order, note_event
from app.domain.payments.disputes import is_giving_back, list_foreign_refunds, write_dispute
from app.domain.payments.models import Payment
from app.domain.payments.services import DisputeMove, ServiceDispute
from app.kit.money import to_text

_TAKEN_OUT: Final = "-refunded"


async def note_disputes(
    session: AsyncSession, *, payment: Payment, disputes: Sequence[ServiceDispute], now: datetime
) -> None:
    """Note all disputes of a payment as note_dispute does, and book what may be a refund as well, too.

    Raises RuntimeError, to be tried later, while a refund of ours is on its way that could be taken for one that
    settled a dispute. Where a service tells the two apart, a refund that it never answers keeps no dispute secret.
    """
    await lock_order(session, payment.store_id, payment.order_id)
    unsure = any(move.may_be_refund for dispute in disputes for move in dispute.moves)
    if unsure and await is_giving_back(session, payment):
        raise RuntimeError("a refund of this payment is on its way")
    refunds = await list_foreign_refunds(session, payment)
    for dispute in disputes:
        await note_dispute(session, payment=payment, dispute=dispute, now=now, refunds=refunds)


async def note_dispute(
    session: AsyncSession,
    *,
    payment: Payment,
    dispute: ServiceDispute,
    now: datetime,
    refunds: list[int] | None = None,
) -> None:
    """Note how a dispute stands, and book what it moved. Repeating it does nothing. Locks the order.

    `refunds` is what the service gave back by nobody's wish here (minor units); what a move settles is taken out of
    it. Without it, what may be a refund as well is left to whoever has looked.
    """
    order = await lock_order(session, payment.store_id, payment.order_id)
    if await write_dispute(session, payment, dispute, now=now):
        told = f"{payment.service}: {dispute.status}, {dispute.reason}"
        await note_event(session, order, "disputed", told, now=now)
    for move in dispute.moves:
        if move.may_be_refund and refunds is None:
            continue
        key, again = await _turn_of(session, order, payment, move)
        if refunds and move.may_be_refund and move.currency == payment.currency and -move.amount in refunds:
            refunds.remove(-move.amount)
            if await is_posted(session, order.store_id, key):
                await _post(session, order, payment, move, key=key + _TAKEN_OUT, sign=-1, now=now)
        elif await _post(session, order, payment, move, key=key, sign=1, now=now) and not again:
            await _note(session, order, payment, move, now=now)


async def _turn_of(
    session: AsyncSession, order: Order, payment: Payment, move: DisputeMove
) -> tuple[str, bool]:
    """The key under which a move is booked now, another one each time that it was taken out; whether it ever was."""
    first = key = f"dispute-{payment.id}-{move.reference}"
    turns = 1
    while await is_posted(session, order.store_id, key + _TAKEN_OUT):
        turns += 1
        key = f"{first}-again-{turns}"
    return key, turns > 1


async def _post(
    session: AsyncSession,
    order: Order,
    payment: Payment,
    move: DisputeMove,
    *,
    key: str,
    sign: int,
    now: datetime,
) -> bool:
    """Beside what was captured and refunded, which a dispute does not change: in accounts of its own."""
    return await post_entries(
        session,
        order.store_id,
        key=key,
        currency=move.currency,
        amounts={
            f"disputes:{payment.service}": sign * (move.amount - move.fee),
            "disputed": -sign * move.amount,
            "dispute_fees": sign * move.fee,
        },
        order_id=order.id,
        now=now,
    )


async def _note(
    session: AsyncSession, order: Order, payment: Payment, move: DisputeMove, *, now: datetime
) -> None:
    if not move.amount:
        told = f"{payment.service}: {to_text(move.fee, move.currency)}"
        await note_event(session, order, "dispute_fee", told, now=now)
        return
    event = "dispute_withdrawn" if move.amount < 0 else "dispute_reinstated"
    fee = f", fee {to_text(move.fee, move.currency)}" if move.fee else ""
    told = f"{payment.service}: {to_text(abs(move.amount), move.currency)}{fee}"
    await note_event(session, order, event, told, now=now)
