"""How disputes of payments are written down: how far each has come, whatever is heard of it in which order."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.payments.models import Payment, PaymentDispute, PaymentRefund, RefundOrder
from app.domain.payments.services import ServiceDispute
from app.domain.payments.states import is_further


async def write_dispute(
    session: AsyncSession, payment: Payment, dispute: ServiceDispute, *, now: datetime
) -> bool:
    """Keep how a dispute stands; False where nothing of it is news. The caller holds the lock of the order."""
    found = await session.scalar(
        select(PaymentDispute)
        .where(
            PaymentDispute.store_id == payment.store_id,
            PaymentDispute.payment_id == payment.id,
            PaymentDispute.reference == dispute.reference,
        )
        .execution_options(populate_existing=True)
    )
    if found is None:
        found = PaymentDispute(store_id=payment.store_id, payment_id=payment.id, reference=dispute.reference)
        session.add(found)
    elif not is_further(found.status, dispute.status):
        return False
    found.amount, found.currency = dispute.amount, dispute.currency
    found.status, found.reason, found.noted_at = dispute.status, dispute.reason, now
    await session.flush()
    return True


async def is_disputed(session: AsyncSession, payment: Payment) -> bool:
    """Whether anybody ever disputed a payment, as far as we have heard."""
    query = select(PaymentDispute.id).where(
        PaymentDispute.store_id == payment.store_id, PaymentDispute.payment_id == payment.id
    )
    return (await session.scalar(query.limit(1))) is not None


async def is_giving_back(session: AsyncSession, payment: Payment) -> bool:
    """Whether a refund was ordered that the service has not answered yet: one that it lists may be that one."""
    query = select(RefundOrder.id).where(
        RefundOrder.store_id == payment.store_id,
        RefundOrder.payment_id == payment.id,
        RefundOrder.state == "wanted",
    )
    return (await session.scalar(query.limit(1))) is not None


async def list_foreign_refunds(session: AsyncSession, payment: Payment) -> list[int]:
    """What went back of a payment by nobody's wish here, refund by refund (minor units): by a bank, or at the
    service's own pages.
    """
    found = await session.scalars(
        select(PaymentRefund.amount).where(
            PaymentRefund.store_id == payment.store_id,
            PaymentRefund.payment_id == payment.id,
            PaymentRefund.state == "made",
            # What went back as credit never left the account, of whatever time its row is.
            ~PaymentRefund.reference.startswith("store_credit-"),
            ~exists().where(
                RefundOrder.payment_id == PaymentRefund.payment_id,
                RefundOrder.reference == PaymentRefund.reference,
            ),
        )
    )
    return list(found)


async def list_disputes(session: AsyncSession, store_id: int, order_id: int) -> Sequence[PaymentDispute]:
    """The disputes of an order's payments, oldest first."""
    found = await session.scalars(
        select(PaymentDispute)
        .join(
            Payment, (Payment.store_id == PaymentDispute.store_id) & (Payment.id == PaymentDispute.payment_id)
        )
        .where(PaymentDispute.store_id == store_id, Payment.order_id == order_id)
        .order_by(PaymentDispute.id)
    )
    return found.all()
