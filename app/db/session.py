"""The ORM's way to the database: one engine, and one session with one transaction per request or job."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
import msgspec
from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from app.db.resting_pool import MADE_AT, REST_SECONDS, USED_AT, RestingPool
from app.db.shop_session import AfterCommit, ShopSession

Sessions = async_sessionmaker[AsyncSession]

# What each connection brings. Times in milliseconds; a shopper never waits longer than the first of them.
LIMITS: Final = {
    "statement_timeout": "5000",
    "lock_timeout": "2000",
    "idle_in_transaction_session_timeout": "10000",
    "jit": "off",
    "timezone": "UTC",
    # Whatever the server is set to: each statement sees what was committed before it, as whoever waited for a lock must.
    "default_transaction_isolation": "read committed",
}
POOL_WAIT_SECONDS: Final = 2.0
CONNECT_SECONDS: Final = 2.0
RECYCLE_SECONDS: Final = 1800


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is, in the two spellings that its users need."""

    sqlalchemy: str
    asyncpg: str


def database_address(url: str) -> Address:
    """Both spellings of a postgresql:// URL; a socket folder may stand in ?host=."""
    parts = urlsplit(url)
    query = [(key, value) for key, value in parse_qsl(parts.query) if key != "sslrootcert"]
    # The empty path segment keeps `postgresql:///name` whole: urlunsplit drops an empty authority.
    plain = urlunsplit(("postgresql", parts.netloc or "", parts.path, parts.query, ""))
    if not parts.netloc:
        plain = plain.replace("postgresql:", "postgresql://", 1) if "//" not in plain else plain
    spelled = f"postgresql+asyncpg://{parts.netloc}{parts.path}"
    return Address(sqlalchemy=f"{spelled}?{urlencode(query)}" if query else spelled, asyncpg=plain)


async def connect(*args: Any, **options: Any) -> Any:
    """Connect as asyncpg does, for every pool: whatever keeps us from reaching the server is a ConnectionError.

    A socket that a stopped server took away would be a missing file, a name that is not known yet an error of
    look-up: to a caller all of it means that the database is away.
    """
    try:
        return await asyncpg.connect(*args, **options)
    except (ConnectionError, TimeoutError):
        raise
    except OSError as problem:
        raise ConnectionError("the database server cannot be reached") from problem


def create_engine(
    url: str,
    *,
    pool_size: int,
    application_name: str = "storefront",
    plan_once: bool = False,
    by_key: bool = False,
) -> AsyncEngine:
    """An engine whose connections carry our time limits and are looked at before each use.

    `plan_once` is for the short statements of requests, which find rows by key whatever the values are:
    planning a cart's prices anew takes PostgreSQL five times as long as reading them. Bulk work, whose
    best plan depends on how much there is, goes without.

    `by_key` lets nothing be read whole that an index leads to: a plan that was made while a table was empty is
    kept when it is full, and the few rows of a basket are worth no look at all of a small shop's stock.
    """
    plans = {"plan_cache_mode": "force_generic_plan"} if plan_once else {}
    if by_key:
        plans["enable_seqscan"] = "off"
    engine = create_async_engine(
        database_address(url).sqlalchemy,
        poolclass=RestingPool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        pool_recycle=RECYCLE_SECONDS,
        hide_parameters=True,  # what shoppers sent stays out of logs
        json_serializer=as_json,
        json_deserializer=msgspec.json.decode,
        connect_args={
            "async_creator_fn": connect,
            "timeout": CONNECT_SECONDS,
            "server_settings": {**LIMITS, **plans, "application_name": application_name},
        },
    )
    event.listen(engine.sync_engine, "connect", _note_birth)
    event.listen(engine.sync_engine, "checkin", _note_use)
    event.listen(engine.sync_engine, "checkout", partial(_refuse_lost, engine.dialect))
    return engine


def as_json(value: Any) -> str:
    """A value for a JSON column, as the driver wants it."""
    return msgspec.json.encode(value).decode()


def _note_birth(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[MADE_AT] = time.monotonic()


def _note_use(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[USED_AT] = time.monotonic()


def _refuse_lost(dialect: Any, connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
    """Let the pool replace a connection whose server is gone.

    The driver is told when the server closes a socket, so looking is enough while one is in steady use;
    SQLAlchemy's ping before each use costs three round trips. After a rest it is asked all the same:
    networks drop silent connections without a word.
    """
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError
    rested = time.monotonic() - record.info.get(USED_AT, time.monotonic())
    if rested > REST_SECONDS:
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as problem:
            raise InvalidatePoolError from problem


class _OwnSessions(async_sessionmaker[AsyncSession]):
    """Ours know their options: SQLAlchemy's own goes through them one by one for each session."""

    def __call__(self, **options: Any) -> AsyncSession:
        return self.class_(**{**self.kw, **options})


def create_sessions(
    engine: AsyncEngine, *, committed: Callable[[Any], None] | None = None, bell: AfterCommit | None = None
) -> Sessions:
    """Sessions of this engine; `committed` is called with each after its transaction took effect.

    With a `bell`, to be rung then, jobs are not told of within the transaction.
    """

    class OwnSession(Session):
        pass

    if committed is not None:

        def tell(session: Session) -> None:
            # SQLAlchemy says it of a savepoint, too, which nobody else sees anything of yet.
            if not session.in_nested_transaction():
                committed(session)

        event.listen(OwnSession, "after_commit", tell)
    return _OwnSessions(
        engine,
        class_=ShopSession,
        sync_session_class=OwnSession,
        committed=committed,
        bell=bell,
        expire_on_commit=False,
        autoflush=False,
    )


@asynccontextmanager
async def transaction(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """One session, one transaction: committed at the end, rolled back on any exception."""
    async with sessions() as session:
        yield session
        await session.commit()


async def end_session(session: AsyncSession) -> None:
    """Close a session, rolling back what is open. After its COMMIT it holds nothing, and closing it costs a task."""
    if session.in_transaction():
        async with session:
            pass


async def raw_connection(session: AsyncSession) -> Any:
    """The asyncpg connection of a session that has begun, for COPY and the like.

    The BEGIN is sent first: SQLAlchemy begins lazily, and a statement on the raw connection before it
    would commit at once and survive a rollback.
    """
    connection = await session.connection()
    await connection.exec_driver_sql("SELECT 1")
    raw = await connection.get_raw_connection()
    return raw.driver_connection
