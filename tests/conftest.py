"""What tests stand on: a real PostgreSQL and Redis, a schema from the migrations, a store of one's own.

Databases are made from a migrated template, one per test process. Each test makes the stores it needs,
so tests never see each other's rows and nothing has to be cleaned up.
"""

import asyncio
import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from app.db import reads as reads_module
from app.db import session as session_module
from app.db import versions as versions_module
from app.db.migrations import migrate
from app.db.reads import Reads
from app.db.session import Sessions, create_engine, create_sessions, database_address, transaction
from app.domain.stores.models import Store
from app.domain.stores.service import create_store
from app.integrations.embedded.postgres import start_postgres
from app.integrations.embedded.redis import start_redis
from tests.canaries import WATCH, watched

pytest_plugins = ["tests.figures"]

# What thousands of tests make lives on; to look through all of it for rubbish as often as Python would by itself
# takes a tenth of the time of a run.
gc.set_threshold(10_000, 10, 10)


def pytest_collection_finish() -> None:
    """Leave alone what is there for good, as the shop's own processes do."""
    gc.collect()
    gc.freeze()


# Nothing of a test outlives its machine: a commit need not wait for the disk.
FORGETFUL = {"fsync": "off", "full_page_writes": "off"}
SHARED_DATA = Path(os.environ.get("STOREFRONT_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session", autouse=True)
def connections_take_their_time() -> Iterator[None]:
    """A shop gives a connection two seconds; a machine that tests two things at once may need more for the first."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (session_module, reads_module, versions_module):
            patch.setattr(module, "CONNECT_SECONDS", 20.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_secret_gets_out() -> Iterator[None]:
    """Marks every secret while tests run, and fails in the end where a mark was seen outside its place."""
    with watched() as watch:
        yield
    if leaks := watch.report():
        pytest.fail(leaks, pytrace=False)


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="storefront-tests-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def database_server(server_folder: Path) -> Iterator[str]:
    """TEST_DATABASE_URL, or a PostgreSQL of our own for this process."""
    named = os.environ.get("TEST_DATABASE_URL")
    if named:
        yield named
        asyncio.run(drop_template(named))
        return
    server = start_postgres(server_folder / "postgres", options=FORGETFUL)
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def redis_url(server_folder: Path) -> Iterator[str]:
    """TEST_REDIS_URL, or a Redis of our own for this process."""
    named = os.environ.get("TEST_REDIS_URL")
    if named:
        yield named
        return
    server = start_redis(server_folder / "redis")
    yield server.url
    server.stop()


def url_of(server: str, database: str) -> str:
    base, _, query = server.partition("?")
    return f"{base.rpartition('/')[0]}/{database}" + (f"?{query}" if query else "")


# The database of each server that has been migrated, for others to be copied from: that takes a fifth of the time.
_templates: dict[str, str] = {}
# One that somebody else has made on the server of TEST_DATABASE_URL.
NAMED_TEMPLATE = "TEST_DATABASE_TEMPLATE"


async def make_template(server: str, admin: asyncpg.Connection) -> str:
    name = f"template_{uuid4().hex}"
    await admin.execute(f'CREATE DATABASE "{name}"')
    await migrate(url_of(server, name))
    return name


async def template_of(server: str, admin: asyncpg.Connection) -> str:
    if named := os.environ.get(NAMED_TEMPLATE):
        return named
    if server not in _templates:
        _templates[server] = await make_template(server, admin)
    return _templates[server]


async def drop_template(server: str) -> None:
    if name := _templates.pop(server, None):
        admin = await asyncpg.connect(database_address(server).asyncpg)
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()


@asynccontextmanager
async def fresh_database(server: str) -> AsyncIterator[str]:
    """A migrated database of its own, gone afterwards."""
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(database_address(server).asyncpg)
    await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{await template_of(server, admin)}"')
    url = url_of(server, name)
    yield url
    own = await asyncpg.connect(database_address(url).asyncpg)
    await WATCH.read_tables(own)
    await own.close()
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


@pytest.fixture(scope="session")
async def database_url(database_server: str) -> AsyncIterator[str]:
    """A migrated database for this test process."""
    async with fresh_database(database_server) as url:
        yield url


@pytest.fixture
async def empty_sessions(database_server: str) -> AsyncIterator[Sessions]:
    """Sessions of a database without any row."""
    async with fresh_database(database_server) as url:
        engine = create_engine(url, pool_size=5)
        yield create_sessions(engine)
        await engine.dispose()


@pytest.fixture(scope="session")
async def sessions(database_url: str) -> AsyncIterator[Sessions]:
    engine = create_engine(database_url, pool_size=20)
    yield create_sessions(engine)
    await engine.dispose()


@pytest.fixture(scope="session")
async def reads(database_url: str) -> AsyncIterator[Reads]:
    pool = Reads(database_url, size=5)
    yield pool
    await pool.close()


@pytest.fixture
async def store(sessions: Sessions) -> Store:
    """A store of the test's own, in USD."""
    return await make_store(sessions)


async def make_store(sessions: Sessions, *, currency: str = "USD") -> Store:
    async with transaction(sessions) as session:
        return await create_store(
            session, code=f"store-{uuid4().hex[:12]}", name="Test store", currency=currency
        )
