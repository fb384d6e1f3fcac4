"""How long anybody waits for PostgreSQL: every connection brings its limits, and a busy pool says so soon."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.api.faults import translate
from app.db import reads as reads_module
from app.db import session as session_module
from app.db.reads import Reads
from app.db.session import POOL_WAIT_SECONDS, Sessions, create_engine, create_sessions
from app.db.statements import Statement
from app.kit.errors import Unavailable
from tests.conftest import fresh_database, make_store

WANTED = {
    "statement_timeout": "5s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "10s",
}
SOON = 0.1


@pytest.mark.parametrize("name", WANTED)
async def test_every_connection_brings_its_time_limits(sessions: Sessions, reads: Reads, name: str) -> None:
    async with sessions() as session:
        assert await session.scalar(text(f"SHOW {name}")) == WANTED[name]
    assert await reads.fetchval(f"SHOW {name}") == WANTED[name]


async def test_whoever_waited_for_a_lock_sees_what_was_committed_meanwhile_whatever_the_server_is_set_to(
    database_server,
) -> None:
    look = Statement("SELECT count(*) AS found FROM stores")
    async with fresh_database(database_server) as url:
        engine = create_engine(url, pool_size=2)
        sessions = create_sessions(engine)
        name = engine.url.database
        async with sessions() as session:
            await session.execute(
                text(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'repeatable read'")
            )
            await session.commit()
        await engine.dispose()
        for begun_by in ("the driver", "the ORM"):
            async with sessions() as session:
                if begun_by == "the ORM":
                    await session.execute(text("SELECT 1"))
                before = (await look.one(session))["found"]
                await make_store(sessions)
                assert (await look.one(session))["found"] == before + 1, begun_by
        await engine.dispose()


def test_nobody_waits_longer_than_two_seconds_for_a_connection() -> None:
    assert POOL_WAIT_SECONDS == 2.0


async def test_a_read_that_finds_no_free_connection_is_unavailable_soon(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = Reads(database_url, size=1)
    try:
        await reads.fetchval("SELECT 1")  # connecting may take its time
        monkeypatch.setattr(reads_module, "POOL_WAIT_SECONDS", SOON)
        both = (reads.fetchval("SELECT true FROM pg_sleep(1)") for _ in range(2))
        answers = await asyncio.gather(*both, return_exceptions=True)
    finally:
        await reads.close()
    assert [answer for answer in answers if answer is True] == [True]
    assert [type(answer) for answer in answers if answer is not True] == [Unavailable]


async def test_a_call_that_finds_no_free_connection_is_unavailable_soon(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "POOL_WAIT_SECONDS", SOON)
    engine = create_engine(database_url, pool_size=1)
    sessions = create_sessions(engine)
    try:
        async with asyncio.timeout(5), sessions() as first, sessions() as second:
            await first.execute(text("SELECT 1"))
            with pytest.raises(PoolTimeoutError) as busy:
                await second.execute(text("SELECT 1"))
    finally:
        await engine.dispose()
    assert isinstance(translate(busy.value), Unavailable)


async def test_requests_find_by_key_what_is_quicker_to_read_whole_while_there_is_little(
    database_url: str,
) -> None:
    plans = {}
    for by_key in (True, False):
        engine = create_engine(database_url, pool_size=1, plan_once=True, by_key=by_key)
        async with create_sessions(engine)() as session:
            await session.execute(text("CREATE TEMP TABLE few (id int PRIMARY KEY) ON COMMIT DROP"))
            await session.execute(text("INSERT INTO few VALUES (1), (2)"))
            await session.execute(text("ANALYZE few"))
            plan = await session.scalars(text("EXPLAIN SELECT FROM few WHERE id = 1"))
            plans[by_key] = "\n".join(plan)
        await engine.dispose()
    assert "few_pkey" in plans[True]
    assert "Seq Scan" in plans[False]
