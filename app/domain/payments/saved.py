"""Which means of payment are kept for whom: the service has them, we know whose they are.

Whose they are is decided here and nowhere else: another customer's is as unknown as one that never was.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.domain.payments.errors import method_not_found
from app.domain.payments.models import Payment, PaymentCustomer, SavedMethod
from app.domain.payments.services import ServiceMethod

SAVE: Final = "payments.save_method"
FORGET_METHOD: Final = "payments.forget_method"
FORGET_CUSTOMER: Final = "payments.forget_customer"


class Payer(msgspec.Struct, frozen=True):
    """Whose saved means a payment uses; or for whom its means is to be saved, as they wish."""

    customer_id: int
    saves: bool


async def list_methods(session: AsyncSession, store_id: int, customer_id: int) -> Sequence[SavedMethod]:
    """What is kept for a customer, newest first."""
    found = await session.scalars(
        select(SavedMethod)
        .where(SavedMethod.store_id == store_id, SavedMethod.customer_id == customer_id)
        .order_by(SavedMethod.id.desc())
    )
    return found.all()


async def find_method(
    session: AsyncSession, store_id: int, customer_id: int, method_id: int, *, service: str
) -> SavedMethod | None:
    """One of a customer's means at a service; None for what is not theirs."""
    return await session.scalar(
        select(SavedMethod).where(
            SavedMethod.store_id == store_id,
            SavedMethod.customer_id == customer_id,
            SavedMethod.id == method_id,
            SavedMethod.service == service,
        )
    )


async def remove_method(
    session: AsyncSession, store_id: int, customer_id: int, method_id: int, *, now: datetime
) -> None:
    """Take a means of payment away at once, and have the service forget it. Raises NotFound
    payment_method_not_found.
    """
    removed = (
        await session.execute(
            delete(SavedMethod)
            .where(
                SavedMethod.store_id == store_id,
                SavedMethod.customer_id == customer_id,
                SavedMethod.id == method_id,
            )
            .returning(SavedMethod.service, SavedMethod.reference)
        )
    ).first()
    if removed is None:
        raise method_not_found()
    await queue.enqueue(
        session,
        store_id=store_id,
        kind=FORGET_METHOD,
        dedupe_key=f"method-{method_id}",
        payload={"service": removed.service, "reference": removed.reference},
        run_at=now,
    )


async def find_customer_at(
    session: AsyncSession, store_id: int, customer_id: int, service: str
) -> str | None:
    """The reference by which a service knows a customer; None where it does not know them."""
    return await session.scalar(
        select(PaymentCustomer.reference).where(
            PaymentCustomer.store_id == store_id,
            PaymentCustomer.customer_id == customer_id,
            PaymentCustomer.service == service,
        )
    )


async def keep_customer_at(session: AsyncSession, payment: Payment, reference: str, *, now: datetime) -> str:
    """Keep who a payment's payer is at its service; of two at once the first counts. Who it is by then.

    The other one is forgotten at the service again.
    """
    await session.execute(
        insert(PaymentCustomer)
        .values(
            store_id=payment.store_id,
            customer_id=payment.payer_id,
            service=payment.service,
            reference=reference,
            created_at=now,
        )
        .on_conflict_do_nothing()
    )
    kept = await find_customer_at(session, payment.store_id, payment.payer_id or 0, payment.service)
    if kept is not None and kept != reference:
        await _forget_at_service(session, payment.store_id, payment.service, reference, now=now)
    return kept or reference


async def save_later(session: AsyncSession, payment: Payment, *, now: datetime) -> None:
    """Have what a payment was made with kept for its payer, who wished it."""
    await queue.enqueue(
        session,
        store_id=payment.store_id,
        kind=SAVE,
        dedupe_key=f"payment-{payment.id}",
        payload={"payment_id": payment.id},
        run_at=now,
    )


async def save_method(
    session: AsyncSession, payment: Payment, method: ServiceMethod, *, now: datetime
) -> None:
    """Write down what a service keeps for a payment's payer. Repeating it does nothing.

    Nothing is written where the service keeps it for somebody else or for nobody, or where the account was closed
    meanwhile: closing takes who the customer is at the service first, and what is kept then.
    """
    kept = await session.scalar(
        select(PaymentCustomer.reference)
        .where(
            PaymentCustomer.store_id == payment.store_id,
            PaymentCustomer.customer_id == payment.payer_id,
            PaymentCustomer.service == payment.service,
        )
        .with_for_update()
    )
    if kept is None or kept != method.customer:
        return
    await session.execute(
        insert(SavedMethod)
        .values(
            store_id=payment.store_id,
            customer_id=payment.payer_id,
            service=payment.service,
            reference=method.reference,
            kind=method.kind,
            brand=method.brand,
            last_four=method.last_four,
            exp_month=method.exp_month,
            exp_year=method.exp_year,
            created_at=now,
        )
        .on_conflict_do_nothing()
    )


async def forget_payer(session: AsyncSession, store_id: int, customer_id: int, *, now: datetime) -> None:
    """Forget all that is kept for a customer, and have the services forget them too."""
    removed = await session.execute(
        delete(PaymentCustomer)
        .where(PaymentCustomer.store_id == store_id, PaymentCustomer.customer_id == customer_id)
        .returning(PaymentCustomer.service, PaymentCustomer.reference)
    )
    for service, reference in removed.all():
        await _forget_at_service(session, store_id, service, reference, now=now)
    await session.execute(
        delete(SavedMethod).where(SavedMethod.store_id == store_id, SavedMethod.customer_id == customer_id)
    )


async def _forget_at_service(
    session: AsyncSession, store_id: int, service: str, reference: str, *, now: datetime
) -> None:
    await queue.enqueue(
        session,
        store_id=store_id,
        kind=FORGET_CUSTOMER,
        dedupe_key=f"{store_id}-{service}-{reference}",
        payload={"service": service, "reference": reference},
        run_at=now,
    )
