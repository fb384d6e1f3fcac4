"""What PostgreSQL believes of a table: a plan that was made while it was empty does not stay when it is full."""

import asyncpg
import pytest
from sqlalchemy import text

from app.db.estimates import look_at_grown
from app.db.session import create_engine, create_sessions, transaction
from app.domain.carts.queries import load_cart
from app.domain.stores.service import create_store
from app.kit.errors import NotFound
from tests.conftest import fresh_database

CARTS = 2_000
_FILL = """
    INSERT INTO carts (store_id, uuid, currency, updated_at, expires_at)
    SELECT $1, gen_random_uuid(), 'USD', now(), now() + interval '1 day' FROM generate_series(1, $2::int)
"""


@pytest.fixture
async def shop(database_server):
    """An empty shop of which PostgreSQL knows that it is empty: its only connection for requests, and one to watch."""
    async with fresh_database(database_server) as url:
        engine = create_engine(url, pool_size=1, plan_once=True, by_key=True)
        sessions = create_sessions(engine)
        async with transaction(sessions) as session:
            store = await create_store(session, code="main", name="New", currency="USD")
        watching = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
        await watching.execute("VACUUM ANALYZE carts, cart_lines")
        yield sessions, store, watching
        await watching.close()
        await engine.dispose()


async def _plan_kept(sessions, store):
    """The plan with which this shop's connection loads a cart by its id."""
    async with sessions() as session:
        with pytest.raises(NotFound):
            await load_cart(session, store, -1)
        kept = await session.execute(text("SELECT name, statement FROM pg_prepared_statements"))
        name = next(one.name for one in kept if "FROM carts c\n" in one.statement)
        plan = await session.scalars(text(f'EXPLAIN EXECUTE "{name}" ({store.id}, -1)'))
        return next(line for line in plan if " on carts" in line)


async def _fill(watching, store):
    async with watching.transaction():
        await watching.execute("SELECT pg_stat_force_next_flush()")
        await watching.execute(_FILL, store.id, CARTS)


async def test_a_plan_made_for_an_empty_shop_is_made_anew_when_it_fills(shop):
    sessions, store, watching = shop
    await _plan_kept(sessions, store)
    await _fill(watching, store)
    assert "public.carts" in await look_at_grown(sessions)
    assert "carts_pkey" in await _plan_kept(sessions, store)


async def test_plans_stay_where_rows_only_change_or_a_table_grows_a_little(shop):
    sessions, store, watching = shop
    await _fill(watching, store)
    await look_at_grown(sessions)
    async with watching.transaction():
        await watching.execute("SELECT pg_stat_force_next_flush()")
        await watching.execute("UPDATE carts SET note = 'changed'")
        await watching.execute(_FILL, store.id, CARTS // 2)
    assert await look_at_grown(sessions) == []
