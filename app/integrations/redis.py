"""The way to Redis: short time limits, and a breaker that stops asking a Redis that does not answer.

Only silence and broken lines open it. A full Redis still answers, so what can be read of it is.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import redis.exceptions
import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.kit.errors import UNAVAILABLE, Unavailable
from app.kit.patience import Patience

T = TypeVar("T")
log = structlog.get_logger("storefront.redis")

WAIT_SECONDS: Final = 0.2
MOST_CONNECTIONS: Final = 64
FAILURES: Final = 5
OPEN_SECONDS: Final = 1.0

AWAY: Final = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    TimeoutError,
    OSError,
)
# Answers of a Redis that is there and refuses this one call: it is full, cannot save, or may not write. The caller
# goes without it as if it were away; others need not, for what it refuses costs nobody any time.
REFUSED: Final = (
    redis.exceptions.ReadOnlyError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ClusterDownError,
)
# The same, where the client library has no class of its own: no disk to save to, too few replicas.
CANNOT_WRITE: Final = ("MISCONF", "NOREPLICAS")
SAY_AGAIN_SECONDS: Final = 60.0


class RedisDown(Unavailable):
    """Redis did not answer in time, or was not asked. Uncaught it is a 503 with Retry-After."""

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__(UNAVAILABLE, "A part of the shop is away for a moment.", retry_after=retry_after)


class Breaker:
    """After some failures in a row nobody asks for a while; then one caller at a time tries again.

    A probe whose caller vanished is followed by the next after the same while, so it cannot stay open.
    """

    def __init__(
        self,
        *,
        failures: int = FAILURES,
        open_seconds: float = OPEN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = failures
        self._open_seconds = open_seconds
        self._clock = clock
        self._failures = 0
        self._asks_again_at: float | None = None

    @property
    def is_open(self) -> bool:
        return self._asks_again_at is not None

    @property
    def retry_after(self) -> int:
        return max(1, math.ceil(self._open_seconds))

    def allows(self) -> bool:
        """Whether to ask now. While open, True makes the caller the probe."""
        if self._asks_again_at is None:
            return True
        now = self._clock()
        if now < self._asks_again_at:
            return False
        self._asks_again_at = now + self._open_seconds
        return True

    def succeeded(self) -> bool:
        """Returns whether this closed the breaker."""
        was_open = self.is_open
        self._failures = 0
        self._asks_again_at = None
        return was_open

    def failed(self) -> bool:
        """Returns whether this opened the breaker."""
        was_open = self.is_open
        self._failures += 1
        if was_open or self._failures >= self._most:
            self._asks_again_at = self._clock() + self._open_seconds
        return self.is_open and not was_open


class RedisGateway:
    """One client per process. Nothing is connected before the first call."""

    def __init__(
        self, url: str, *, wait_seconds: float = WAIT_SECONDS, breaker: Breaker | None = None
    ) -> None:
        self._wait = wait_seconds
        self._says_again_at = 0.0
        self.breaker = breaker or Breaker()
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MOST_CONNECTIONS,
            # One limit holds for all steps of a call together, see `run`.
            timeout=None,
            socket_connect_timeout=None,
            socket_timeout=None,
            # A connection that a restarted Redis left behind is made anew at once; nothing else is repeated.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.exceptions.ConnectionError,)),
            # The older protocol needs no greeting beyond the login, which makes a reconnect one trip shorter.
            protocol=2,
            driver_info=None,
        )
        self.client: Redis = Redis.from_pool(pool)

    async def run(self, call: Callable[[Redis], Awaitable[T]]) -> T:
        """Make one call within the time limit, connecting included. Time in which this process cannot listen is not counted.

        Raises RedisDown. The call may be sent twice where a connection broke, so it has to bear that.
        """
        if not self.breaker.allows():
            raise RedisDown(self.breaker.retry_after)
        try:
            async with Patience(self._wait):
                answer = await call(self.client)
        except AWAY as problem:
            if self.breaker.failed():
                log.warning("redis is away", reason=type(problem).__name__)
            raise RedisDown(self.breaker.retry_after) from problem
        except redis.exceptions.ResponseError as problem:
            if not isinstance(problem, REFUSED) and not str(problem).startswith(CANNOT_WRITE):
                raise
            self._answered()
            self._say_refused(problem)
            raise RedisDown(self.breaker.retry_after) from problem
        self._answered()
        return answer

    def _answered(self) -> None:
        if self.breaker.succeeded():
            log.info("redis is back")

    def _say_refused(self, problem: Exception) -> None:
        """A line a minute, however many calls are refused."""
        now = time.monotonic()
        if now >= self._says_again_at:
            self._says_again_at = now + SAY_AGAIN_SECONDS
            log.warning("redis refuses calls", reason=type(problem).__name__)

    async def ping(self) -> None:
        """Raises RedisDown where Redis does not answer."""
        await self.run(lambda client: client.ping())

    async def close(self) -> None:
        """Let the connections go; a Redis that says nothing is not waited for."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._wait):
                await self.client.aclose()
