"""Workers hear of jobs after the commit, and no transaction of a server waits for another one's word to them."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text

from app.db import bell as bells
from app.db import queue
from app.db.bell import CHANNEL, Bell
from app.db.session import create_engine, create_sessions, database_address, transaction
from app.kit.clock import utc_now


@pytest.fixture
async def heard(database_url):
    """The kinds that a listener is told of."""
    kinds: asyncio.Queue[str] = asyncio.Queue()
    connection = await asyncpg.connect(database_address(database_url).asyncpg)
    await connection.add_listener(CHANNEL, lambda *said: kinds.put_nowait(said[-1]))
    yield kinds
    await connection.close()


@pytest.fixture
async def ringing(database_url):
    engine = create_engine(database_url, pool_size=4)
    bell = Bell(engine)
    yield create_sessions(engine, committed=bell.after_commit, bell=bell)
    await bell.close()
    await engine.dispose()


async def put(session, kind: str) -> None:
    await queue.enqueue(session, store_id=1, kind=kind, dedupe_key=uuid4().hex, payload={}, run_at=utc_now())


@pytest.mark.parametrize("awake", [False, True])
async def test_jobs_are_told_of_after_the_commit_whoever_commits(ringing, heard, awake):
    kind = f"test-{uuid4().hex}"
    async with ringing() as session:
        if awake:
            await session.execute(text("SELECT 1"))
        await put(session, kind)
        await session.rollback()
        await put(session, kind)
        await session.commit()
    while await heard.get() != kind:
        pass
    assert heard.empty(), "once"


async def test_what_many_queue_at_the_same_time_is_told_of_once(ringing, heard):
    kind = f"test-{uuid4().hex}"

    async def one() -> None:
        async with transaction(ringing) as session:
            await put(session, kind)

    await asyncio.gather(*(one() for _ in range(8)))
    last = f"test-{uuid4().hex}"
    while await heard.get() != kind:
        pass
    async with transaction(ringing) as session:
        await put(session, last)
    told = [await heard.get()]
    while told[-1] != last:
        told.append(await heard.get())
    assert told.count(kind) <= 2


async def test_without_a_bell_the_transaction_tells(sessions, heard):
    kind = f"test-{uuid4().hex}"
    async with transaction(sessions) as session:
        await put(session, kind)
    while await heard.get() != kind:
        pass


async def test_a_bell_that_is_closed_has_told_of_everything(database_url, heard):
    engine = create_engine(database_url, pool_size=2)
    bell = Bell(engine)
    kind = f"test-{uuid4().hex}"
    async with transaction(create_sessions(engine, committed=bell.after_commit, bell=bell)) as session:
        await put(session, kind)
    await bell.close()
    await engine.dispose()
    while await heard.get() != kind:
        pass


async def test_a_bell_that_finds_no_connection_leaves_the_jobs_to_the_poll(database_url, monkeypatch):
    engine = create_engine(database_url, pool_size=1)
    monkeypatch.setattr(engine.pool, "_timeout", 0.01)
    bell = Bell(engine)
    sessions = create_sessions(engine, committed=bell.after_commit, bell=bell)
    async with transaction(sessions) as session:
        await put(session, "test")
    async with sessions() as holder:
        await holder.execute(text("SELECT 1"))
        await bell.close()
    await engine.dispose()


async def test_what_is_queued_while_the_bell_rings_is_told_of_next_and_all_at_once(ringing, monkeypatch):
    monkeypatch.setattr(bells, "TOGETHER_SECONDS", 0)
    goes_on, told = asyncio.Event(), []

    async def ring(_engine, _sql, _channel, kinds) -> None:
        told.append(kinds)
        await goes_on.wait()

    monkeypatch.setattr(bells, "run_on", ring)
    for kind in ("first", "second", "third"):
        async with transaction(ringing) as session:
            await put(session, kind)
    async with transaction(ringing) as session:
        await session.execute(text("SELECT 1"))
    meanwhile = list(told)
    goes_on.set()
    await ringing.kw["bell"].close()
    assert (meanwhile, told) == ([["first"]], [["first"], ["second", "third"]])
