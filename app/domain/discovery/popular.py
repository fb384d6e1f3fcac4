"""What shoppers search for: counted beside the searches, told as the most frequent of late.

A search never waits for its own count and never fails with it. Each process keeps a small tally and writes it
about once a second; a process that is killed loses that second, a database that is away the tally of its absence.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import ARRAY, BigInteger, Date, Text, bindparam, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.reads import Reads
from app.db.retries import run_transaction
from app.db.session import Sessions
from app.kit.errors import AppError

RECENT: Final = timedelta(days=30)
MOST_TOLD: Final = 20
LONGEST_QUERY: Final = 100
WRITE_SECONDS: Final = 1.0
# Different queries that a tally holds; further ones of the same second are not counted.
MOST_AT_ONCE: Final = 1000
# How often one visitor's asking for the same counts within an hour, and how many of such are remembered.
MOST_OF_ONE: Final = 10
MOST_ASKERS: Final = 20_000
# Different queries that are kept of a day that is over, for each store.
MOST_A_DAY: Final = 1000

logger = logging.getLogger("storefront.search")

# In the order of the keys, so that processes that write at once wait for each other instead of deadlocking.
_ADD: Final = text(
    """
    INSERT INTO search_queries AS s (store_id, day, query, count)
    SELECT * FROM unnest(:stores, :days, :queries, :counts) AS added (store_id, day, query, count)
    ORDER BY store_id, day, query
    ON CONFLICT (store_id, day, query) DO UPDATE SET count = s.count + excluded.count
    """
).bindparams(
    bindparam("stores", type_=ARRAY(BigInteger)),
    bindparam("days", type_=ARRAY(Date)),
    bindparam("queries", type_=ARRAY(Text)),
    bindparam("counts", type_=ARRAY(BigInteger)),
)
_POPULAR: Final = """
    SELECT convert_to(json_build_object('items', coalesce(json_agg(popular), '[]'))::text, 'UTF8')
    FROM (
        SELECT query, sum(count)::bigint AS count FROM search_queries
        WHERE store_id = $1 AND day > $2 GROUP BY query ORDER BY 2 DESC, query LIMIT $3
    ) popular
"""
_FORGET: Final = text("DELETE FROM search_queries WHERE day <= :oldest")
_FORGET_RARE: Final = text(
    """
    DELETE FROM search_queries s USING (
        SELECT store_id, query, row_number() OVER (PARTITION BY store_id ORDER BY count DESC, query) AS place
        FROM search_queries WHERE day = :day
    ) ranked
    WHERE s.day = :day AND ranked.place > :most AND s.store_id = ranked.store_id AND s.query = ranked.query
    """
)


def shown_query(query: str) -> str:
    """A query as it is counted and shown: one line in lower case, without what cannot be printed, cut to size."""
    printable = "".join(char if char.isprintable() else " " for char in query.lower())
    return " ".join(printable.split())[:LONGEST_QUERY].rstrip()


class SearchTally:
    """Counts queries of this process and writes them now and then. Safe for many tasks of one event loop."""

    def __init__(self, sessions: Sessions, *, clock: Callable[[], datetime]) -> None:
        self._sessions = sessions
        self._clock = clock
        self._counts: dict[tuple[int, date, str], int] = {}
        self._hour: datetime | None = None
        # By a number that stands for visitor and query: who asked is written nowhere.
        self._asked: dict[int, int] = {}
        self._writing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._turn = asyncio.Lock()

    def note(self, store_id: int, query: str, *, visitor: str) -> None:
        """Count a query that had results, once it is written within a second or so.

        Of one visitor the same query counts MOST_OF_ONE times an hour in each process, so that nobody alone says what
        everybody is told.
        """
        now, shown = self._clock(), shown_query(query)
        if self._is_enough(hash((store_id, shown, visitor)), now.replace(minute=0, second=0, microsecond=0)):
            return
        key = (store_id, now.date(), shown)
        if shown and (key in self._counts or len(self._counts) < MOST_AT_ONCE):
            self._counts[key] = self._counts.get(key, 0) + 1
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_later())

    def _is_enough(self, mark: int, hour: datetime) -> bool:
        if hour != self._hour or len(self._asked) >= MOST_ASKERS:
            self._hour, self._asked = hour, {}
        asked = self._asked[mark] = self._asked.get(mark, 0) + 1
        return asked > MOST_OF_ONE

    async def write(self) -> None:
        """Write what was counted so far. Never raises for a database that is away: then it is forgotten.

        One write follows the other, so that whoever comes back from it finds all that was counted before.
        """
        async with self._turn:
            counts, self._counts = self._counts, {}
            if counts:
                await self._add(counts)

    async def _add(self, counts: dict[tuple[int, date, str], int]) -> None:
        async def add(session: AsyncSession) -> None:
            stores, days, queries = zip(*counts, strict=True)
            values = {"stores": stores, "days": days, "queries": queries, "counts": counts.values()}
            await session.execute(_ADD, {name: list(value) for name, value in values.items()})

        try:
            await run_transaction(self._sessions, add, repeatable=False)
        except (SQLAlchemyError, AppError, OSError) as problem:
            logger.warning("%d queries are not counted: %r", len(counts), problem)

    async def close(self) -> None:
        """Write the rest, at once."""
        self._closing.set()
        if self._writing is not None:
            await self._writing
        await self.write()

    async def _write_later(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), WRITE_SECONDS)
        await self.write()


async def popular_queries(reads: Reads, store_id: int, *, now: datetime) -> bytes:
    """The most frequent queries of the last 30 days, as JSON {items: [{query, count}]}."""
    found: bytes = await reads.fetchval(_POPULAR, store_id, (now - RECENT).date(), MOST_TOLD)
    return found


async def forget_queries(sessions: Sessions, *, now: datetime) -> None:
    """Delete what is not recent any more, and what was asked rarely on the day that is over."""

    async def forget(session: AsyncSession) -> None:
        await session.execute(_FORGET, {"oldest": (now - RECENT).date()})
        yesterday = (now - timedelta(days=1)).date()
        await session.execute(_FORGET_RARE, {"day": yesterday, "most": MOST_A_DAY})

    await run_transaction(sessions, forget, repeatable=True)
