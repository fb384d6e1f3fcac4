"""What the worker does about payments: refunds that are owed, and attempts whose outcome nobody wrote down."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import select, text, update

from app.db.queue import GiveUp, Job
from app.db.session import Sessions, transaction
from app.domain.checkout.models import Checkout
from app.domain.checkout.placing import note_refund
from app.domain.checkout.till import Till
from app.domain.payments.models import Payment
from app.domain.payments.service import find_payment
from app.domain.payments.states import UNFINISHED, PaymentState
from app.domain.stores.directory import StoreDirectory

Handler = Callable[[Job], Awaitable[None]]
MOST_AT_ONCE: Final = 100
SIDE_BY_SIDE: Final = 4

logger = logging.getLogger(__name__)


def checkout_jobs(*, till: Till, clock: Callable[[], datetime]) -> dict[str, Handler]:
    """The handlers of this feature by kind of job."""
    return {"payments.refund": partial(_refund, till=till, clock=clock)}


async def _refund(job: Job, *, till: Till, clock: Callable[[], datetime]) -> None:
    """Give a late capture back, once: the service keeps to our key, the row to its sum."""
    async with till.sessions() as session:
        payment = await find_payment(session, job.store_id, job.payload["payment_id"])
    if payment is None or payment.reference is None:
        raise GiveUp("there is nothing to refund")
    owed = payment.captured - payment.refunded
    if owed <= 0:
        return
    service = till.get_service(payment.service)
    key = f"{payment.key}-refund"
    if await service.refund(key, payment.reference, owed, payment.currency) is None:
        raise RuntimeError("the service did not say whether it refunded")
    async with transaction(till.sessions) as session:
        await note_refund(session, payment=payment, amount=owed, now=clock())


async def reconcile(till: Till, stores: StoreDirectory, *, now: datetime, quiet: timedelta) -> int:
    """Ask the services about attempts that have been unfinished and untouched for a while; how many moved on.

    Those that were not asked about for longest come first. One that waits for its shopper is given up when
    its hold on stock has run out. Everything may run twice, and in several workers at once.
    """
    async with transaction(till.sessions) as session:
        due = (
            await session.execute(
                select(Payment, Checkout.held_until)
                .outerjoin(Checkout, Checkout.id == Payment.checkout_id)
                .where(
                    Payment.state.in_(UNFINISHED),
                    Payment.service.in_(till.services),
                    Payment.updated_at < now - quiet,
                )
                .order_by(Payment.asked_at.asc().nulls_first())
                .limit(MOST_AT_ONCE)
            )
        ).all()
        ids = [payment.id for payment, _ in due]
        await session.execute(update(Payment).where(Payment.id.in_(ids)).values(asked_at=now))
    places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def ask(payment: Payment, held_until: datetime | None) -> bool:
        expired = held_until is not None and held_until < now
        give_up = payment.state == PaymentState.ACTION_NEEDED and expired
        try:
            async with places:
                store = await stores.get(payment.store_id)
                return await till.ask(store, payment, give_up=give_up) != payment.state
        except Exception:  # one that cannot be settled must not stand in the way of the others
            logger.exception("payment %s was not reconciled", payment.id)
            return False

    return sum(await asyncio.gather(*(ask(payment, held_until) for payment, held_until in due)))


_EXPIRE: Final = text(
    """
    UPDATE checkouts SET state = 'expired', updated_at = :now
    WHERE id IN (
        SELECT id FROM checkouts WHERE state IN ('open', 'priced') AND expires_at < :now
        ORDER BY id LIMIT 500 FOR UPDATE SKIP LOCKED
    )
    """
)
_FORGET_KEYS: Final = text(
    """
    DELETE FROM idempotency_records WHERE (store_id, key_digest) IN (
        SELECT store_id, key_digest FROM idempotency_records WHERE expires_at < :now LIMIT 1000
        FOR UPDATE SKIP LOCKED
    )
    """
)
_FORGET_CARTS: Final = text(
    """
    DELETE FROM carts WHERE id IN (
        SELECT id FROM carts c WHERE c.expires_at < :now
          AND NOT EXISTS (SELECT 1 FROM checkouts k WHERE k.cart_id = c.id)
        ORDER BY id LIMIT 500 FOR UPDATE SKIP LOCKED
    )
    """
)


async def sweep(sessions: Sessions, *, now: datetime) -> None:
    """End what nobody came back to: checkouts, carts without a checkout, old idempotency keys."""
    async with transaction(sessions) as session:
        for statement in (_EXPIRE, _FORGET_KEYS, _FORGET_CARTS):
            await session.execute(statement, {"now": now})
