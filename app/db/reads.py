"""Hot reads: raw connections, prepared statements, no BEGIN, no ping, one retry on a lost connection."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import asyncpg

from app.db.session import CONNECT_SECONDS, LIMITS, POOL_WAIT_SECONDS, connect, database_address
from app.kit.errors import UNAVAILABLE, Unavailable

T = TypeVar("T")
# Each statement is planned once: with its many joins a page costs more to plan than to read, and its
# estimates lead PostgreSQL to plan it anew for every call (measured: 1.2 ms against 0.4 ms).
PLANS: Final = {"plan_cache_mode": "force_generic_plan"}
LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    ConnectionError,
)
# Networks drop silent connections without a word: one that rested for longer is not used again.
REST_SECONDS: Final = 300.0


class Reads:
    """Read-only statements outside any transaction. Safe to use from many tasks at once.

    Each statement sees what was committed before it began. Raises Unavailable where no connection
    is to be had within two seconds, or where the connection was lost twice.

    The connections are kept here and not in asyncpg's pool, whose timers, tasks and proxies around each use
    cost as much as a short read itself. A read leaves nothing behind in a session, so nothing is reset.
    """

    def __init__(self, url: str, *, size: int) -> None:
        self._url = url
        self._size = size
        self._closed = False
        # Every connection that is open or being opened counts; the last one used is used first.
        self._count = 0
        self._free: list[tuple[Any, float]] = []
        self._waiting: deque[asyncio.Future[Any]] = deque()

    async def open(self) -> None:
        """Ready for use; connections are opened when they are needed."""
        self._closed = False

    async def close(self) -> None:
        self._closed = True
        self._drop_free()

    async def fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        return await self._run(lambda connection: connection.fetch(sql, *args))

    async def fetchrow(self, sql: str, *args: Any) -> asyncpg.Record | None:
        return await self._run(lambda connection: connection.fetchrow(sql, *args))

    async def fetchval(self, sql: str, *args: Any) -> Any:
        return await self._run(lambda connection: connection.fetchval(sql, *args))

    async def _run(self, call: Callable[[Any], Awaitable[T]]) -> T:
        for last in (False, True):
            try:
                connection = await self._acquire()
                try:
                    found = await call(connection)
                except BaseException as problem:
                    self._end_use(connection, problem)
                    raise
                self._release(connection)
                return found
            except LOST as problem:
                if last:
                    raise Unavailable(UNAVAILABLE, "The database cannot be reached.") from problem
                self._drop_free()
            except TimeoutError as problem:
                raise Unavailable(UNAVAILABLE, "The database is busy.") from problem
        raise AssertionError("unreachable")

    async def _acquire(self) -> Any:
        while self._free:
            connection, since = self._free.pop()
            if not connection.is_closed() and time.monotonic() - since < REST_SECONDS:
                return connection
            self._drop(connection)
        if self._count < self._size:
            self._count += 1
            return await self._connect()
        turn: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(POOL_WAIT_SECONDS):
                connection = await turn
        except BaseException:
            # Given its turn in the very moment in which it gave up: the next in line has it.
            if turn.done() and not turn.cancelled():
                self._pass_on(turn.result())
            raise
        return connection if connection is not None else await self._connect()

    async def _connect(self) -> Any:
        """A new connection, for which the caller holds a place."""
        try:
            return await connect(
                database_address(self._url).asyncpg,
                timeout=CONNECT_SECONDS,
                server_settings={**LIMITS, **PLANS, "application_name": "storefront-reads"},
            )
        except BaseException:
            self._pass_on(None)
            raise

    def _release(self, connection: Any) -> None:
        if connection.is_closed() or self._closed:
            self._drop(connection)
        else:
            self._pass_on(connection)

    def _end_use(self, connection: Any, problem: BaseException) -> None:
        """After an error: a statement that was refused leaves its connection whole, anything else may not."""
        if isinstance(problem, asyncpg.PostgresError) and not isinstance(problem, LOST):
            self._release(connection)
        else:
            self._drop(connection)

    def _drop(self, connection: Any) -> None:
        connection.terminate()
        self._pass_on(None)

    def _drop_free(self) -> None:
        free, self._free = self._free, []
        for connection, _ in free:
            self._drop(connection)

    def _pass_on(self, connection: Any) -> None:
        """Give a connection, or with None the place of one, to whoever has waited longest, else keep it free."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        if connection is None:
            self._count -= 1
        else:
            self._free.append((connection, time.monotonic()))
