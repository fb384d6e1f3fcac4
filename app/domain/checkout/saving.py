"""What the worker does about saved means of payment: it learns from the service what to keep, and has it forgotten."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

from app.db.queue import GiveUp, Job
from app.db.retries import run_transaction
from app.domain.checkout.till import Till
from app.domain.payments.saved import FORGET_CUSTOMER, FORGET_METHOD, SAVE, save_method
from app.domain.payments.service import get_payment
from app.domain.payments.services import KeepsMethods

Handler = Callable[[Job], Awaitable[None]]


def saving_jobs(*, till: Till, clock: Callable[[], datetime]) -> dict[str, Handler]:
    """The handlers of this matter by kind of job."""
    return {
        SAVE: partial(_save, till=till, clock=clock),
        FORGET_METHOD: partial(_forget_method, till=till),
        FORGET_CUSTOMER: partial(_forget_customer, till=till),
    }


async def _save(job: Job, *, till: Till, clock: Callable[[], datetime]) -> None:
    async with till.sessions() as session:
        payment = await get_payment(session, job.store_id, job.payload["payment_id"])
    method = await _keeper(till, payment.service).find_method(payment.reference or "")
    if method is None:
        raise RuntimeError("the service did not say what was paid with")
    now = clock()
    await run_transaction(
        till.sessions, lambda session: save_method(session, payment, method, now=now), repeatable=True
    )


async def _forget_method(job: Job, *, till: Till) -> None:
    if not await _keeper(till, job.payload["service"]).forget_method(job.payload["reference"]):
        raise RuntimeError("the service did not say that it forgot a means of payment")


async def _forget_customer(job: Job, *, till: Till) -> None:
    if not await _keeper(till, job.payload["service"]).forget_customer(job.payload["reference"]):
        raise RuntimeError("the service did not say that it forgot a customer")


def _keeper(till: Till, name: str) -> KeepsMethods:
    service = till.get_service(name)
    if not isinstance(service, KeepsMethods):
        raise GiveUp(f"{name} keeps no means of payment")
    return service
