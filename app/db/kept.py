"""Answers that were dear to read are kept for a moment, so that many who ask the same cost no more than one.

What is kept follows its price: a read of a tenth of a second is good for two seconds, and what took less than
DEAR_SECONDS is read each time, so that a small shop is always up to date. After that an answer is still given
while one task reads it anew, until it is as old as the limit.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")

DEAR_SECONDS: Final = 0.02
# For so many times as long as it took is an answer kept: the database spends a twentieth on reading it again.
TIMES: Final = 20
MOST_ENTRIES: Final = 500


@dataclass(slots=True)
class _Entry:
    value: Any
    read_at: float
    fresh_until: float


class Kept:
    """Kept answers of this process. `seconds` is the age that none exceeds; 0 keeps nothing."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._reading: dict[Hashable, asyncio.Task[Any]] = {}

    async def get(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """The answer of this key, or what `read` makes of it now. An exception is everybody's, and never kept."""
        entry = self._entries.get(key)
        now = self._clock()
        if entry is None:
            return await self._read(key, read)
        self._entries.move_to_end(key)
        if now >= entry.fresh_until:
            task = self._reading.get(key) or self._begin(key, read)
            if now - entry.read_at >= self._seconds:
                return cast("T", await asyncio.shield(task))
        return cast("T", entry.value)

    def _begin(self, key: Hashable, read: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]:
        """Read a known dear answer anew, once for all who ask meanwhile."""
        task: asyncio.Task[Any] = asyncio.create_task(self._read(key, read))
        self._reading[key] = task
        task.add_done_callback(lambda done: self._end(key, done))
        return task

    def _end(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        self._reading.pop(key, None)
        # Whoever waited for it was told; nobody else needs to be.
        if not task.cancelled():
            task.exception()

    async def _read(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        begun = self._clock()
        value = await read()
        took = self._clock() - begun
        if took >= DEAR_SECONDS and self._seconds > 0:
            fresh = min(TIMES * took, self._seconds / 2)
            self._entries[key] = _Entry(value, begun, begun + took + fresh)
            self._entries.move_to_end(key)
            if len(self._entries) > MOST_ENTRIES:
                self._entries.popitem(last=False)
        else:
            self._entries.pop(key, None)
        return value
