"""A running shop for the tests of this folder: one server per test process."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.db.session import Sessions
from app.domain.stores.models import Store
from tests.shop import Guest, open_till, running_shop, settings_for


@pytest.fixture(scope="session")
async def client(database_url: str, redis_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with running_shop(settings_for(database_url, redis_url)) as made:
        yield made


@pytest.fixture
async def guest(client: httpx.AsyncClient, sessions: Sessions, store: Store) -> Guest:
    """Somebody at a store with shipping at 5.00 and no tax."""
    option = await open_till(sessions, store)
    return Guest(client, store, option)
