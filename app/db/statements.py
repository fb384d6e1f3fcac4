"""Statements that hot calls send: straight to the driver, in the transaction of their session.

SQLAlchemy takes several times as long to send a statement and to hand over its rows as the driver does. What is sent
here shares connection, transaction, time limits and errors with everything else in the session. Its values go as the
driver wants them: JSON as text that is ready.
"""

import re
from typing import Any, Final, Generic, NoReturn, TypeVar

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import make_transient_to_detached
from sqlalchemy.orm.attributes import instance_dict, instance_state, set_committed_value
from sqlalchemy.orm.util import identity_key

from app.db.base import Base
from app.db.session import as_json

M = TypeVar("M", bound=Base)

# In a session's info: its transaction and the connection of that.
_KNOWN: Final = "driver"
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
        adapted = await _adapted(session)
        try:
            if adapted._transaction is None:  # noqa: SLF001 - SQLAlchemy begins with its own first statement
                await adapted._start_transaction()  # noqa: SLF001 - and has no other name for it
            found: list[asyncpg.Record] = await adapted.driver_connection.fetch(
                self._sql, *[values[name] for name in self._names]
            )
        except BaseException as problem:  # noqa: BLE001 - _fail raises it, a cancellation too
            await (await session.connection()).run_sync(_fail, adapted, self._sql, problem)
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


async def _adapted(session: AsyncSession) -> Any:
    """SQLAlchemy's side of the driver's connection, asked for once in a transaction."""
    info, transaction = session.info, session.sync_session.get_transaction()
    known = info.get(_KNOWN)
    if known is not None and known[0] is transaction:
        return known[1]
    connection = (await session.connection()).sync_connection
    assert connection is not None
    adapted = connection.connection.dbapi_connection
    info[_KNOWN] = (session.sync_session.get_transaction(), adapted)
    return adapted


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


_UPDATES: Final[dict[tuple[type[Base], frozenset[str]], Statement]] = {}


async def write_changed(session: AsyncSession, *instances: Base) -> None:
    """Write now what was changed of objects that the session knows, as a flush would, for less.

    Nothing is sent where nothing was changed. The rows must be there: whoever calls has them locked.
    """
    for instance in instances:
        await _write_changed(session, instance)


async def _write_changed(session: AsyncSession, instance: Base) -> None:
    state, values = instance_state(instance), instance_dict(instance)
    changed = frozenset(name for name, before in state.committed_state.items() if before != values[name])
    if not changed:
        return
    columns = instance.__table__.columns
    statement = _UPDATES.get((type(instance), changed))
    if statement is None:
        assigned = ", ".join(f"{name} = :{name}" for name in sorted(changed))
        statement = _UPDATES[type(instance), changed] = Statement(
            f"UPDATE {instance.__tablename__} SET {assigned} WHERE id = :id RETURNING id"  # noqa: S608 - our own
        )
    await statement.one(
        session, id=values["id"], **{name: _sent(columns[name], values[name]) for name in changed}
    )
    state._commit_all(values, session.sync_session.identity_map)  # noqa: SLF001 - what a flush ends with


def _sent(column: Any, value: Any) -> Any:
    """A value as the driver wants it."""
    return as_json(value) if isinstance(column.type, JSONB) and value is not None else value
