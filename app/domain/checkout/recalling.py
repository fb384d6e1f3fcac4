"""What a repeated request finds of the reservation that the first one made."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.checkout.models import Checkout
from app.domain.checkout.placing import NOT_CHARGED, Placed, Started
from app.domain.payments.service import get_payment, is_marked
from app.domain.payments.states import PaymentState


def made_by(result: Placed | Started) -> dict[str, Any]:
    """What the record of an Idempotency-Key keeps of a reservation."""
    if isinstance(result, Placed):
        return {"order_id": result.order_id}
    return {"order_id": result.order_id, "payment_id": result.payment_id}


async def recall(
    session: AsyncSession, store_id: int, made: Mapping[str, Any], *, mark: str
) -> Placed | Started | None:
    """What an earlier call under the same key made; None where its attempt is over and was never charged.

    That is what a killed process leaves behind: once the service has said that it never heard of the attempt,
    the key is free for another one.
    """
    if "payment_id" not in made:
        return Placed(made["order_id"])
    payment = await get_payment(session, store_id, made["payment_id"])
    if (payment.state, payment.reason) == (PaymentState.CANCELLED, NOT_CHARGED):
        return None
    return Started(payment.id, payment.order_id, mine=is_marked(payment, mark))


async def may_be_repeat(session: AsyncSession, store_id: int, *, token: str, customer_id: int) -> bool:
    """Whether a call that names what is saved no more can repeat one: only on a checkout of that customer.

    To everybody else every checkout is as if it were not there.
    """
    found = await session.scalar(
        select(Checkout.id).where(
            Checkout.store_id == store_id, Checkout.token == token, Checkout.customer_id == customer_id
        )
    )
    return found is not None
