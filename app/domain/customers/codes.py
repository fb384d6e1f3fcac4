"""Mailed login codes: six digits, good once and not for long, and guessed at five times at most."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.customers.models import Customer, LoginCode
from app.kit.ids import sign, verify

DIGITS: Final = 6
MOST_TRIES: Final = 5

# Where there is nothing to count, a record of the same kind is written all the same: else the time of the COMMIT
# would tell who has an account and was mailed a code.
_TRY: Final = text(
    """
    WITH tried AS (
        UPDATE login_codes l SET tries = tries + 1
        FROM customers c
        WHERE c.store_id = :store_id AND c.email_key = :email_key AND c.closed_at IS NULL
          AND l.store_id = c.store_id AND l.customer_id = c.id
          AND l.tries < :most AND l.expires_at > :now
        RETURNING l.customer_id, l.digest
    )
    SELECT t.customer_id, t.digest,
           CASE WHEN t.customer_id IS NULL THEN pg_logical_emit_message(true, 'login_code', '') END
    FROM (SELECT 1) one LEFT JOIN tried t ON true
    """
)


class Tried(msgspec.Struct, frozen=True):
    """A code that a guess was counted against."""

    customer_id: int
    digest: bytes


async def make_code(
    session: AsyncSession, customer: Customer, *, key: str, now: datetime, seconds: int
) -> str:
    """New digits, known in this moment only; the ones before are void. `key` is the secret that signs.

    The digest needs a key: a million digits are tried in no time by whoever reads the table.
    """
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    values = {
        "digest": bytes.fromhex(sign(key, *_parts(customer.store_id, customer.id, customer.email_key, code))),
        "tries": 0,
        "expires_at": now + timedelta(seconds=seconds),
    }
    await session.execute(
        upsert(LoginCode)
        .values(store_id=customer.store_id, customer_id=customer.id, **values)
        .on_conflict_do_update(index_elements=["store_id", "customer_id"], set_=values)
    )
    return code


async def take_try(session: AsyncSession, store_id: int, email_key: str, *, now: datetime) -> Tried | None:
    """Count a guess at the open code of an address; None where there is none, or it was guessed at too often.

    The caller commits before it looks whether the guess is right: then as many guesses at once as there may
    be have no more tries than one after the other.
    """
    values = {"store_id": store_id, "email_key": email_key, "now": now, "most": MOST_TRIES}
    customer_id, digest, _ = (await session.execute(_TRY, values)).one()
    return None if customer_id is None else Tried(customer_id, digest)


def is_right(tried: Tried | None, code: str, *, keys: Sequence[str], store_id: int, email_key: str) -> bool:
    """Whether these are the digits; the work is the same without a code to compare them with."""
    found = tried or Tried(0, b"")
    return verify(tuple(keys), found.digest.hex(), *_parts(store_id, found.customer_id, email_key, code))


async def use_code(session: AsyncSession, store_id: int, tried: Tried) -> bool:
    """Use a right code up; False where another call has done so, or a newer one has come, meanwhile."""
    used = await session.execute(
        delete(LoginCode)
        .where(
            LoginCode.store_id == store_id,
            LoginCode.customer_id == tried.customer_id,
            LoginCode.digest == tried.digest,
        )
        .returning(LoginCode.customer_id)
    )
    return used.first() is not None


async def void_code(session: AsyncSession, store_id: int, customer_id: int) -> None:
    """Let the open code open nothing any more."""
    await session.execute(
        delete(LoginCode).where(LoginCode.store_id == store_id, LoginCode.customer_id == customer_id)
    )


def _parts(store_id: int, customer_id: int, email_key: str, code: str) -> tuple[str, ...]:
    # The address is among them: a code that was mailed to the former one is void.
    return ("login code", str(store_id), str(customer_id), email_key, code)
