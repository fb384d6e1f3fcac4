"""How a payment service is called between reserve and settle, and who waits for its answer how long."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import select

from app.db.retries import run_transaction
from app.db.session import Sessions
from app.domain.checkout.placing import Placed, Started, settle
from app.domain.orders.models import Order
from app.domain.payments.errors import NO_PAYMENT, PAYMENT_DECLINED, SECOND_STEP, SERVICE_NOT_FOUND
from app.domain.payments.models import Payment
from app.domain.payments.saved import find_customer_at, keep_customer_at
from app.domain.payments.service import find_live_payment, get_payment
from app.domain.payments.services import (
    Charge,
    Finding,
    KeepsMethods,
    PaymentService,
    Refused,
    Unheard,
    Unknown,
)
from app.domain.payments.states import PaymentState
from app.domain.stores.queries import StoreConfig
from app.kit.errors import UNAVAILABLE, Conflict, Declined, NotFound, Unavailable

CUSTOMER_SECONDS: Final = 10.0  # to make a payer known at a service, before the call that charges
CALL_SECONDS: Final = 60.0
# After this none can be on its way any more.
CALL_IS_OVER_SECONDS: Final = CUSTOMER_SECONDS + CALL_SECONDS + 5
PLACES: Final = 6
LOOK_SECONDS: Final = 0.1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pending:
    """The outcome is not known yet; the page asks the checkout again after so many seconds."""

    retry_after: int = 2


@dataclass(frozen=True, slots=True)
class Till:
    """The services that can be paid at, and how long callers wait.

    A call to a service goes on in the background when its caller has stopped waiting, and settles by
    itself. Where the process dies meanwhile, the reconciler asks the service.
    """

    sessions: Sessions
    services: Mapping[str, PaymentService]
    return_url: str
    wait_seconds: float
    clock: Callable[[], datetime]
    # How many orders this process places at a time. The others wait here, where waiting holds nothing,
    # and not for a connection or for a row that everybody wants.
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PLACES))
    running: set[asyncio.Task[object]] = field(default_factory=set)

    def deadline(self) -> float:
        """Until when, by the loop's clock, a call that comes now may wait for everything together."""
        return asyncio.get_running_loop().time() + self.wait_seconds

    @asynccontextmanager
    async def turn(self, until: float) -> AsyncIterator[None]:
        """Wait for a place to reserve in. Raises Unavailable where none was free in time."""
        try:
            async with asyncio.timeout_at(until):
                await self.places.acquire()
        except TimeoutError:
            raise Unavailable(UNAVAILABLE, "The till is very busy.", retry_after=2) from None
        try:
            yield
        finally:
            self.places.release()

    def get_service(self, name: str) -> PaymentService:
        """The service of a name. Raises NotFound payment_service_not_found."""
        service = self.services.get(name)
        if service is None:
            raise NotFound(SERVICE_NOT_FOUND, "There is no such payment service to start here.")
        return service

    async def finish(
        self, store: StoreConfig, started: Started, *, payment_token: str, until: float
    ) -> Placed | Pending:
        """Charge what was reserved, or wait for whoever does, and say what came of it.

        Raises Declined payment_declined or second_step_required.
        """
        if started.mine:
            await self._run(self._charge(store, started.payment_id, payment_token), until=until)
        return await self.outcome(store, started.payment_id, until=until)

    async def _run(self, call: Coroutine[Any, Any, object], *, until: float) -> asyncio.Task[object]:
        """Begin a call to a service and wait for it until then; it goes on when its caller has gone."""
        task = asyncio.create_task(call)
        self.running.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait({task}, timeout=until - asyncio.get_running_loop().time())
        return task

    def _ended(self, task: asyncio.Task[object]) -> None:
        self.running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # The attempt stays as it is; the reconciler asks the service about it.
            logger.error("a payment was not settled", exc_info=task.exception())

    async def drain(self, seconds: float) -> None:
        """Let the calls that are on their way come back before the process ends."""
        if self.running:
            await asyncio.wait(set(self.running), timeout=seconds)

    async def outcome(self, store: StoreConfig, payment_id: int, *, until: float) -> Placed | Pending:
        """What came of an attempt, waiting while it runs. Raises Declined, as finish does."""
        try:
            async with asyncio.timeout_at(until):
                while (payment := await self._look(store, payment_id)).state == PaymentState.STARTED:  # noqa: ASYNC110 - it may run in another process
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            return Pending()
        return said_of(payment)

    async def confirm(self, store: StoreConfig, *, order_id: int | None, service: str) -> Placed | Pending:
        """Ask the service what became of the attempt that the shopper returned from, and settle it."""
        async with self.sessions() as session:
            payment = None
            if order_id is not None:
                payment = await find_live_payment(session, store.id, order_id)
                placed = await session.scalar(
                    select(Order.id).where(
                        Order.store_id == store.id, Order.id == order_id, Order.status != "pending"
                    )
                )
                if placed is not None:
                    return Placed(placed)
        if payment is None or payment.service != service:
            raise Conflict(NO_PAYMENT, "No payment with this service is on its way.")
        until = self.deadline()
        # While the call that charges is on its way it is not disturbed: it settles by itself.
        if payment.state != PaymentState.STARTED or self._age(payment) > CALL_IS_OVER_SECONDS:
            # Asking may be what takes the money, so that it too goes on by itself.
            asking = await self._run(self.ask(store, payment), until=until)
            if not asking.done():
                return Pending()
            await asking
        return await self.outcome(store, payment.id, until=until)

    async def give_up(self, store: StoreConfig, started: Started) -> None:
        """End an attempt that the shopper left for another card; where it was paid meanwhile, it counts."""
        async with self.sessions() as session:
            payment = await get_payment(session, store.id, started.payment_id)
        await self.ask(store, payment, give_up=True)

    async def ask(self, store: StoreConfig, payment: Payment, *, give_up: bool = False) -> PaymentState:
        """Ask a service about an attempt and settle what it says; give_up ends one that waits for the shopper.

        While the call that charges may still be on its way nobody asks, for what waits for its next step would be
        ended; and later, as long as another one may be, not having heard of it is no news.
        """
        service = self.get_service(payment.service)
        is_young = self._age(payment) < CALL_IS_OVER_SECONDS
        if is_young and payment.state == PaymentState.STARTED:
            return PaymentState.STARTED
        call = service.cancel if give_up else service.find
        finding = await _heard(call(payment.key, payment.reference))
        if isinstance(finding, Unheard) and is_young:
            return PaymentState(payment.state)
        return await self._settle(store, payment, finding)

    async def settle_call(self, store: StoreConfig, payment: Payment, call: Awaitable[Finding]) -> Finding:
        """Make a call about an attempt and settle what it says."""
        finding = await _heard(call)
        await self._settle(store, payment, finding)
        return finding

    async def _settle(self, store: StoreConfig, payment: Payment, finding: Finding) -> PaymentState:
        now = self.clock()
        return await run_transaction(
            self.sessions,
            lambda session: settle(session, store, payment=payment, finding=finding, now=now),
            repeatable=True,
        )

    def _age(self, payment: Payment) -> float:
        return (self.clock() - payment.created_at).total_seconds()

    async def _charge(self, store: StoreConfig, payment_id: int, token: str) -> None:
        async with self.sessions() as session:
            payment = await get_payment(session, store.id, payment_id)
            order = (
                await session.scalars(
                    select(Order).where(Order.store_id == store.id, Order.id == payment.order_id)
                )
            ).one()
        charge = Charge(
            key=payment.key,
            amount=payment.amount,
            currency=payment.currency,
            token=token,
            order_id=order.id,
            checkout_token=order.checkout_token,
            email=order.email,
            return_url=self.return_url,
            later=store.payment.capture == "later",
        )
        service = self.get_service(payment.service)
        if payment.payer_id is not None and isinstance(service, KeepsMethods):
            customer = await self._customer_at(service, payment)
            if customer is None:
                # Nothing was asked for yet.
                await self._settle(store, payment, Refused("service_unavailable"))
                return
            charge = msgspec.structs.replace(charge, customer=customer, save=payment.saves)
        finding = await _heard(service.charge(charge))
        async with self.places:
            await self._settle(store, payment, finding)

    async def _customer_at(self, service: KeepsMethods, payment: Payment) -> str | None:
        """Who the payer is at a service, made known there where they are not; None where it does not answer."""
        async with self.sessions() as session:
            known = await find_customer_at(session, payment.store_id, payment.payer_id or 0, payment.service)
        if known is not None:
            return known
        # The key is the attempt's: ids of ours may be somebody else's in an account that two shops share.
        try:
            async with asyncio.timeout(CUSTOMER_SECONDS):
                made = await service.make_customer(f"{payment.key}-customer")
        except Exception:  # as for any call: its answer is then simply not known
            logger.exception("a payment service did not answer")
            made = None
        if made is None:
            return None
        now = self.clock()
        return await run_transaction(
            self.sessions,
            lambda session: keep_customer_at(session, payment, made, now=now),
            repeatable=True,
        )

    async def _look(self, store: StoreConfig, payment_id: int) -> Payment:
        async with self.sessions() as session:
            return await get_payment(session, store.id, payment_id)


async def _heard(call: Awaitable[Finding]) -> Finding:
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await call
    except Exception:  # whatever a service does, its answer is then simply not known
        logger.exception("a payment service did not answer")
        return Unknown("no_answer")


def said_of(payment: Payment) -> Placed | Pending:
    """What an attempt's state means to whoever tries to pay."""
    match PaymentState(payment.state):
        case PaymentState.CAPTURED | PaymentState.AUTHORIZED | PaymentState.PENDING:
            return Placed(payment.order_id)
        case PaymentState.DECLINED | PaymentState.CANCELLED | PaymentState.LATE:
            raise Declined(
                PAYMENT_DECLINED,
                "The payment was refused. Try another card or another way to pay.",
                reason=payment.reason,
            )
        case PaymentState.ACTION_NEEDED:
            raise Declined(SECOND_STEP, "The payment needs one more step by you.", **(payment.action or {}))
        case _:
            return Pending()
