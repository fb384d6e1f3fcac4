"""Two real server processes on one database, as in production, and many shoppers at once."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import httpx
import pytest

from app.api.dependencies import Shop
from app.db.audit import run_audit
from app.db.reads import Reads
from app.db.session import Sessions
from app.domain.stores.models import Store
from app.kit.clock import utc_now
from app.main import build_shop, close_shop
from app.settings import load_settings
from tests.api.live import free_port
from tests.canaries import SECRET_KEY
from tests.line import Line
from tests.shop import Guest, open_till
from tests.standins.stripe import StripeStandIn, stripe_stand_in

READY_SECONDS = 60  # machines that test are busy


@pytest.fixture(scope="session")
async def stripe() -> AsyncIterator[StripeStandIn]:
    """The company that takes the money, with books of its own."""
    async with stripe_stand_in() as stand_in:
        yield stand_in


@pytest.fixture(scope="session")
def shop_environ(database_url: str, redis_url: str, stripe: StripeStandIn, server_folder) -> dict[str, str]:
    """What servers, and the parts of a worker in the test itself, are configured with."""
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "STOREFRONT_REDIS_WAIT_SECONDS": "5",
        "STRIPE_SECRET_KEY": stripe.secret_key,
        "STRIPE_PUBLISHABLE_KEY": "pk_test_standin",
        "STRIPE_API_BASE": stripe.url,
        "STRIPE_WEBHOOK_SECRETS": stripe.webhook_secret,
        "STOREFRONT_WORKERS": "2",
        "STOREFRONT_LIMITS": "off",
        "STOREFRONT_SECRET_KEY": SECRET_KEY,
        "STOREFRONT_DATA_DIR": str(server_folder / "shop"),
        "LOG_LEVEL": "error",
    }


@pytest.fixture(scope="session")
async def servers(shop_environ: dict[str, str]) -> AsyncIterator[str]:
    """`storefront serve` with two processes; its address."""
    port = free_port()
    environ = {**os.environ, **shop_environ, "PORT": str(port)}
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
async def worker(shop_environ: dict[str, str]) -> AsyncIterator[Shop]:
    """The parts of a worker, whose clockwork a test turns by hand."""
    shop = build_shop(load_settings(shop_environ), application_name="storefront-worker")
    yield shop
    await close_shop(shop)


@pytest.fixture
async def crowd(servers: str, sessions: Sessions, reads: Reads, store: Store):
    """Makes guests of one store, each with a connection of their own; in the end all must add up."""
    option = await open_till(sessions, store)
    async with httpx.AsyncClient(base_url=servers, timeout=60, transport=Line(250)) as client:
        yield lambda number: [
            Guest(client, store, option, email=f"guest{index}@example.com") for index in range(number)
        ]
    assert await run_audit(reads, utc_now(), store_id=store.id) == []
