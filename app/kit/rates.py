"""How often is too often: at most so many calls in any span of so many seconds, exactly, by a sliding window."""

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

MOST_SUBJECTS: Final = 10_000
MINUTE: Final = 60
HOUR: Final = 3_600


class Verdict(NamedTuple):
    """What became of a call. `reset` is the seconds, never 0, until the oldest counted call leaves the window:
    for a refused caller the wait until the next call can pass.
    """

    allowed: bool
    remaining: int
    reset: float


def in_words(seconds: float) -> str:
    """A wait as people say it: `in 40 seconds`, `in about 12 minutes`, `in about an hour`."""
    whole = max(1, math.ceil(seconds))
    if whole < 2 * MINUTE:
        return "in a second" if whole == 1 else f"in {whole} seconds"
    if whole <= 50 * MINUTE:
        return f"in about {math.ceil(whole / MINUTE)} minutes"
    hours = round(whole / HOUR) or 1
    return "in about an hour" if hours == 1 else f"in about {hours} hours"


class RateCounter(Protocol):
    """Counts calls by subject."""

    async def take(self, subject: str, *, calls: int, seconds: int) -> Verdict:
        """Count one call, where there is room for it; refused calls are not counted.

        Atomic: of any number of parallel calls no more than `calls` pass within `seconds`. Raises Unavailable
        where the count cannot be known.
        """

    async def forget(self, subject: str) -> None:
        """Let what was counted of a subject count no more. Raises Unavailable as take does."""


class LocalRateCounter:
    """Implements RateCounter for one process, within bounded memory: the subjects seen last are kept."""

    def __init__(
        self, *, most_subjects: int = MOST_SUBJECTS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most_subjects
        self._clock = clock
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    async def take(self, subject: str, *, calls: int, seconds: int) -> Verdict:
        # Nothing is awaited here, so no other call of this process comes in between.
        now = self._clock()
        taken = self._seen.setdefault(subject, deque())
        self._seen.move_to_end(subject)
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
        while taken and taken[0] <= now - seconds:
            taken.popleft()
        allowed = len(taken) < calls
        if allowed:
            taken.append(now)
        # More than `calls` stand here where a limit was lowered: room comes when all but the newest have left.
        oldest = taken[-min(calls, len(taken))]
        return Verdict(allowed, max(0, calls - len(taken)), oldest + seconds - now)

    async def forget(self, subject: str) -> None:
        self._seen.pop(subject, None)
