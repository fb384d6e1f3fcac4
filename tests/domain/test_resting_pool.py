"""Connections that rest between two transactions: used again at once, and never in anybody's way."""

import asyncio

import pytest
from sqlalchemy import text

from app.db.resting_pool import REST_SECONDS
from app.db.retries import run_transaction
from app.db.session import create_engine, create_sessions
from app.db.statements import Statement

WHO = Statement("SELECT pg_backend_pid() AS pid")
NAME = "resting"


@pytest.fixture
async def engine(database_url):
    engine = create_engine(database_url, pool_size=2, application_name=NAME)
    yield engine
    assert engine.pool.checkedout() == 0
    await engine.dispose()


@pytest.fixture
def sessions_here(engine):
    return create_sessions(engine)


async def who(session):
    return (await WHO.one(session))["pid"]


async def short(sessions):
    """A transaction of one statement; the process of PostgreSQL that did it."""
    return await run_transaction(sessions, who, repeatable=True)


async def both_rest(sessions):
    """Have two connections rest; their processes, the last one used last."""
    async with sessions() as first, sessions() as second:
        pids = [await who(first), await who(second)]
        await first.commit()
        await second.commit()
    return pids


async def test_the_last_one_used_is_used_first_and_needs_nothing_of_the_pool(
    engine, sessions_here, monkeypatch
):
    pids = await both_rest(sessions_here)
    monkeypatch.setattr(engine.pool, "_do_get", None)
    assert [await short(sessions_here) for _ in range(3)] == [pids[1]] * 3
    assert engine.pool.checkedout() == 0
    assert engine.pool.checkedin() == 2


async def test_whoever_asks_the_pool_itself_does_not_wait_for_those_that_rest(
    engine, sessions_here, monkeypatch
):
    monkeypatch.setattr(engine.pool, "_timeout", 0.05)
    await both_rest(sessions_here)
    for _ in range(2):
        async with engine.connect() as one, engine.connect() as other:
            assert await one.scalar(text("SELECT 1")) == await other.scalar(text("SELECT 1"))
        assert len({await short(sessions_here) for _ in range(3)}) == 1


async def test_a_connection_goes_to_whoever_waits_for_one_before_it_rests(engine, sessions_here):
    async with sessions_here() as first, sessions_here() as second:
        pids = {await who(first), await who(second)}

        async def ask():
            async with sessions_here() as third:
                return await third.scalar(text("SELECT pg_backend_pid()"))

        waiting = asyncio.create_task(ask())
        for _ in range(20):  # turns of the loop, until it waits
            await asyncio.sleep(0)
        await first.commit()
        assert await waiting in pids
        await second.commit()


async def test_one_that_is_lost_or_old_or_rested_long_is_looked_at_by_the_pool(
    engine, sessions_here, monkeypatch
):
    asked = []

    def ping(connection):
        asked.append(connection)
        return True

    monkeypatch.setattr(engine.dialect, "do_ping", ping)
    old = await both_rest(sessions_here)
    async with sessions_here() as session:
        lost = asyncio.Event()
        (await session.begin_at_driver()).add_termination_listener(lambda _: lost.set())
        await session.commit()
    async with asyncio.timeout(5):
        await run_elsewhere(sessions_here.kw["bind"].url, old[1])
        await lost.wait()
    assert not {*old} & {*await both_rest(sessions_here)}, "after a loss the whole pool is made anew"
    assert not asked

    engine.pool._resting = [(lease, since - 2 * REST_SECONDS) for lease, since in engine.pool._resting]
    await both_rest(sessions_here)
    assert len(asked) == 2

    (first,) = {await short(sessions_here) for _ in range(2)}
    monkeypatch.setattr(engine.pool, "_recycle", 0)
    assert await short(sessions_here) != first


async def run_elsewhere(url, pid):
    """End a process of PostgreSQL, from a connection of another engine."""
    engine = create_engine(url.set(drivername="postgresql").render_as_string(False), pool_size=1)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    await engine.dispose()


async def test_what_rests_is_closed_with_its_engine_and_so_is_what_comes_back_later(database_url):
    engine = create_engine(database_url, pool_size=3, application_name=NAME)
    here = create_sessions(engine)
    async with here() as late:
        await both_rest(here)
        last = await late.begin_at_driver()
        ((lease, _),) = engine.pool._resting
        resting = lease.driver_connection
        await engine.dispose()
        assert resting.is_closed()
        assert not last.is_closed()
        await late.commit()
        assert last.is_closed()
