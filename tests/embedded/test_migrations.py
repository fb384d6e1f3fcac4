"""The migrations: up, all the way down and up again, safe to run twice at once, and equal to the models."""

import asyncio
import importlib
import importlib.util
import pkgutil
import shutil
import tempfile
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

import app.domain
from app.db.base import Base
from app.db.migrations import current_revision, has_model, migrate
from app.db.reads import Reads
from app.db.schema import SchemaNotCurrent, check_migrations, head_revision
from app.db.session import database_address
from app.integrations.embedded.postgres import start_postgres

OWN_OBJECTS = """
    SELECT format('%s.%s (%s)', n.nspname, c.relname, c.relkind) FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relname NOT LIKE 'alembic_version%'
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    UNION ALL
    SELECT format('%s.%s()', n.nspname, p.proname) FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    ORDER BY 1
"""


@pytest.fixture
def url():
    folder = Path(tempfile.mkdtemp(prefix="sf-"))
    with start_postgres(folder / "postgres") as server:
        yield server.url
    shutil.rmtree(folder)


async def run(url, work):
    engine = create_async_engine(database_address(url).sqlalchemy)
    try:
        async with engine.begin() as connection:
            return await work(connection)
    finally:
        await engine.dispose()


async def objects(url):
    async def listed(connection):
        return list((await connection.execute(text(OWN_OBJECTS))).scalars())

    return await run(url, listed)


async def test_the_schema_goes_up_down_and_up_again(url):
    assert await migrate(url) == (None, head_revision())
    first = await objects(url)
    assert first
    assert await migrate(url, "base", down=True) == (head_revision(), None)
    assert await objects(url) == []
    await migrate(url)
    assert await objects(url) == first
    assert await current_revision(url) == head_revision()


async def test_two_migrations_at_once_are_one(url):
    moves = await asyncio.gather(*(migrate(url) for _ in range(4)))
    assert sorted(moves, key=lambda move: move[0] or "") == [
        (None, head_revision()),
        *[(head_revision(), head_revision())] * 3,
    ]


async def test_the_models_are_what_the_migrations_make(url):
    for name in ("app.db.queue", "app.db.idempotency"):
        importlib.import_module(name)
    for feature in pkgutil.iter_modules(app.domain.__path__, "app.domain."):
        if importlib.util.find_spec(f"{feature.name}.models"):
            importlib.import_module(f"{feature.name}.models")
    await migrate(url)

    async def differences(connection):
        options = {"compare_type": True, "include_object": has_model}
        return await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts=options), Base.metadata)
        )

    assert await run(url, differences) == []


async def test_readiness_asks_for_this_very_revision(url):
    reads = Reads(url, size=1)
    try:
        await migrate(url)
        await check_migrations(reads)
        await migrate(url, "-1", down=True)
        with pytest.raises(SchemaNotCurrent):
            await check_migrations(reads)
    finally:
        await reads.close()


async def test_a_schema_of_a_newer_version_and_an_unknown_revision_are_told_in_a_sentence(url):
    await migrate(url)
    with pytest.raises(
        SchemaNotCurrent, match="cannot be moved: Can't locate revision identified by 'nowhere'"
    ):
        await migrate(url, "nowhere", down=True)
    await run(
        url, lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    )
    for way in ({}, {"revision": "base", "down": True}):
        with pytest.raises(SchemaNotCurrent, match="at revision 9999, which this version does not have"):
            await migrate(url, **way)
