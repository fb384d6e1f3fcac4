"""A session that speaks to the driver alone until somebody asks for the ORM.

Most calls that matter send a handful of statements of their own (`Statement`), and SQLAlchemy's session around them
takes longer than all of these together. So the session has its connection from the engine's pool and begins its
transaction at the driver; the ORM is made when it is first used, and goes on in the same transaction.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NoReturn, Protocol

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util.concurrency import greenlet_spawn

from app.db.base import Base
from app.db.resting_pool import RestingPool

# What AsyncSession calls the ORM's session: it is made when one of them is first looked for.
_ORM: Final = frozenset({"sync_session", "_proxied"})
BEGIN: Final = "BEGIN"


class AfterCommit(Protocol):
    """Who tells of jobs after a commit (`bell.Bell`)."""

    def note(self, session: AsyncSession, kinds: Iterable[str]) -> None:
        """Note what the transaction of a session has queued."""


class ShopSession(AsyncSession):
    """An AsyncSession as everybody knows it, which sleeps until it is used as one.

    While it sleeps it holds the connection itself (`_lease`), and the objects that it knows (`_known`): the ORM
    takes both over when it wakes, what was changed of the objects included.
    """

    def __init__(
        self,
        bind: AsyncEngine,
        *,
        sync_session_class: type[Session],
        committed: Callable[[Any], None] | None = None,
        bell: AfterCommit | None = None,
        info: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        # AsyncSession's own would make the ORM's session at once. These are what the rest of it looks at.
        self._async_bind, self._async_binds = bind, {}
        self.sync_session_class = sync_session_class
        self._engine = bind.sync_engine
        self._options = options
        self._info = dict(info or {})
        self._committed = committed
        # Who tells of jobs after a commit; None where the transaction does.
        self.bell = bell
        # Whether nobody has asked for the ORM yet.
        self.sleeps = True
        # The connection that is held, and the pool that it is of.
        self._lease: PoolProxiedConnection | None = None
        self._pool: Any = None
        # While it sleeps and its transaction has begun: the driver's connection.
        self.begun: Any = None
        self._known: dict[Any, Base] = {}
        # Objects whose rows were read without a lock, and in which version: the ORM is not to know them.
        self.looked_at: dict[Base, int] = {}
        # Whether somebody changed such a row before this could: the next try locks it.
        self.was_overtaken = False
        # Awake: the ORM's transaction, savepoint included, and SQLAlchemy's side of the driver's connection in it.
        self._in_orm: tuple[Any, Any] = (None, None)

    def __getattr__(self, name: str) -> Any:
        if name not in _ORM:
            raise AttributeError(name)
        orm = self.sync_session_class(bind=self._engine, **self._options)
        orm.info = self._info
        self.sleeps, self.begun = False, None
        if self._lease is not None:
            orm.bind = Connection(self._engine, connection=self._lease)
        for known in self._known.values():
            orm.add(known)
        self._known.clear()
        self.sync_session = self._proxied = self._assign_proxied(orm)
        return orm

    @property
    def info(self) -> dict[Any, Any]:
        """What whoever made the session noted about it."""
        return self._info

    def in_transaction(self) -> bool:
        """Whether there is something to commit or to roll back."""
        return self._lease is not None or (not self.sleeps and super().in_transaction())

    def has_begun(self) -> bool:
        """Whether what is sent is part of a transaction; of one that the ORM sees to, always."""
        return self.begun is not None or not self.sleeps

    def is_lost(self) -> bool:
        """Whether the connection that the session holds is known to be gone; true where it holds none."""
        driver = self.begun or (None if self._lease is None else self._lease.driver_connection)
        return driver is None or bool(driver.is_closed())

    def has_sent_all(self) -> bool:
        """Whether a commit needs nothing of the ORM: it sleeps, and what was changed of objects is written."""
        if not self.sleeps:
            return False
        for one in self._known.values():  # noqa: SIM110 - any() takes longer than there is to look at
            if instance_state(one).modified:
                return False
        return True

    def refuse_unwritten(self) -> None:
        """Raise ValueError where an object that was only looked at was changed and not written: nobody would."""
        for one in self.looked_at:
            if instance_state(one).modified:
                raise ValueError(f"{one} was changed and not written")

    def find_known(self, key: Any) -> Any:
        """The object of an identity key, None where the session does not know it."""
        return self._known.get(key) if self.sleeps else self.sync_session.identity_map.get(key)

    def adopt(self, key: Any, instance: Base) -> None:
        """Know an object of a row that is there."""
        if self.sleeps:
            self._known[key] = instance
        else:
            self.sync_session.add(instance)

    async def lease_driver(self) -> Any:
        """The driver's connection, in the transaction where one has begun; none is begun for it."""
        if self.has_begun():
            return self.begun or await self.begin_at_driver()
        return (await self._adapted()).driver_connection

    async def begin_at_driver(self) -> Any:
        """The driver's connection, with the transaction begun there: what is sent to it next is part of it."""
        adapted = await self._adapted()
        driver = adapted.driver_connection
        if adapted._transaction is None:  # noqa: SLF001 - SQLAlchemy begins with its own first statement
            try:
                await driver.execute(BEGIN)
            except BaseException as problem:  # noqa: BLE001 - fail raises it, a cancellation too
                await self.fail(BEGIN, problem)
            adapted._transaction = _Begun(driver)  # noqa: SLF001 - and ends what stands here
        if self.sleeps:
            self.begun = driver
        return driver

    async def _adapted(self) -> Any:
        """SQLAlchemy's side of the driver's connection."""
        if self.sleeps:
            lease: Any = self._lease
            if lease is None:
                self._pool = self._engine.pool
                lease = _take_from(self._pool) or await greenlet_spawn(_lease_from, self._engine)
                self._lease = lease
            return lease.dbapi_connection
        orm = self.sync_session
        known, adapted = self._in_orm
        current = orm.get_nested_transaction() or orm.get_transaction()
        if current is None or known is not current:
            # A savepoint is sent with the first statement in it.
            adapted = (await greenlet_spawn(orm.connection)).connection.dbapi_connection
            self._in_orm = (orm.get_nested_transaction() or orm.get_transaction(), adapted)
        return adapted

    async def fail(self, sql: str, problem: BaseException) -> NoReturn:
        """Fail as SQLAlchemy does, so that a lost connection, a lock that was waited for in vain and a violated
        constraint are told apart in one way, whoever sent the statement. A call that is broken off leaves a
        connection behind that nobody knows the state of; SQLAlchemy drops it.
        """
        adapted = await self._adapted()
        await (await self.connection()).run_sync(_fail, adapted, sql, problem)
        raise problem

    async def commit(self) -> None:
        """Commit; what was changed of objects is written before. Raises DBAPIError as the ORM does."""
        if self.has_sent_all():
            await self.commit_at_driver()
        else:
            await super().commit()
            self.put_back()

    async def commit_at_driver(self) -> None:
        """Commit where has_sent_all() holds."""
        if self._lease is None:
            return
        adapted: Any = self._lease.dbapi_connection
        try:
            if self.begun is not None:
                await _commit_at(self.begun)
        except BaseException as problem:  # noqa: BLE001 - fail raises it, a cancellation too
            adapted._transaction = None  # noqa: SLF001 - however it ended, there is nothing to roll back
            await self.fail("COMMIT", problem)
        adapted._transaction = None  # noqa: SLF001 - as in begin_at_driver
        self.put_back()
        if self._committed is not None:
            self._committed(self)

    def put_back(self) -> None:
        """Give back the connection of a transaction that has ended."""
        lease = self._end_lease()
        if lease is None or not lease.is_valid:
            return
        if self.sleeps and isinstance(self._pool, RestingPool):
            self._pool.rest(lease)
        else:
            lease.close()

    async def rollback(self) -> None:
        """Roll back; objects of the session are read anew when they are next looked at."""
        if self._lease is not None:
            await self.connection()  # the ORM knows of a transaction from its connection
        if not self.sleeps:
            await super().rollback()
        self.put_back()

    async def close(self) -> None:
        """Roll back what is open, give back the connection, and forget all objects."""
        if not self.sleeps:
            await super().close()
        await self._let_go(drop=self.is_lost())

    async def invalidate(self) -> None:
        """Close, and drop the connection: nobody knows what state it is in."""
        if not self.sleeps:
            await super().invalidate()
        await self._let_go(drop=True)

    async def _let_go(self, *, drop: bool) -> None:
        lease = self._end_lease()
        self._known.clear()
        self.looked_at.clear()
        if lease is not None and lease.is_valid:
            # The pool rolls back what it is given.
            await greenlet_spawn(lease.invalidate if drop else lease.close)

    def _end_lease(self) -> PoolProxiedConnection | None:
        lease, self._lease, self.begun = self._lease, None, None
        if lease is not None and not self.sleeps:
            self.sync_session.bind = self._engine
        return lease


