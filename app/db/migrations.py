"""How the schema is moved, and where it stands: one migration at a time, all of a move or nothing of it."""

import asyncio
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.db.schema import SchemaNotCurrent, migrations_folder
from app.db.session import database_address

# Any number of ours that no other program takes in the same database.
LOCK: Final = 7_236_114_904
CONNECT_SECONDS: Final = 10
# Tables that are used in plain SQL only: the memory of the test payment service.
WITHOUT_MODEL: Final = frozenset({"test_charges"})


def alembic_config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    # env.py takes the connection from here; it never makes one of its own.
    config.attributes["connection"] = connection
    return config


def has_model(_object: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
    """Alembic's include_object: what is compared with the models."""
    return not (kind == "table" and name in WITHOUT_MODEL)


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def current_revision(database_url: str) -> str | None:
    """The revision that the database is at; None where nothing was ever migrated."""
    engine = create_async_engine(
        database_address(database_url).sqlalchemy,
        poolclass=NullPool,
        connect_args={"timeout": CONNECT_SECONDS},
    )
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_current)
    finally:
        await engine.dispose()


async def migrate(
    database_url: str, revision: str = "head", *, down: bool = False
) -> tuple[str | None, str | None]:
    """Move the schema and say from where to where. Two at once are safe: the second waits and finds it done.

    Everything happens in one transaction, so that a failing migration leaves the schema as it was. Raises
    SchemaNotCurrent where there is no way from where it stands to `revision`.
    """
    engine = create_async_engine(
        database_address(database_url).sqlalchemy,
        poolclass=NullPool,
        connect_args={
            "timeout": CONNECT_SECONDS,
            "server_settings": {"application_name": "storefront migrate", "lock_timeout": "30000"},
        },
    )

    def move(connection: Connection) -> tuple[str | None, str | None]:
        before = _current(connection)
        config = alembic_config(connection)
        try:
            if down:
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)
        except CommandError as problem:
            raise SchemaNotCurrent(_no_way(before, problem)) from problem
        return before, _current(connection)

    try:
        async with engine.begin() as connection:
            # No lock_timeout for this one: waiting for another migration is the point.
            await connection.execute(text("SET LOCAL lock_timeout = 0"))
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            await connection.execute(text("SET LOCAL lock_timeout = '30s'"))
            return await connection.run_sync(move)
    finally:
        await engine.dispose()


def _no_way(current: str | None, problem: CommandError) -> str:
    """Why the schema cannot be moved, to whoever asked for it."""
    if isinstance(problem.__cause__, ResolutionError) and problem.__cause__.argument == current:
        return (
            f"The database is at revision {current}, which this version does not have: a newer one was here. "
            "Start that one, or go back to a backup."
        )
    return f"The schema cannot be moved: {problem}"


def migrate_now(
    database_url: str, revision: str = "head", *, down: bool = False
) -> tuple[str | None, str | None]:
    """The same for callers outside an event loop."""
    return asyncio.run(migrate(database_url, revision, down=down))
