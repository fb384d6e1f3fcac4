"""Statements that hot calls send: straight to the driver, in the transaction of their session.

SQLAlchemy takes several times as long to send a statement and to hand over its rows as the driver does. What is sent
here shares connection, transaction, time limits and errors with everything else in the session. Its values go as the
driver wants them: JSON as text that is ready.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Generic, NamedTuple, TypeVar

import asyncpg
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import configure_mappers
from sqlalchemy.orm.attributes import instance_dict, instance_state, set_committed_value

from app.db.base import Base
from app.db.retries import LostBeforeCommitError, OvertakenError, telling_if_lost
from app.db.session import as_json
from app.db.shop_session import ShopSession, shop_session

M = TypeVar("M", bound=Base)

# Of a row that was looked at in a version: nobody has written it since.
STILL: Final = "xmin = CAST(:version AS xid)"
_NAME: Final = re.compile(r"(?<![:'\w]):([a-z_]\w*)")


def only_checked(column: str) -> str:
    """A column whose value is compared and never searched by, since another one names the row.

    A plan outlives the table that it was made for. Made while there were but a few rows, when every index looks as
    good as another, one that finds a row by its store goes on to walk through all rows of the store.
    """
    return f"({column} + 0)"


class Statement:
    """One statement with its values under :names, as in text().

    looks: it changes nothing and locks nothing, so it is sent without a transaction where none has begun.
    """

    def __init__(self, sql: str, *, looks: bool = False) -> None:
        self._names: list[str] = []
        self._sql = _NAME.sub(self._number, sql)
        self._looks = looks

    def _number(self, found: re.Match[str]) -> str:
        if found[1] not in self._names:
            self._names.append(found[1])
        return f"${self._names.index(found[1]) + 1}"

    async def rows(self, session: AsyncSession, **values: Any) -> list[asyncpg.Record]:
        """All rows. Raises DBAPIError as the session itself does."""
        ours = shop_session(session)
        driver = ours.begun or await (ours.lease_driver() if self._looks else ours.begin_at_driver())
        return await self._send(ours, driver, values)

    async def _send(self, ours: ShopSession, driver: Any, values: Mapping[str, Any]) -> list[asyncpg.Record]:
        try:
            found: list[asyncpg.Record] = await driver.fetch(
                self._sql, *[values[name] for name in self._names]
            )
        except BaseException as problem:  # noqa: BLE001 - fail raises it, a cancellation too
            await ours.fail(self._sql, problem)
        return found

    async def row(self, session: AsyncSession, **values: Any) -> asyncpg.Record | None:
        """The first row, None where there is none."""
        found = await self.rows(session, **values)
        return found[0] if found else None

    async def one(self, session: AsyncSession, **values: Any) -> asyncpg.Record:
        """The row of a statement that always has one."""
        (found,) = await self.rows(session, **values)
        return found

    async def last(self, session: AsyncSession, **values: Any) -> asyncpg.Record | None:
        """The first row of what is written last before the commit, None where there is none.

        Where no transaction has begun, the statement is one by itself and has taken effect when this returns. Raises
        DBAPIError, and OutcomeUnknownError where the connection is lost under it, as a COMMIT does; of one that was gone
        before that, LostBeforeCommitError.
        """
        ours = shop_session(session)
        if ours.has_begun():
            return await self.row(session, **values)
        driver = await ours.lease_driver()
        if driver.is_closed():
            raise LostBeforeCommitError
        with telling_if_lost():
            found = await self._send(ours, driver, values)
        return found[0] if found else None


class Load(Generic[M]):
    """The rows of a model that a condition names, as objects of the session."""

    def __init__(self, model: type[M], where: str, *, looks: bool = False) -> None:
        self._model = model
        columns = ", ".join(column.name for column in model.__table__.columns)
        self._statement = Statement(
            f"SELECT {columns} FROM {model.__tablename__} WHERE {where}",  # noqa: S608 - our own
            looks=looks,
        )

    async def first(self, session: AsyncSession, **values: Any) -> M | None:
        """The first of them, as it is now, whatever the session knew of it; None where there is none."""
        row = await self._statement.row(session, **values)
        return None if row is None else take_up(session, self._model, row)


def take_up(session: AsyncSession, model: type[M], row: Mapping[str, Any]) -> M:
    """The object of a row that was just read, with all its columns, as it is now, whatever the session knew of it."""
    known: M | None = shop_session(session).find_known(_key(model, row["id"]))
    if known is None:
        return adopt(session, row_of(model, row))
    for name, value in row.items():
        set_committed_value(known, name, value)
    return known


def _key(model: type[Base], id: int) -> Any:  # noqa: A002 - as the column is called
    return model.__mapper__.identity_key_from_primary_key((id,))


def row_of(model: type[M], values: Mapping[str, Any]) -> M:
    """An object with these columns, as if it had been read, that no session knows.

    The model's own constructor takes twenty times as long: it asks for each column whether anybody listens.
    """
    mapper = model.__mapper__
    if not mapper.configured:  # nobody in this process has used the ORM yet
        configure_mappers()
    made: M = mapper.class_manager.new_instance()
    instance_dict(made).update(values)
    return made


def adopt(session: AsyncSession, instance: M) -> M:
    """Let the session know a row that a statement has just read or written; the instance.

    All of its columns must be set; what is changed afterwards is written by `write_changed`, or at the commit.
    """
    state, values = instance_state(instance), instance_dict(instance)
    state._commit_all(values)  # noqa: SLF001 - as it is in the database
    state.key = _key(type(instance), values["id"])
    shop_session(session).adopt(state.key, instance)
    return instance


async def begin_together(session: AsyncSession) -> None:
    """Begin the transaction now: what follows takes effect together, and what is read to be changed is locked."""
    await shop_session(session).begin_at_driver()


def may_only_look(session: AsyncSession) -> bool:
    """Whether a row that is about to be changed may be read without its lock: see `look_at`.

    Not where a transaction has begun already, nor where the last try of this one was overtaken.
    """
    ours = shop_session(session)
    return not (ours.was_overtaken or ours.has_begun())


def look_at(session: AsyncSession, model: type[M], row: Mapping[str, Any], *, version: int) -> M:
    """The object of a row that was read without its lock, in a version (xmin), to be written by the next statement.

    A call that changes one row needs no transaction then: `write_changed` writes it where it still is in its version,
    or else the call is run again and locks it. The ORM never knows of the object.
    """
    seen = row_of(model, row)
    instance_state(seen)._commit_all(instance_dict(seen))  # noqa: SLF001 - as it is in the database
    shop_session(session).looked_at[seen] = version
    return seen


def version_of(session: AsyncSession, instance: Base) -> int | None:
    """In which version an object was looked at; None where its row is locked."""
    return shop_session(session).looked_at.get(instance)


async def lock_looked_at(session: AsyncSession, instance: Base) -> None:
    """Lock the row of an object that may have been only looked at and was not changed since.

    Raises OvertakenError where it is another by now, or somebody else has it.
    """
    version = version_of(session, instance)
    if version is None:
        return
    lock = _LOCKS.get(type(instance))
    if lock is None:
        table = type(instance).__tablename__
        lock = _LOCKS[type(instance)] = Statement(
            f"SELECT id FROM {table} WHERE id = :id AND {STILL} FOR UPDATE SKIP LOCKED"  # noqa: S608 - our own
        )
    if await lock.row(session, id=instance_dict(instance)["id"], version=version) is None:
        raise OvertakenError
    del shop_session(session).looked_at[instance]
    adopt(session, instance)


_LOCKS: Final[dict[type[Base], Statement]] = {}


class _Update(NamedTuple):
    """The statement that writes some columns, and which of them the driver wants as text of JSON."""

    statement: Statement
    as_json: tuple[str, ...]


_UPDATES: Final[dict[tuple[type[Base], frozenset[str], bool], _Update]] = {}


async def write_changed(session: AsyncSession, *instances: Base) -> None:
    """Write now what was changed of objects that the session knows, as a flush would, for less.

    Nothing is sent where nothing was changed. The rows must be there: whoever calls has them locked, or has looked
    at them only. Raises OvertakenError where one of these is another by now.
    """
    for instance in instances:
        await _write_changed(session, instance)


async def _write_changed(session: AsyncSession, instance: Base) -> None:
    state, values = instance_state(instance), instance_dict(instance)
    changed = frozenset(name for name, before in state.committed_state.items() if before != values[name])
    if not changed:
        return
    version = version_of(session, instance)
    kind = (type(instance), changed, version is not None)
    known = _UPDATES.get(kind)
    if known is None:
        known = _UPDATES[kind] = _update_of(*kind)
    sent = {name: values[name] for name in changed}
    for name in known.as_json:
        if sent[name] is not None:
            sent[name] = as_json(sent[name])
    if version is None:
        await known.statement.one(session, id=values["id"], **sent)
    elif await known.statement.last(session, id=values["id"], version=version, **sent) is None:
        raise OvertakenError
    note_written(session, instance)


def note_written(session: AsyncSession, instance: Base) -> None:
    """Let the session know that a statement has just written what was changed of an object."""
    state, values = instance_state(instance), instance_dict(instance)
    ours = shop_session(session)
    if not (ours.sleeps or instance in ours.looked_at):
        ours.sync_session._register_altered([state])  # noqa: SLF001 - a savepoint that is taken back reads it anew
    state._commit_all(values, None if ours.sleeps else ours.identity_map)  # noqa: SLF001 - what a flush ends with


def _update_of(model: type[Base], changed: frozenset[str], looked_at: bool) -> _Update:
    assigned = ", ".join(f"{name} = :{name}" for name in sorted(changed))
    which = f"id = :id AND {STILL}" if looked_at else "id = :id"
    columns = model.__table__.columns
    return _Update(
        Statement(f"UPDATE {model.__tablename__} SET {assigned} WHERE {which} RETURNING id"),  # noqa: S608 - our own
        tuple(name for name in changed if isinstance(columns[name].type, JSONB)),
    )
