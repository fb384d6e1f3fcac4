"""The store that an empty database begins with."""

import asyncio

from sqlalchemy import text

from app.db.session import Sessions, transaction
from app.domain.stores.models import Store
from app.domain.stores.service import ensure_default_store


async def test_a_database_with_a_store_is_left_alone(sessions: Sessions, store: Store):
    async with transaction(sessions) as session:
        assert await ensure_default_store(session) is False


async def test_an_empty_one_gets_one_store_also_from_two_at_once(empty_sessions: Sessions):
    async def make() -> bool:
        async with transaction(empty_sessions) as session:
            return await ensure_default_store(session)

    assert sorted(await asyncio.gather(make(), make())) == [False, True]
    async with empty_sessions() as session:
        assert list(await session.scalars(text("SELECT code FROM stores"))) == ["default"]
