"""How an attempt to be paid is written down and moved on. Callers hold the lock of its order."""

from datetime import datetime
from secrets import token_hex
from typing import Any, Final

import msgspec
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.statements import Load, Statement, adopt, only_checked, row_of
from app.domain.payments.models import Payment
from app.domain.payments.saved import Payer
from app.domain.payments.services import ServiceRefund
from app.domain.payments.states import LIVE, PaymentState, may_move
from app.kit.errors import NotFound
from app.kit.ids import digest


def new_mark() -> str:
    """What tells the attempt of one call from all others, also where two installations share an account."""
    return token_hex(6)


def is_marked(payment: Payment, mark: str) -> bool:
    """Whether the call with this mark made the attempt."""
    return bool(mark) and payment.key.endswith(f"-{mark}")


_STARTED: Final = (
    *("store_id", "order_id", "checkout_id", "service", "source_id", "means", "state", "currency"),
    *("amount", "captured", "refunded", "payer_id", "saves", "updated_at"),
)


def started(*, once: str = "") -> str:
    """How an attempt is written, as a part of any statement; its key is made of order, attempt number and mark.

    `once` names what has a row where it is to be written.
    """
    return f"""
    INSERT INTO payments (attempt, key, {", ".join(_STARTED)})
    SELECT next.attempt, 'order-' || CAST(:order_id AS bigint) || '-charge-' || next.attempt || '-' || CAST(:mark AS text),
        {", ".join(f":{name}" for name in _STARTED)}
    FROM {once and f"{once},"} (
        SELECT coalesce(max(attempt), 0) + 1 AS attempt FROM payments
        WHERE store_id = :store_id AND order_id = :order_id
    ) next
    """  # noqa: S608 - names of our own


_START: Final = Statement(f"{started()} RETURNING id, attempt, key, created_at")


def new_payment(
    store_id: int,
    *,
    order_id: int,
    checkout_id: int,
    service: str,
    amount: int,
    currency: str,
    now: datetime,
    token: str = "",
    source_id: int | None = None,
    payer: Payer | None = None,
    at_once: PaymentState | None = None,
) -> Payment:
    """A new attempt, for `start_payment` or a statement with `started` to write.

    `source_id` is the gift card's or credit's that pays a part; `at_once` is what becomes of an attempt that no
    service is called for.
    """
    fresh: dict[str, Any] = {
        "store_id": store_id,
        "order_id": order_id,
        "checkout_id": checkout_id,
        "service": service,
        "source_id": source_id,
        "means": digest(token),
        "state": PaymentState.STARTED,
        "currency": currency,
        "amount": amount,
        "captured": 0,
        "refunded": 0,
        "reference": None,
        "reason": None,
        "payer_id": payer.customer_id if payer else None,
        "saves": payer.saves if payer else False,
        "action": None,
        "updated_at": now,
        "asked_at": None,
    }
    payment = row_of(Payment, fresh)
    if at_once is not None:
        move_payment(payment, at_once, now=now)
    return payment


def started_values(payment: Payment, *, mark: str) -> dict[str, Any]:
    """The values of `started`."""
    return {"mark": mark, **{name: getattr(payment, name) for name in _STARTED}}


async def start_payment(session: AsyncSession, payment: Payment, *, mark: str) -> Payment:
    """Write the row of a new attempt, to be committed before the service is called.

    Its key is made of order, attempt number and the mark of the call that makes it. A second live attempt of
    the order at a service is an IntegrityError.
    """
    written = await _START.one(session, **started_values(payment, mark=mark))
    payment.id, payment.created_at = written["id"], written["created_at"]
    payment.attempt, payment.key = written["attempt"], written["key"]
    return adopt(session, payment)


# Whoever read it before waiting for the lock does not go by what it was then.
_LOCK: Final = Load(Payment, f"id = :payment_id AND {only_checked('store_id')} = :store_id FOR UPDATE")


async def lock_payment(session: AsyncSession, store_id: int, payment_id: int) -> Payment:
    """The attempt, locked. Raises NotFound."""
    found = await _LOCK.first(session, store_id=store_id, payment_id=payment_id)
    if found is None:
        raise NotFound("not_found", "There is no such payment.")
    return found


async def get_payment(session: AsyncSession, store_id: int, payment_id: int) -> Payment:
    """The attempt as it stands. Raises NotFound."""
    found = await find_payment(session, store_id, payment_id)
    if found is None:
        raise NotFound("not_found", "There is no such payment.")
    return found


async def find_payment(session: AsyncSession, store_id: int, payment_id: int) -> Payment | None:
    return await session.scalar(select(Payment).where(Payment.store_id == store_id, Payment.id == payment_id))


async def find_live_payment(session: AsyncSession, store_id: int, order_id: int) -> Payment | None:
    """The attempt of an order at a service that has not failed; what a card or credit pays is none."""
    return (
        await session.scalars(
            select(Payment)
            .where(
                Payment.store_id == store_id,
                Payment.order_id == order_id,
                Payment.state.in_(LIVE),
                Payment.source_id.is_(None),
            )
            .order_by(Payment.attempt.desc())
            .limit(1)
        )
    ).first()


