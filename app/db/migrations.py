"""Where the schema stands and how it is moved: one migration at a time, all of a move or nothing of it."""

import asyncio
import functools
import os
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.db.reads import Reads
from app.db.session import database_address

# Any number of ours that no other program takes in the same database.
LOCK: Final = 7_236_114_904
CONNECT_SECONDS: Final = 10
# Tables that are used in plain SQL only: the memory of the test payment service.
WITHOUT_MODEL: Final = frozenset({"test_charges"})


def migrations_folder() -> Path:
    """The folder named by STOREFRONT_MIGRATIONS, else the one beside the package."""
    named = os.environ.get("STOREFRONT_MIGRATIONS", "").strip()
    return Path(named) if named else Path(__file__).resolve().parents[2] / "migrations"


def alembic_config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    # env.py takes the connection from here; it never makes one of its own.
    config.attributes["connection"] = connection
    return config


class SchemaNotCurrent(Exception):  # noqa: N818 - a state, said as one
    """The database is at another revision than the code."""


@functools.cache
def head_revision() -> str | None:
    """The revision that this code was written for."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


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


async def check_migrations(reads: Reads) -> None:
    """Raises SchemaNotCurrent, or what the database says where nothing was ever migrated."""
    current = await reads.fetchval("SELECT version_num FROM alembic_version")
    if current != head_revision():
        raise SchemaNotCurrent(f"the schema is at {current}, the code at {head_revision()}")


async def migrate(
    database_url: str, revision: str = "head", *, down: bool = False
) -> tuple[str | None, str | None]:
    """Move the schema and say from where to where. Two at once are safe: the second waits and finds it done.

    Everything happens in one transaction, so that a failing migration leaves the schema as it was.
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
        if down:
            command.downgrade(config, revision)
        else:
            command.upgrade(config, revision)
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


def migrate_now(
    database_url: str, revision: str = "head", *, down: bool = False
) -> tuple[str | None, str | None]:
    """The same for callers outside an event loop."""
    return asyncio.run(migrate(database_url, revision, down=down))
