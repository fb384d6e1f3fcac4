"""Argon2id (RFC 9106) in one thread per process, with rests and a queue that ends: guessing must not eat the machine."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from app.integrations.threads import give_way
from app.kit.errors import UNAVAILABLE, Unavailable
from app.settings import Settings

T = TypeVar("T")

MOST_WAITING: Final = 32
RETRY_SECONDS: Final = 2
# So much of the time that a password took passes before the next one: a crowd that logs in has half a core of each
# process, and whoever reads the catalogue the rest. Nobody waits for it who logs in alone.
REST: Final = 1.0


class Argon2Hasher:
    """Implements the domain's PasswordHasher.

    The library lets go of the interpreter's lock while it works, so the one thread leaves the event loop free.
    """

    def __init__(
        self, *, memory_kib: int, time_cost: int, parallelism: int, most_waiting: int = MOST_WAITING
    ) -> None:
        self._library = PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism, type=Type.ID
        )
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passwords", initializer=give_way)
        self._most = most_waiting
        self._waiting = 0
        self._rests_until = 0.0
        self._dummy: str | None = None

    async def hash(self, password: str) -> str:
        return await self._run(partial(self._library.hash, password))

    async def verify(self, digest: str | None, password: str) -> bool:
        return await self._run(partial(self._verify, digest, password))

    def is_outdated(self, digest: str) -> bool:
        return self._library.check_needs_rehash(digest)

    def close(self) -> None:
        """Let the work in hand end and take no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _verify(self, digest: str | None, password: str) -> bool:
        if self._dummy is None:
            # Made at the first check whoever it is for, so that its cost tells nothing.
            self._dummy = self._library.hash("nobody's password")
        try:
            matches = self._library.verify(digest or self._dummy, password)
        except (VerificationError, InvalidHashError):
            return False
        return matches and digest is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._most:
            raise Unavailable(UNAVAILABLE, "Too many logins at once.", retry_after=RETRY_SECONDS)
        self._waiting += 1
        loop = asyncio.get_running_loop()
        doing = loop.run_in_executor(self._thread, self._after_rest, work)
        # Counted until the thread is done with it: whoever hangs up leaves the work behind.
        doing.add_done_callback(self._left)
        return await asyncio.shield(doing)

    def _after_rest(self, work: Callable[[], T]) -> T:
        time.sleep(max(0.0, self._rests_until - time.monotonic()))
        begun = time.monotonic()
        try:
            return work()
        finally:
            ended = time.monotonic()
            self._rests_until = ended + REST * (ended - begun)

    def _left(self, _: object) -> None:
        self._waiting -= 1


def create_hasher(settings: Settings) -> Argon2Hasher:
    return Argon2Hasher(
        memory_kib=settings.argon2_memory_kib,
        time_cost=settings.argon2_time_cost,
        parallelism=settings.argon2_parallelism,
    )
