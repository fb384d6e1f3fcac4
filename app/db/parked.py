"""Jobs that were given up: which there are, and how people have them tried again or let them be.

Nothing takes a parked job up by itself. A mail server that was away for longer than the tries last, or a payment
service, leaves the mails and captures of that time here.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.bell import CHANNEL


class Parked(msgspec.Struct, frozen=True):
    """A job that nobody tries any more, and why its last try failed. `store` is empty where it is of none."""

    id: int
    store: str
    kind: str
    dedupe_key: str
    tries: int
    created_at: datetime
    reason: str


_MEANT: Final = """
    j.state = 'parked'
    AND (CAST(:ids AS bigint[]) IS NULL OR j.id = ANY(:ids))
    AND (CAST(:kinds AS text[]) IS NULL OR j.kind = ANY(:kinds))
"""
_TYPES: Final = (bindparam("ids", type_=ARRAY(BigInteger)), bindparam("kinds", type_=ARRAY(Text)))
_LIST: Final = text(
    f"""
    SELECT j.id, coalesce(s.code, '') AS store, j.kind, j.dedupe_key, j.tries, j.created_at,
        coalesce(j.reason, '') AS reason
    FROM jobs j LEFT JOIN stores s ON s.id = j.store_id
    WHERE {_MEANT} ORDER BY j.id
    """  # noqa: S608 - words of our own
).bindparams(*_TYPES)
_RETRY: Final = text(
    f"""
    WITH taken AS (
        UPDATE jobs j SET state = 'queued', tries = 0, run_at = :now WHERE {_MEANT} RETURNING j.id, j.kind
    ),
    rung AS (SELECT count(pg_notify(:channel, kind)) FROM (SELECT DISTINCT kind FROM taken) kinds)
    SELECT taken.id FROM taken, rung ORDER BY taken.id
    """  # noqa: S608 - as above
).bindparams(*_TYPES)
# Its reason stays with it.
_DISMISS: Final = text(
    f"UPDATE jobs j SET state = 'done', finished_at = :now WHERE {_MEANT} RETURNING j.id"  # noqa: S608 - as above
).bindparams(*_TYPES)


async def list_parked(session: AsyncSession, *, kinds: Collection[str] | None = None) -> list[Parked]:
    """Every job that was given up, of these kinds or of any, oldest first."""
    found = await session.execute(_LIST, _meant(None, kinds))
    return [Parked(**row) for row in found.mappings()]


async def retry_parked(
    session: AsyncSession,
    *,
    ids: Collection[int] | None = None,
    kinds: Collection[str] | None = None,
    now: datetime,
) -> list[int]:
    """Queue jobs that were given up anew, with all of their tries; which. None means any."""
    values = {**_meant(ids, kinds), "now": now, "channel": CHANNEL}
    return list(await session.scalars(_RETRY, values))


async def dismiss_parked(session: AsyncSession, *, ids: Collection[int], now: datetime) -> list[int]:
    """Let jobs be that were given up, for good: people have seen to what they were for; which."""
    return sorted(await session.scalars(_DISMISS, {**_meant(ids, None), "now": now}))


def _meant(ids: Collection[int] | None, kinds: Collection[str] | None) -> dict[str, object]:
    return {
        "ids": None if ids is None else list(ids),
        "kinds": None if kinds is None else list(kinds),
    }