class _Begun:
    """A transaction that was begun at the driver, as SQLAlchemy ends it; the driver's own asks ten times as much."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    async def commit(self) -> None:
        await _commit_at(self._driver)

    async def rollback(self) -> None:
        await self._driver.execute("ROLLBACK")


async def _commit_at(driver: Any) -> None:
    # PostgreSQL answers the COMMIT of a transaction that has failed without an error: it rolls back.
    if await driver.execute("COMMIT") != "COMMIT":
        raise asyncpg.InFailedSQLTransactionError("a statement had failed: nothing was committed")


def _take_from(pool: Any) -> PoolProxiedConnection | None:
    """A connection that rests, where the pool lets them."""
    return pool.take() if isinstance(pool, RestingPool) else None


def _lease_from(engine: Any) -> PoolProxiedConnection:
    """A connection of the engine's pool, with SQLAlchemy's words for why there is none."""
    try:
        lease: PoolProxiedConnection = engine.raw_connection()
    except engine.dialect.loaded_dbapi.Error as problem:
        Connection._handle_dbapi_exception_noconnection(problem, engine.dialect, engine)  # noqa: SLF001 - as Connection does
        raise
    return lease


def _fail(connection: Connection, adapted: Any, sql: str, problem: BaseException) -> NoReturn:
    try:
        adapted._handle_exception(problem)  # noqa: SLF001 - the driver's error in the terms of the DBAPI
    except BaseException as translated:  # noqa: BLE001 - it goes on
        connection._handle_dbapi_exception(translated, sql, None, None, None)  # noqa: SLF001 - SQLAlchemy's own way
    raise problem


def shop_session(session: AsyncSession) -> ShopSession:
    """The session as what `create_sessions` makes them to be."""
    assert isinstance(session, ShopSession)
    return session
