"""Statements that hot calls send: straight to the driver, in the transaction of their session.

SQLAlchemy takes several times as long to send a statement and to hand over its rows as the driver does. What is sent
here shares connection, transaction, time limits and errors with everything else in the session. Its values go as the
driver wants them: JSON as text that is ready.
"""

import re
from typing import Any, Final, Generic, NoReturn, TypeVar

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import make_transient_to_detached
from sqlalchemy.orm.attributes import instance_dict, set_committed_value
from sqlalchemy.orm.util import identity_key

from app.db.base import Base

M = TypeVar("M", bound=Base)

_NAME: Final = re.compile(r"(?<![:'\w]):([a-z_]\w*)")


class Statement:
    """One statement with its values under :names, as in text()."""

    def __init__(self, sql: str) -> None:
        self._names: list[str] = []
        self._sql = _NAME.sub(self._number, sql)

    def _number(self, found: re.Match[str]) -> str:
        if found[1] not in self._names:
            self._names.append(found[1])
        return f"${self._names.index(found[1]) + 1}"

    async def rows(self, session: AsyncSession, **values: Any) -> list[asyncpg.Record]:
        """All rows. Raises DBAPIError as the session itself does."""
        connection = await session.connection()
        sync = connection.sync_connection
        assert sync is not None
        adapted: Any = sync.connection.dbapi_connection
        try:
            if adapted._transaction is None:  # noqa: SLF001 - SQLAlchemy begins with its own first statement
                await adapted._start_transaction()  # noqa: SLF001 - and has no other name for it
            found: list[asyncpg.Record] = await adapted.driver_connection.fetch(
                self._sql, *[values[name] for name in self._names]
            )
        except BaseException as problem:  # noqa: BLE001 - _fail raises it, a cancellation too
            await connection.run_sync(_fail, adapted, self._sql, problem)
        return found

    async def row(self, session: AsyncSession, **values: Any) -> asyncpg.Record | None:
        """The first row, None where there is none."""
        found = await self.rows(session, **values)
        return found[0] if found else None

    async def one(self, session: AsyncSession, **values: Any) -> asyncpg.Record:
        """The row of a statement that always has one."""
        (found,) = await self.rows(session, **values)
        return found


class Load(Generic[M]):
    """The rows of a model that a condition names, as objects of the session."""

    def __init__(self, model: type[M], where: str) -> None:
        self._model = model
        columns = ", ".join(column.name for column in model.__table__.columns)
        self._statement = Statement(f"SELECT {columns} FROM {model.__tablename__} WHERE {where}")  # noqa: S608 - our own

    async def first(self, session: AsyncSession, **values: Any) -> M | None:
        """The first of them, as it is now, whatever the session knew of it; None where there is none."""
        row = await self._statement.row(session, **values)
        if row is None:
            return None
        key = identity_key(self._model, row["id"])
        known = session.sync_session.identity_map.get(key)
        if known is None:
            found = self._model()
            instance_dict(found).update(row)
            adopt(session, found)
            return found
        for name, value in row.items():
            set_committed_value(known, name, value)
        return known


def _fail(connection: Connection, adapted: Any, sql: str, problem: BaseException) -> NoReturn:
    """Fail as SQLAlchemy does, so that a lost connection, a lock that was waited for in vain and a violated
    constraint are told apart in one way, whoever sent the statement. A call that is broken off leaves a connection
    behind that nobody knows the state of; SQLAlchemy drops it.
    """
    try:
        adapted._handle_exception(problem)  # noqa: SLF001 - the driver's error in the terms of the DBAPI
    except BaseException as translated:  # noqa: BLE001 - it goes on
        connection._handle_dbapi_exception(translated, sql, None, None, None)  # noqa: SLF001 - as above
    raise problem


def adopt(session: AsyncSession, instance: Base) -> None:
    """Let the session know a row that a statement has just written, as if it had read it.

    All of its columns must be set; what is changed afterwards is written with the next flush.
    """
    make_transient_to_detached(instance)
    session.add(instance)
