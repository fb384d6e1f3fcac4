"""What becomes of a session that breaks: no connection is kept, and nothing counts as committed that was not."""

import asyncio
from contextlib import suppress
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.db.retries import run_transaction
from app.db.session import create_engine, create_sessions
from app.db.statements import Load, Statement
from app.domain.carts.models import Cart
from app.kit.clock import utc_now

INSERT = Statement(
    "INSERT INTO carts (store_id, uuid, currency, updated_at, expires_at) "
    "VALUES (:store_id, :uuid, 'USD', :now, :now) RETURNING id"
)
FIND = Load(Cart, "store_id = :store_id AND uuid = :uuid")
WHO = Statement("SELECT pg_backend_pid() AS pid")
# At how many turns of the event loop a call is broken off, and how long each turn waits for the database.
TURNS = (0, 1, 2, 3, 5, 8, 13)
WAITS = (0, 0.0005)


@pytest.fixture
async def engine(database_url):
    engine = create_engine(database_url, pool_size=2)
    yield engine
    assert engine.pool.checkedout() == 0
    await engine.dispose()


@pytest.fixture
def told(engine):
    """What was committed, by the sessions of `watched`."""
    return []


@pytest.fixture
def watched(engine, told):
    return create_sessions(engine, committed=told.append)


def cart(store):
    return {"store_id": store.id, "uuid": uuid4(), "now": utc_now()}


async def wake(session):
    await session.execute(text("SELECT 1"))


async def sleep_on(_):
    """Leaves the session as it is."""


@pytest.mark.parametrize("begin", [sleep_on, wake])
async def test_what_fails_in_a_savepoint_takes_only_that_back_and_commits_are_told_of_once(
    watched, told, store, begin
):
    first, second = cart(store), cart(store)
    async with watched() as session:
        await begin(session)
        await INSERT.one(session, **first)
        for _ in range(2):
            with pytest.raises(IntegrityError):
                async with session.begin_nested():
                    await INSERT.one(session, **first)
        async with session.begin_nested():
            await INSERT.one(session, **second)
        assert told == [], "nobody else sees anything of a savepoint yet"
        (await FIND.first(session, store_id=store.id, uuid=first["uuid"])).note = "Knock."
        await session.commit()
        assert len(told) == 1
    async with watched() as session:
        kept = [await FIND.first(session, store_id=store.id, uuid=one["uuid"]) for one in (first, second)]
    assert [one.note for one in kept] == ["Knock.", None]


async def test_a_failure_that_was_swallowed_does_not_pass_for_a_commit(watched, told, store):
    wanted = cart(store)

    async def work(session):
        await INSERT.one(session, **wanted)
        with suppress(IntegrityError):
            await INSERT.one(session, **wanted)

    with pytest.raises(DBAPIError, match="nothing was committed"):
        await run_transaction(watched, work, repeatable=True)
    assert told == []
    async with watched() as session:
        assert await FIND.first(session, store_id=store.id, uuid=wanted["uuid"]) is None


@pytest.mark.parametrize("begin", [sleep_on, wake])
async def test_what_lost_its_connection_before_the_commit_is_done_once_more(watched, told, store, begin):
    for after in (
        True,
        False,
    ):  # another statement is sent to the lost connection, or the COMMIT finds it lost
        tries, wanted = [], cart(store)
        told.clear()

        async def work(session, after=after, tries=tries, wanted=wanted):
            await begin(session)
            pid = (await WHO.one(session))["pid"]
            await INSERT.one(session, **wanted)
            tries.append(pid)
            if len(tries) == 1:
                lost = asyncio.Event()
                (await session.begin_at_driver()).add_termination_listener(lambda _, lost=lost: lost.set())
                async with watched() as other:
                    await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
                if not after:
                    await asyncio.wait_for(lost.wait(), 5)
            if after:
                await WHO.one(session)

        await run_transaction(watched, work, repeatable=False)
        assert (len(tries), len(told)) == (2, 1)


async def test_a_call_that_is_broken_off_at_any_moment_keeps_no_connection(engine, watched, store):
    async def fail(session):
        wanted = cart(store)
        await INSERT.one(session, **wanted)
        await INSERT.one(session, **wanted)

    for then in (sleep_on, wake, fail):

        async def work(session, then=then):
            await INSERT.one(session, **cart(store))
            await then(session)

        for turns in TURNS:
            for wait in WAITS:
                call = asyncio.create_task(run_transaction(watched, work, repeatable=False))
                for _ in range(turns):
                    await asyncio.sleep(wait)
                call.cancel()
                with suppress(asyncio.CancelledError, IntegrityError):
                    await call
                assert engine.pool.checkedout() == 0, (then.__name__, turns, wait)


async def test_a_session_that_found_no_connection_takes_one_later_and_may_be_closed_twice(
    engine, watched, monkeypatch
):
    monkeypatch.setattr(engine.pool, "_timeout", 0.05)
    first, second, third = watched(), watched(), watched()
    for session in (first, second):
        await WHO.one(session)
    with pytest.raises(PoolTimeout):
        await WHO.one(third)
    assert not third.in_transaction()
    await first.close()
    assert await WHO.one(third)
    for session in (first, second, third, third):
        await session.close()
