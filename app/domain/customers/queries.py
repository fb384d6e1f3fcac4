"""What is read of customers: by id, by mail address, and what a login needs to begin with."""

from typing import Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.reads import Reads
from app.db.statements import Load
from app.domain.customers.models import Customer
from app.kit.errors import LOGIN_REQUIRED, Unauthenticated


class KnownLogin(msgspec.Struct, frozen=True):
    """What there is to check a password against. knows_device: this customer has logged in from it before."""

    customer_id: int
    password_digest: str | None
    knows_device: bool


_KNOWN_LOGIN: Final = """
SELECT c.id, c.password_digest, EXISTS (
    SELECT FROM customer_devices d WHERE d.store_id = c.store_id AND d.customer_id = c.id AND d.digest = $3
) AS knows_device
FROM customers c WHERE c.store_id = $1 AND c.email_key = $2 AND c.closed_at IS NULL
"""


async def find_login(reads: Reads, store_id: int, email_key: str, *, device: bytes) -> KnownLogin | None:
    """The account of an address, read without a transaction: checking a password takes its time."""
    row = await reads.fetchrow(_KNOWN_LOGIN, store_id, email_key, device)
    return None if row is None else KnownLogin(row["id"], row["password_digest"], row["knows_device"])


class KnownAccount(msgspec.Struct, frozen=True):
    """What changing a password begins with."""

    customer_id: int
    username: str
    email_key: str
    password_digest: str | None


_KNOWN_ACCOUNT: Final = """
SELECT id, username, email_key, password_digest FROM customers
WHERE store_id = $1 AND id = $2 AND closed_at IS NULL
"""


async def find_login_by_id(reads: Reads, store_id: int, customer_id: int) -> KnownAccount:
    """The account of whoever is logged in, as find_login. Raises Unauthenticated where it was closed since."""
    row = await reads.fetchrow(_KNOWN_ACCOUNT, store_id, customer_id)
    if row is None:
        raise Unauthenticated(LOGIN_REQUIRED, "This call needs a login.")
    return KnownAccount(*row.values())


async def find_customer(session: AsyncSession, store_id: int, customer_id: int) -> Customer | None:
    return await session.scalar(
        select(Customer).where(
            Customer.store_id == store_id, Customer.id == customer_id, Customer.closed_at.is_(None)
        )
    )


async def find_customer_by_email(session: AsyncSession, store_id: int, email_key: str) -> Customer | None:
    return await session.scalar(
        select(Customer).where(
            Customer.store_id == store_id, Customer.email_key == email_key, Customer.closed_at.is_(None)
        )
    )


async def find_inviter(session: AsyncSession, store_id: int, invite_token: str) -> int | None:
    return await session.scalar(
        select(Customer.id).where(
            Customer.store_id == store_id,
            Customer.invite_token == invite_token,
            Customer.closed_at.is_(None),
        )
    )


_LOCK: Final = Load(Customer, "store_id = :store_id AND id = :id AND closed_at IS NULL FOR NO KEY UPDATE")


async def lock_customer(session: AsyncSession, store_id: int, customer_id: int) -> Customer:
    """The live account, locked: logins, changes of password and closing follow each other.

    Raises Unauthenticated where it was closed since its session was looked up.
    """
    found = await _LOCK.first(session, store_id=store_id, id=customer_id)
    if found is None:
        raise Unauthenticated(LOGIN_REQUIRED, "This call needs a login.")
    return found
