"""Which customer an identity of another provider belongs to: found by issuer and subject, never by address."""

from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.reads import Reads
from app.domain.customers.models import Customer, CustomerIdentity
from app.domain.customers.providers import VerifiedIdentity

_LINKED: Final = """
SELECT c.id FROM customer_identities i
JOIN customers c ON c.store_id = i.store_id AND c.id = i.customer_id AND c.closed_at IS NULL
WHERE i.store_id = $1 AND i.issuer = $2 AND i.subject = $3
"""


async def is_linked(reads: Reads, store_id: int, identity: VerifiedIdentity) -> bool:
    """Whether somebody logs in with it already, read without a transaction."""
    return await reads.fetchval(_LINKED, store_id, identity.issuer, identity.subject) is not None


async def lock_identity(session: AsyncSession, store_id: int, identity: VerifiedIdentity) -> int | None:
    """The live customer of an identity, which nobody else links until this transaction ends.

    There may be no row to lock yet, so its name is locked. Comes before the customer's own lock.
    """
    name = f"{store_id}\n{identity.issuer}\n{identity.subject}"
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
    return await session.scalar(
        select(Customer.id)
        .join(
            CustomerIdentity,
            (CustomerIdentity.store_id == Customer.store_id) & (CustomerIdentity.customer_id == Customer.id),
        )
        .where(
            Customer.store_id == store_id,
            Customer.closed_at.is_(None),
            CustomerIdentity.issuer == identity.issuer,
            CustomerIdentity.subject == identity.subject,
        )
    )


async def link_identity(
    session: AsyncSession, customer: Customer, identity: VerifiedIdentity, *, now: datetime
) -> None:
    """Let the identity log this customer in. The caller holds its lock and found it to be nobody's.

    A row that is there all the same is that of a closed account, which the person has left behind.
    """
    made = upsert(CustomerIdentity).values(
        store_id=customer.store_id,
        customer_id=customer.id,
        issuer=identity.issuer,
        subject=identity.subject,
        email=identity.email,
        created_at=now,
    )
    await session.execute(
        made.on_conflict_do_update(
            index_elements=["store_id", "issuer", "subject"],
            set_={"customer_id": made.excluded.customer_id, "email": made.excluded.email, "created_at": now},
        )
    )