class Taken(msgspec.Struct, frozen=True):
    """What was captured for an order, by all of its payments together, and what of that went back. Minor units."""

    captured: int
    refunded: int


async def sum_captured(session: AsyncSession, store_id: int, order_id: int) -> Taken:
    """What was taken for an order; money that came late is none of it."""
    row = (
        await session.execute(
            select(
                func.coalesce(func.sum(Payment.captured), 0), func.coalesce(func.sum(Payment.refunded), 0)
            ).where(
                Payment.store_id == store_id,
                Payment.order_id == order_id,
                Payment.state == PaymentState.CAPTURED,
            )
        )
    ).one()
    return Taken(int(row[0]), int(row[1]))


async def find_payment_by_reference(
    session: AsyncSession, service: str, *, key: str | None, reference: str | None
) -> Payment | None:
    """The attempt that a service speaks of, by our key or else by its own reference.

    Of any store: services know nothing of stores, and one address takes the events of all of them.
    """
    if not key and not reference:
        return None  # no reference never equals no reference
    named = Payment.key == key if key else Payment.reference == reference
    return (await session.scalars(select(Payment).where(Payment.service == service, named).limit(1))).first()


def move_payment(
    payment: Payment,
    new: PaymentState,
    *,
    now: datetime,
    reference: str | None = None,
    reason: str | None = None,
    action: dict[str, Any] | None = None,
    captured: int | None = None,
    currency: str | None = None,
) -> bool:
    """Move an attempt on; False where it is there already or may not go there. The only writer of state.

    captured and currency are what really came in, for money that is late.
    """
    if payment.state == new and action is not None:
        # The next step may be another one by now: a card that was refused wants another card.
        payment.action = action
    if payment.state == new or not may_move(payment.state, new):
        return False
    payment.state = new
    payment.updated_at = now
    payment.reference = reference or payment.reference
    payment.reason = reason
    payment.action = action
    if new is PaymentState.CAPTURED:
        payment.captured = payment.amount
    elif new is PaymentState.LATE:
        payment.captured = captured or 0
        payment.currency = currency or payment.currency
    return True


_NOTE_REFUND: Final = text(
    """
    INSERT INTO payment_refunds AS r (store_id, payment_id, reference, amount, currency, state, noted_at)
    VALUES (:store_id, :payment_id, :reference, :amount, :currency, :state, :now)
    ON CONFLICT (store_id, payment_id, reference) DO UPDATE SET state = 'failed', noted_at = :now
        WHERE r.state = 'made' AND EXCLUDED.state = 'failed'
    RETURNING r.id, r.state, r.xmax = 0 AS is_new
    """
)


class NotedRefund(msgspec.Struct, frozen=True):
    """A refund whose state has just been written down, and by how much it moves what was given back."""

    id: int
    state: str
    moves: int


async def write_refund(
    session: AsyncSession, payment: Payment, refund: ServiceRefund, *, now: datetime
) -> NotedRefund | None:
    """Write down a refund by the service's reference, once for each state; None where that is known.

    A refund is made, and may fail afterwards; never the other way round, in whatever order it is heard of.
    One in another currency, or beyond what was captured, is `refused`: kept, and counted nowhere. The caller
    holds the attempt's lock.
    """
    fits = refund.currency == payment.currency and payment.refunded + refund.amount <= payment.captured
    state = "failed" if refund.failed else "made" if fits else "refused"
    row = (
        await session.execute(
            _NOTE_REFUND,
            {
                "store_id": payment.store_id,
                "payment_id": payment.id,
                "reference": refund.reference,
                "amount": refund.amount,
                "currency": refund.currency,
                "state": state,
                "now": now,
            },
        )
    ).first()
    if row is None:
        return None
    moves = 0
    if row.state == "made":
        moves = refund.amount
    elif row.state == "failed" and not row.is_new:
        moves = -refund.amount
    payment.refunded += moves
    payment.updated_at = now
    return NotedRefund(row.id, row.state, moves)


_RECEIVE: Final = text(
    """
    INSERT INTO payment_events (store_id, service, event_id, kind, payload, outcome)
    VALUES (:store_id, :service, :event_id, :kind, CAST(:payload AS jsonb), :outcome)
    ON CONFLICT (service, event_id) DO NOTHING RETURNING id
    """
)


async def receive_event(
    session: AsyncSession,
    store_id: int,
    *,
    service: str,
    event_id: str,
    kind: str,
    payload: str,
    outcome: str,
) -> bool:
    """Keep an event of a service in the transaction of its effect; False where it was received before."""
    row = await session.execute(
        _RECEIVE,
        {
            "store_id": store_id,
            "service": service,
            "event_id": event_id,
            "kind": kind,
            "payload": payload,
            "outcome": outcome,
        },
    )
    return row.first() is not None
