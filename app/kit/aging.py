"""Answers that are dear to find and may be some seconds old: kept by a process, and found anew by one caller at a time."""

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Aging(Generic[T]):
    """What one process keeps by key: each for so many seconds, the oldest leaving first where there are too many."""

    def __init__(self, *, seconds: float, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._kept: dict[Hashable, tuple[T, float]] = {}

    def find(self, key: Hashable) -> T | None:
        """What is kept. Once it is old one caller is told None, to find out anew; meanwhile the others go on with it."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        value, until = kept
        now = self._clock()
        if now >= until:
            self._kept[key] = (value, now + self._seconds)
            return None
        return value

    def keep(self, key: Hashable, value: T) -> None:
        self._kept.pop(key, None)
        if len(self._kept) >= self._most:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (value, self._clock() + self._seconds)

    def forget(self, key: Hashable) -> None:
        self._kept.pop(key, None)
