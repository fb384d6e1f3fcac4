"""How workers hear of jobs: after the commit, and once for all that were queued about the same time.

PostgreSQL has transactions that NOTIFY commit one after the other, the write to the disk included. So those of a server
do not: what they queued is told by a statement of its own. Who falls before that leaves the jobs to the workers' poll.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Final

import asyncpg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.db.autocommit import run_on
from app.db.reads import LOST
from app.kit.errors import Unavailable

logger = logging.getLogger(__name__)

CHANNEL: Final = "storefront_jobs"
# Workers collect mails for longer.
TOGETHER_SECONDS: Final = 0.05
_TELL: Final = "SELECT pg_notify($1, kind) FROM unnest($2::text[]) AS kind"
# What a session notes of its transaction, in its info.
_QUEUED: Final = "kinds_queued"


class Bell:
    """Rings at the workers, at most once in TOGETHER_SECONDS, and not again before that is done.

    So it never takes more than one connection from the requests, or waits for more than one.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._kinds: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._telling: asyncio.Task[None] | None = None
        self._closed = False

    def note(self, session: AsyncSession, kinds: Iterable[str]) -> None:
        """Note what a transaction has queued; it may yet be rolled back, and then nobody finds anything."""
        session.info.setdefault(_QUEUED, set()).update(kinds)

    def after_commit(self, session: Any) -> None:
        """Ring for what the transaction of a session has queued."""
        kinds = session.info.pop(_QUEUED, None)
        if not kinds or self._closed:
            return
        self._kinds |= kinds
        self._ring_soon()

    def _ring_soon(self) -> None:
        if self._timer is None and self._telling is None:
            self._timer = asyncio.get_running_loop().call_later(TOGETHER_SECONDS, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._telling = asyncio.get_running_loop().create_task(self._tell())
        self._telling.add_done_callback(self._rest)

    def _rest(self, _: asyncio.Task[None]) -> None:
        self._telling = None
        if self._kinds and not self._closed:
            self._ring_soon()

    async def _tell(self) -> None:
        kinds, self._kinds = sorted(self._kinds), set()
        try:
            await run_on(self._engine, _TELL, CHANNEL, kinds)
        except (*LOST, asyncpg.PostgresError, SQLAlchemyError, Unavailable, TimeoutError) as problem:
            logger.info("workers are not told of jobs, and will look: %r", problem)

    async def close(self) -> None:
        """Ring for what is still to be told of. What is committed after this is left to the poll."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._telling is not None:
            await asyncio.wait([self._telling])
        if self._kinds:
            await self._tell()
