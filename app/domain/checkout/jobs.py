"""What the worker does about payments: refunds that are owed, and attempts whose outcome nobody wrote down."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import TextClause, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.queue import GiveUp, Job
from app.db.retries import run_transaction
from app.db.session import Sessions
from app.domain.checkout.disputes import note_disputes
from app.domain.checkout.events import ASK, COMPARE_DISPUTES, COMPARE_REFUNDS
from app.domain.checkout.models import Checkout
from app.domain.checkout.refunds import fail_refund, note_refund
from app.domain.checkout.sweeping import BATCH, STEPS
from app.domain.checkout.till import Till
from app.domain.orders.refunding import RefundedLine
from app.domain.orders.service import lock_order, note_event
from app.domain.payments.disputes import is_disputed
from app.domain.payments.models import Payment, RefundOrder
from app.domain.payments.refunds import MAKE_REFUND, has_failed, lock_refund
from app.domain.payments.service import find_payment, find_payment_by_reference, get_payment, lock_payment
from app.domain.payments.services import Refused, ServiceRefund, TellsDisputes, Unheard
from app.domain.payments.states import UNFINISHED, PaymentState
from app.domain.stores.directory import StoreDirectory

Handler = Callable[[Job], Awaitable[None]]
MOST_AT_ONCE: Final = 100
SIDE_BY_SIDE: Final = 4
KEEP: Final = timedelta(days=30)
MOST_BATCHES: Final = 10  # in one round; the rest has time

logger = logging.getLogger(__name__)


# How long services know a repeat by its key; Stripe, the shortest, says a day.
KEY_LIFE: Final = timedelta(hours=23)
# Within about two minutes the call that charges is over, and its payment known by the service's reference.
STRANGERS_TRIES: Final = 7


def checkout_jobs(*, till: Till, stores: StoreDirectory, clock: Callable[[], datetime]) -> dict[str, Handler]:
    """The handlers of this feature by kind of job."""
    return {
        "payments.refund": partial(_refund, till=till, clock=clock),
        MAKE_REFUND: partial(_make_refund, till=till, clock=clock),
        COMPARE_REFUNDS: partial(_compare_refunds, till=till, stores=stores, clock=clock),
        COMPARE_DISPUTES: partial(_compare_disputes, till=till, clock=clock),
        ASK: partial(_ask, till=till, stores=stores),
    }


async def _ask(job: Job, *, till: Till, stores: StoreDirectory) -> None:
    """Have an approved payment taken now, or what really became of a held one written down.

    Whatever keeps that from happening, the reconciler asks again, and for what is held whoever looks at its end.
    """
    named = job.payload
    async with till.sessions() as session:
        payment = await find_payment_by_reference(
            session, named["service"], key=named["key"], reference=named["reference"]
        )
    if payment is not None and payment.state in (*UNFINISHED, PaymentState.AUTHORIZED):
        await till.ask(await stores.get(payment.store_id), payment)


async def _compare_refunds(
    job: Job, *, till: Till, stores: StoreDirectory, clock: Callable[[], datetime]
) -> None:
    """Book what a service gave back of a payment, by whoever's wish."""
    payment = await _find_named(job, till=till)
    if payment is None:
        return
    if not payment.captured and not await _was_taken(payment, till=till, stores=stores):
        return
    now = clock()
    await _book_refunds(payment, till=till, now=now)
    if "refund" in job.payload:
        await _book(payment, msgspec.convert(job.payload["refund"], ServiceRefund), till=till, now=now)
    async with till.sessions() as session:
        disputed = await is_disputed(session, payment)
    if disputed:
        # What a dispute took may turn out to be one of these refunds.
        await _book_disputes(payment, till=till, now=now)


async def _was_taken(payment: Payment, *, till: Till, stores: StoreDirectory) -> bool:
    """Whether what a service tells to have gone back may ever have come in; False where it is certain that it did not.

    It may be heard of before the capture itself is. And what was only held Stripe lets go by a refund.
    """
    store = await stores.get(payment.store_id)
    if payment.state not in (PaymentState.DECLINED, PaymentState.CANCELLED):
        await till.ask(store, payment)
        return True
    call = till.get_service(payment.service).find(payment.key, payment.reference)
    return not isinstance(await till.settle_call(store, payment, call), (Refused, Unheard))


async def _compare_disputes(job: Job, *, till: Till, clock: Callable[[], datetime]) -> None:
    """Note and book how the disputes of a payment stand."""
    payment = await _find_named(job, till=till)
    if payment is not None:
        await _book_disputes(payment, till=till, now=clock())


async def _book_disputes(payment: Payment, *, till: Till, now: datetime) -> None:
    async with till.sessions() as session:
        payment = await get_payment(session, payment.store_id, payment.id)
    if payment.reference is None:
        return
    service = till.get_service(payment.service)
    if not isinstance(service, TellsDisputes):
        raise GiveUp(f"{payment.service} cannot be asked about disputes")
    disputes = await service.list_disputes(payment.reference)
    if disputes is None:
        raise RuntimeError("the service did not say which disputes there are")

    await run_transaction(
        till.sessions,
        lambda session: note_disputes(session, payment=payment, disputes=disputes, now=now),
        repeatable=True,
    )


async def _find_named(job: Job, *, till: Till) -> Payment | None:
    """The payment that an event named; None for somebody else's, who shares the account."""
    named = job.payload
    async with till.sessions() as session:
        payment = await find_payment_by_reference(
            session, named["service"], key=named["key"], reference=named["reference"]
        )
    if payment is None and job.tries < STRANGERS_TRIES:
        raise RuntimeError("there is no such payment yet")
    return payment


