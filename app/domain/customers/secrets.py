"""Mailed secrets: single use, with an end, kept as digests, void when the address changes."""

from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec
from sqlalchemy import Select, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.reads import Reads
from app.domain.customers.models import Customer, LoginSecret
from app.kit.ids import digest, new_token

# A link that staff have mailed is a kind of its own: a code that anybody asks for, and its link, must not end it.
Purpose = Literal["verify", "reset", "link", "staff_link"]
LINKS: Final[tuple[Purpose, ...]] = ("link", "staff_link")
# What was mailed to the address that an account has; `verify` may belong to the one that it is to get.
TO_GET_IN: Final[tuple[Purpose, ...]] = ("reset", *LINKS)


class KnownSecret(msgspec.Struct, frozen=True):
    """A good secret with its customer. session_id: the only session that it still works in."""

    customer_id: int
    username: str
    email: str
    session_id: str | None


_FIND: Final = """
SELECT c.id, c.username, c.email, s.session_id
FROM login_secrets s JOIN customers c ON c.store_id = s.store_id AND c.id = s.customer_id
WHERE s.store_id = $1 AND s.digest = $2 AND s.purpose = $3 AND s.used_at IS NULL AND s.expires_at > $4
  AND c.closed_at IS NULL AND (s.purpose = 'verify' OR s.email_key = c.email_key)
"""


async def make_secret(
    session: AsyncSession,
    customer: Customer,
    purpose: Purpose,
    *,
    now: datetime,
    seconds: int,
    email_key: str | None = None,
) -> str:
    """A new secret, known in this moment only; `email_key` is where it is sent, where not to the customer's.

    An earlier one of the same purpose is void: whoever asks twice uses the newer mail.
    """
    await void_secrets(session, customer.store_id, customer.id, now=now, purposes=(purpose,))
    secret = new_token()
    session.add(
        LoginSecret(
            digest=digest(secret),
            store_id=customer.store_id,
            customer_id=customer.id,
            purpose=purpose,
            email_key=email_key or customer.email_key,
            expires_at=now + timedelta(seconds=seconds),
        )
    )
    await session.flush()
    return secret


async def lock_secret(
    session: AsyncSession, store_id: int, purpose: Purpose, secret: str, *, now: datetime
) -> LoginSecret | None:
    """The secret if it is good, locked: of two uses at once the second finds it used.

    The caller holds the customer's lock, taken before this one.
    """
    return await session.scalar(
        _good(store_id, purpose, secret, now).with_for_update().execution_options(populate_existing=True)
    )


async def find_secret(
    reads: Reads, store_id: int, purpose: Purpose, secret: str, *, now: datetime
) -> KnownSecret | None:
    """Whose secret it is, if it is good: to look at, before a transaction that uses it up."""
    row = await reads.fetchrow(_FIND, store_id, digest(secret), purpose, now)
    return None if row is None else KnownSecret(*row.values())


async def find_link(
    reads: Reads, store_id: int, secret: str, *, now: datetime
) -> tuple[Purpose, KnownSecret] | None:
    """Whose link it is that logs in, and of which kind, if it is good."""
    for purpose in LINKS:
        known = await find_secret(reads, store_id, purpose, secret, now=now)
        if known is not None:
            return purpose, known
    return None


async def void_secrets(
    session: AsyncSession,
    store_id: int,
    customer_id: int,
    *,
    now: datetime,
    purposes: tuple[Purpose, ...] = ("verify", *TO_GET_IN),
    but: LoginSecret | None = None,
) -> None:
    """Let no open secret of these purposes open anything any more, `but` the one that is in use."""
    await session.execute(
        update(LoginSecret)
        .where(
            LoginSecret.store_id == store_id,
            LoginSecret.customer_id == customer_id,
            LoginSecret.purpose.in_(purposes),
            LoginSecret.used_at.is_(None),
            LoginSecret.digest != (but.digest if but else b""),
        )
        .values(used_at=now),
        execution_options={"synchronize_session": False},
    )


def _good(store_id: int, purpose: Purpose, secret: str, now: datetime) -> Select[LoginSecret]:
    return select(LoginSecret).where(
        LoginSecret.digest == digest(secret),
        LoginSecret.store_id == store_id,
        LoginSecret.purpose == purpose,
        LoginSecret.used_at.is_(None),
        LoginSecret.expires_at > now,
    )
