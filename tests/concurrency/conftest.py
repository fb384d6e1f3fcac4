"""Two real server processes on one database, as in production, and many shoppers at once."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import httpx
import pytest

from app.db.audit import run_audit
from app.db.reads import Reads
from app.db.session import Sessions
from app.domain.stores.models import Store
from app.kit.clock import utc_now
from tests.api.live import free_port
from tests.canaries import SECRET_KEY
from tests.shop import Guest, open_till

READY_SECONDS = 20


@pytest.fixture(scope="session")
async def servers(database_url: str, redis_url: str, server_folder) -> AsyncIterator[str]:
    """`storefront serve` with two processes; its address."""
    port = free_port()
    environ = {
        **os.environ,
        "PORT": str(port),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "STOREFRONT_WORKERS": "2",
        "STOREFRONT_LIMITS": "off",
        "STOREFRONT_SECRET_KEY": SECRET_KEY,
        "STOREFRONT_DATA_DIR": str(server_folder / "shop"),
        "LOG_LEVEL": "error",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "app.cli", "serve", env=environ)
    address = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=address) as client, asyncio.timeout(READY_SECONDS):
            while not await _is_ready(client):
                assert process.returncode is None, "the server ended before it answered"
                await asyncio.sleep(0.05)  # the server has no other sign that it is there
        yield address
    finally:
        process.terminate()
        await process.wait()


async def _is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/ready")).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
async def crowd(servers: str, sessions: Sessions, reads: Reads, store: Store):
    """Makes guests of one store, each with connections of a shared, wide pool; in the end all must add up."""
    option = await open_till(sessions, store)
    limits = httpx.Limits(max_connections=250, max_keepalive_connections=250)
    async with httpx.AsyncClient(base_url=servers, timeout=60, limits=limits) as client:
        yield lambda number: [
            Guest(client, store, option, email=f"guest{index}@example.com") for index in range(number)
        ]
    assert await run_audit(reads, utc_now(), store_id=store.id) == []