async def _book_refunds(payment: Payment, *, till: Till, now: datetime) -> Payment:
    """Ask the service for every refund of a payment and book what is new; the payment as it then stands."""
    async with till.sessions() as session:
        payment = await get_payment(session, payment.store_id, payment.id)
    if payment.reference is None or not payment.captured:
        raise RuntimeError("there is a refund, and no capture yet")
    refunds = await till.get_service(payment.service).list_refunds(payment.reference)
    if refunds is None:
        raise RuntimeError("the service did not say which refunds there are")
    for refund in refunds:
        await _book(payment, refund, till=till, now=now)
    async with till.sessions() as session:
        return await get_payment(session, payment.store_id, payment.id)


async def _book(payment: Payment, refund: ServiceRefund, *, till: Till, now: datetime) -> None:
    await run_transaction(
        till.sessions,
        lambda session: note_refund(session, payment=payment, refund=refund, now=now),
        repeatable=True,
    )


async def _refund(job: Job, *, till: Till, clock: Callable[[], datetime]) -> None:
    """Give a late capture back, once: what went back already is asked first, and counts."""
    async with till.sessions() as session:
        payment = await find_payment(session, job.store_id, job.payload["payment_id"])
    if payment is None or payment.reference is None or not payment.captured:
        raise GiveUp("there is nothing to refund")
    payment = await _book_refunds(payment, till=till, now=clock())
    owed = payment.captured - payment.refunded
    if owed <= 0 or payment.reference is None:
        return
    # What went back before makes this another refund, and a repeat of this one the same.
    key = f"{payment.key}-refund-{payment.refunded}"
    service = till.get_service(payment.service)
    made = await service.refund(key, payment.reference, owed, payment.currency)
    if made is None:
        raise RuntimeError("the service did not say whether it refunded")
    await _book(payment, made, till=till, now=clock())
    if made.failed:
        raise GiveUp("the service could not give the money back")


async def _make_refund(job: Job, *, till: Till, clock: Callable[[], datetime]) -> None:
    """Give back what was ordered to be, once: from the first call on, its key makes a repeat the same refund."""
    now = clock()
    begun = await run_transaction(
        till.sessions,
        lambda session: _begin_refund(session, job.store_id, job.payload["refund_id"], now=now),
        repeatable=True,
    )
    if begun is None:
        return
    payment, wanted = begun
    reference = payment.reference or payment.key
    service = till.get_service(payment.service)
    made = await service.refund(
        f"{payment.key}-give-back-{wanted.id}", reference, wanted.amount, payment.currency
    )
    if made is None:
        raise RuntimeError("the service did not say whether it refunded")

    async def book(session: AsyncSession) -> bool:
        order = await lock_order(session, job.store_id, payment.order_id)
        lines = msgspec.convert(wanted.lines, list[RefundedLine])
        await note_refund(session, payment=payment, refund=made, now=now, lines=lines)
        held = await lock_refund(session, job.store_id, wanted.id)
        if held.state == "wanted":
            held.reference = made.reference
            # It may have failed since the service answered, and that have been booked before this.
            if await has_failed(session, payment, made.reference):
                await fail_refund(session, order, held)
            else:
                held.state = "made"
        return held.state == "failed"

    if await run_transaction(till.sessions, book, repeatable=True):
        raise GiveUp("the service could not give the money back")


async def _begin_refund(
    session: AsyncSession, store_id: int, refund_id: int, *, now: datetime
) -> tuple[Payment, RefundOrder] | None:
    """The refund that is to be called for now; None where it is over.

    Before the first call it is held against what went back meanwhile by the service's own pages. Locks order,
    payment and refund, as whoever books does.
    """
    named = await session.get_one(RefundOrder, refund_id)
    payment = await get_payment(session, store_id, named.payment_id)
    order = await lock_order(session, store_id, payment.order_id)
    payment = await lock_payment(session, store_id, payment.id)
    wanted = await lock_refund(session, store_id, refund_id)
    if wanted.state != "wanted":
        return None
    if wanted.called_at is None:
        if wanted.amount > payment.captured - payment.refunded:
            await fail_refund(session, order, wanted)
            await note_event(session, order, "refund_failed", "it went back before", now=now)
            return None
        wanted.called_at = now
        await session.flush()
    elif now - wanted.called_at > KEY_LIFE:
        raise GiveUp("the service has not said for a day whether it refunded: look there")
    return payment, wanted


async def reconcile(till: Till, stores: StoreDirectory, *, now: datetime, quiet: timedelta) -> int:
    """Ask the services about attempts that have been unfinished and untouched for a while; how many moved on.

    Those that were not asked about for longest come first. One that waits for its shopper is given up when
    its hold on stock has run out. Everything may run twice, and in several workers at once.
    """

    async def choose(session: AsyncSession) -> list[tuple[Payment, datetime | None]]:
        due = (
            await session.execute(
                select(Payment, Checkout.held_until)
                .outerjoin(
                    Checkout,
                    (Checkout.store_id == Payment.store_id) & (Checkout.id == Payment.checkout_id),
                )
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
        # Of every store: the ids were just read from the same table.
        await session.execute(update(Payment).where(Payment.id.in_(ids)).values(asked_at=now))
        return [(payment, held_until) for payment, held_until in due]

    due = await run_transaction(till.sessions, choose, repeatable=True)
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


async def sweep(sessions: Sessions, *, now: datetime, keep: timedelta = KEEP) -> None:
    """End what nobody came back to, and forget what is older than `keep` and was never paid for."""
    values = {"now": now, "before": now - keep, "batch": BATCH}
    for step in STEPS:

        async def batch(session: AsyncSession, step: TextClause = step) -> int:
            result: Any = await session.execute(step, values)
            return int(result.rowcount)

        for _ in range(MOST_BATCHES):
            if await run_transaction(sessions, batch, repeatable=True) < BATCH:
                break
