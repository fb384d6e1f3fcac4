"""What the worker does about money that a service holds: it takes it, lets it go, and looks at its end in time."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.queue import GiveUp, Job
from app.db.retries import run_transaction
from app.domain.checkout.authorizing import ENDS, ENDS_SOON
from app.domain.checkout.cancelling import cancel_order
from app.domain.checkout.till import Till
from app.domain.orders.errors import ORDER_SHIPPED
from app.domain.orders.service import lock_order, note_event
from app.domain.payments.authorizations import CAPTURE, VOID
from app.domain.payments.models import Payment
from app.domain.payments.service import get_payment
from app.domain.payments.services import Authorized, Finding, HoldsMoney, Unknown
from app.domain.payments.states import PaymentState
from app.domain.stores.directory import StoreDirectory
from app.kit.errors import Conflict

Handler = Callable[[Job], Awaitable[None]]
OVER: Final = "The payment was held for too long"

logger = logging.getLogger(__name__)


def capturing_jobs(
    *, till: Till, stores: StoreDirectory, clock: Callable[[], datetime]
) -> dict[str, Handler]:
    """The handlers of this matter by kind of job."""
    return {
        CAPTURE: partial(_capture, till=till, stores=stores),
        VOID: partial(_void, till=till, stores=stores),
        ENDS_SOON: partial(_warn, till=till, stores=stores, clock=clock),
        ENDS: partial(_end, till=till, stores=stores, clock=clock),
    }


async def _capture(job: Job, *, till: Till, stores: StoreDirectory) -> None:
    """Take what is held. Where the order is cancelled meanwhile, settling sends the money back."""
    payment = await _find(job, till)
    if payment.state == PaymentState.AUTHORIZED:
        call = _holder(till, payment).capture(payment.reference or "")
        if _is_open(await till.settle_call(await stores.get(job.store_id), payment, call)):
            raise RuntimeError("the service did not say whether it took the money")


async def _void(job: Job, *, till: Till, stores: StoreDirectory) -> None:
    """Let go of what is held, also for an attempt that was given up before anybody heard of it."""
    payment = await _find(job, till)
    if payment.state not in (PaymentState.CAPTURED, PaymentState.LATE):
        call = _holder(till, payment).void(payment.reference or "")
        if _is_open(await till.settle_call(await stores.get(job.store_id), payment, call)):
            raise RuntimeError("the service did not say whether it let the money go")


def _is_open(finding: Finding) -> bool:
    """Whoever still holds the money after a call, or does not say, is asked again."""
    return isinstance(finding, (Authorized, Unknown))


async def _warn(job: Job, *, till: Till, stores: StoreDirectory, clock: Callable[[], datetime]) -> None:
    """Say in the timeline and the log that nobody has taken the money, and that it will not be held for long."""
    payment = await _find(job, till)
    if payment.state != PaymentState.AUTHORIZED:
        return
    if await till.ask(await stores.get(job.store_id), payment) != PaymentState.AUTHORIZED:
        return
    until = job.payload["until"]

    async def note(session: AsyncSession) -> None:
        order = await lock_order(session, job.store_id, payment.order_id)
        await note_event(session, order, "authorization_ends", f"{payment.service}: {until}", now=clock())

    await run_transaction(till.sessions, note, repeatable=True)
    logger.warning("what is held for order %s is let go at %s; ship or capture it", payment.order_id, until)


async def _end(job: Job, *, till: Till, stores: StoreDirectory, clock: Callable[[], datetime]) -> None:
    """Cancel an order whose money nobody took in time, unless something of it is on its way."""
    payment = await _find(job, till)
    if payment.state == PaymentState.AUTHORIZED:
        call = till.get_service(payment.service).find(payment.key, payment.reference)
        finding = await till.settle_call(await stores.get(job.store_id), payment, call)
        if isinstance(finding, Unknown):
            # It may have been taken at the service's own pages: nobody cancels what may be paid.
            raise RuntimeError("the service did not say whether it still holds the money")
        payment = await _find(job, till)
    if payment.state not in (PaymentState.AUTHORIZED, PaymentState.CANCELLED):
        return
    try:
        await run_transaction(
            till.sessions,
            lambda session: cancel_order(
                session, job.store_id, payment.order_id, reason=OVER, note="", now=clock()
            ),
            repeatable=True,
        )
    except Conflict as refused:
        if refused.code != ORDER_SHIPPED:
            raise
        raise GiveUp("the order is on its way, and its money was never taken") from refused


async def _find(job: Job, till: Till) -> Payment:
    async with till.sessions() as session:
        return await get_payment(session, job.store_id, job.payload["payment_id"])


def _holder(till: Till, payment: Payment) -> HoldsMoney:
    service = till.get_service(payment.service)
    if not isinstance(service, HoldsMoney):
        raise GiveUp(f"{payment.service} holds no money")
    return service
