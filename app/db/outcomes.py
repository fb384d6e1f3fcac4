"""How results of jobs are written down: at once, and those that come meanwhile share the next statement.

Whatever is done and not written down yet is done again after a crash, so nothing waits for the rest of its batch.
"""

import asyncio

from app.db.queue import Outcome, finish
from app.db.session import Sessions
from app.kit.clock import utc_now


class Outcomes:
    """What became of the jobs of one batch."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._waiting: list[Outcome] = []
        self._turn = asyncio.Lock()

    async def write(self, *outcomes: Outcome) -> None:
        """Return once they are written down, by whoever had the turn. Raises where this one had it and failed."""
        self._waiting.extend(outcomes)
        async with self._turn:
            together, self._waiting = self._waiting, []
            if together:
                await finish(self._sessions, together, now=utc_now())
