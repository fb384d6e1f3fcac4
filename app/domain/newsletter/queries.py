"""What is read of newsletter subscriptions, by the two uuids that open one, and by whose address it is."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.newsletter.errors import subscription_not_found
from app.domain.newsletter.models import Subscription

# Whoever asked may follow it up for so long after the owner agreed; then only the mailed uuid opens it.
FORM_LIFE: Final = timedelta(days=1)


class Opened(msgspec.Struct, frozen=True):
    """A subscription, and whether it was opened by the uuid that only its owner has."""

    subscription: Subscription
    by_owner: bool


async def get_subscription(
    session: AsyncSession, store_id: int, uuid: UUID | None, *, now: datetime, lock: bool = False
) -> Opened:
    """The subscription that a uuid opens. Raises NotFound subscription_not_found."""
    query = select(Subscription).where(
        Subscription.store_id == store_id,
        or_(Subscription.uuid == uuid, Subscription.form_uuid == uuid),
    )
    if lock:
        query = query.with_for_update()
    found = (await session.scalars(query)).one_or_none() if uuid is not None else None
    if found is None:
        raise subscription_not_found()
    by_owner = found.uuid == uuid
    if not by_owner and found.confirmed_at is not None and found.confirmed_at < now - FORM_LIFE:
        raise subscription_not_found()
    return Opened(found, by_owner)


def of_address(email_key: str) -> ColumnElement[bool]:
    """Both rows of an address. Each is in an index of its own, which is found by these very words."""
    same, confirmed = Subscription.email_key == email_key, Subscription.confirmed_at.is_not(None)
    return or_(same & confirmed, same & ~confirmed)


async def lock_address(session: AsyncSession, store_id: int, email_key: str) -> Sequence[Subscription]:
    """Both rows of an address, as they stand now, locked in the order of their keys."""
    query = (
        select(Subscription)
        .where(Subscription.store_id == store_id, of_address(email_key))
        .order_by(Subscription.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(query)).all()
