"""A time limit for the answer of another process, by the time in which this one could have heard it."""

import asyncio
from types import TracebackType
from typing import Final

STEP_SECONDS: Final = 0.01
MOST: Final = 5


class Patience:
    """Like asyncio.timeout: raises TimeoutError where the block takes longer than `seconds`.

    Where this process is kept from running, by others on a busy machine or by work of its own, the answer may have come
    long ago when it runs again, and asyncio.timeout would give up before it looks. This limit is counted in steps of
    STEP_SECONDS of which each takes a turn of the event loop, so a pause counts as one step however long it was. Past
    MOST times the limit by the clock there is one more turn.
    """

    __slots__ = ("_left", "_limit", "_loop", "_next", "_seconds", "_until")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._left = max(1, round(seconds / STEP_SECONDS))

    async def __aenter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + MOST * self._seconds
        self._limit = asyncio.timeout(None)
        await self._limit.__aenter__()
        self._next = self._loop.call_later(STEP_SECONDS, self._step)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._next.cancel()
        await self._limit.__aexit__(kind, problem, trace)

    def _step(self) -> None:
        self._left -= 1
        if self._left > 1 and self._loop.time() > self._until:
            self._left = 1
        if self._left > 0:
            self._next = self._loop.call_later(STEP_SECONDS, self._step)
        else:
            self._limit.reschedule(self._loop.time())
