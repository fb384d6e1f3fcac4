"""Transactions that collide, or lose their connection, are run again; the effect is there exactly once."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.retries import MOST_TRIES, OUTCOME_UNKNOWN, run_transaction
from app.db.session import Sessions, create_engine, create_sessions, transaction
from app.db.statements import Statement
from app.kit.errors import Unavailable
from tests.standins.postgres_line import Line, postgres_line


class Counter:
    """Two rows of a table of the test's own, to be counted up: by the session, or straight by the driver."""

    def __init__(self, sessions: Sessions, *, straight: bool) -> None:
        self.sessions = sessions
        self.straight = straight
        self.table = f"counter_{uuid4().hex}"

    async def add(self, session: AsyncSession, row: str) -> None:
        await self._send(session, f"UPDATE {self.table} SET n = n + 1 WHERE id = :id", row)

    async def note(self, session: AsyncSession, row: str) -> bool:
        """Count a row up once, by its key; False where that was done before."""
        sql = f"INSERT INTO {self.table} VALUES (:id, 1) ON CONFLICT DO NOTHING RETURNING true"
        return await self._send(session, sql, row)

    async def _send(self, session: AsyncSession, sql: str, row: str) -> bool:
        """Whether a row came back."""
        if self.straight:
            return bool(await Statement(sql).rows(session, id=row))
        found = await session.execute(text(sql), {"id": row})
        return found.returns_rows and found.first() is not None

    async def read(self) -> dict[str, int]:
        async with self.sessions() as session:
            return {row.id: row.n for row in await session.execute(text(f"SELECT id, n FROM {self.table}"))}


@pytest.fixture(params=["session", "driver"])
async def counter(sessions: Sessions, request: pytest.FixtureRequest) -> AsyncIterator[Counter]:
    made = Counter(sessions, straight=request.param == "driver")
    async with transaction(sessions) as session:
        await session.execute(text(f"CREATE TABLE {made.table} (id text PRIMARY KEY, n int NOT NULL)"))
        await session.execute(text(f"INSERT INTO {made.table} VALUES ('a', 0), ('b', 0)"))
    yield made
    async with transaction(sessions) as session:
        await session.execute(text(f"DROP TABLE {made.table}"))


@pytest.fixture
async def line(database_url: str) -> AsyncIterator[Line]:
    async with postgres_line(database_url) as made:
        yield made


@pytest.fixture
async def far(line: Line) -> AsyncIterator[Sessions]:
    """Sessions at the other end of the line."""
    engine = create_engine(line.url, pool_size=2)
    yield create_sessions(engine)
    await engine.dispose()


async def test_of_two_that_deadlock_both_take_effect_once(sessions, counter):
    both_hold_one = asyncio.Barrier(2)
    runs: list[str] = []

    async def work(session: AsyncSession, first: str, second: str) -> None:
        runs.append(first)
        await counter.add(session, first)
        if runs.count(first) == 1:
            await both_hold_one.wait()
        await counter.add(session, second)

    await asyncio.gather(
        run_transaction(sessions, lambda s: work(s, "a", "b"), repeatable=False),
        run_transaction(sessions, lambda s: work(s, "b", "a"), repeatable=False),
    )
    assert await counter.read() == {"a": 2, "b": 2}
    assert len(runs) == 3  # one of them was the victim, once


async def test_a_serialization_failure_is_run_again_with_what_the_other_wrote(sessions, counter):
    runs = 0

    async def work(session: AsyncSession) -> int:
        nonlocal runs
        runs += 1
        await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        seen = await session.scalar(text(f"SELECT n FROM {counter.table} WHERE id = 'a'"))
        if runs == 1:
            async with transaction(sessions) as other:
                await counter.add(other, "a")
        await session.execute(text(f"UPDATE {counter.table} SET n = :n WHERE id = 'a'"), {"n": seen + 1})
        return seen + 1

    assert await run_transaction(sessions, work, repeatable=False) == 2
    assert (await counter.read())["a"] == 2
    assert runs == 2


@pytest.mark.parametrize(("state", "tries"), [("40001", MOST_TRIES), ("40P01", MOST_TRIES), ("23514", 1)])
async def test_a_collision_is_tried_three_times_and_anything_else_once(sessions, counter, state, tries):
    runs = 0

    async def work(session: AsyncSession) -> None:
        nonlocal runs
        runs += 1
        await counter.add(session, "a")
        await session.execute(text(f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$"))

    with pytest.raises(DBAPIError):
        await run_transaction(sessions, work, repeatable=True)
    assert runs == tries
    assert (await counter.read())["a"] == 0


async def end_backend(sessions: Sessions, session: AsyncSession) -> None:
    """End the server's side of a session, and wait until its driver knows."""
    pid = await session.scalar(text("SELECT pg_backend_pid()"))
    async with sessions() as other:
        assert await other.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    raw = (await (await session.connection()).get_raw_connection()).driver_connection
    while not raw.is_closed():  # noqa: ASYNC110 - the driver has no event for it
        await asyncio.sleep(0)


@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_connection_lost_before_commit_is_run_again(sessions, counter, goes_on):
    runs = 0

    async def work(session: AsyncSession) -> None:
        nonlocal runs
        runs += 1
        await counter.add(session, "a")
        if runs == 1:
            await end_backend(sessions, session)
            if goes_on:
                await counter.add(session, "b")

    await run_transaction(sessions, work, repeatable=False)
    assert (await counter.read(), runs) == ({"a": 1, "b": 0}, 2)


@pytest.mark.parametrize(("fault", "there"), [("after", 1), ("before", 0)])
async def test_after_a_lost_commit_a_call_without_a_key_is_not_run_again(far, line, counter, fault, there):
    line.cut(fault)
    with pytest.raises(Unavailable) as unknown:
        await run_transaction(far, lambda session: counter.add(session, "a"), repeatable=False)
    assert unknown.value.code == OUTCOME_UNKNOWN
    assert (await counter.read())["a"] == there


@pytest.mark.parametrize(("fault", "fresh"), [("after", False), ("before", True)])
async def test_after_a_lost_commit_a_call_with_a_key_finds_what_it_made(far, line, counter, fault, fresh):
    line.cut(fault)
    assert await run_transaction(far, lambda session: counter.note(session, "key"), repeatable=True) is fresh
    assert (await counter.read())["key"] == 1


async def test_a_transaction_without_a_statement_sends_no_commit(far, line):
    async def nothing(_session: AsyncSession) -> None:
        return None

    await run_transaction(far, nothing, repeatable=False)
    assert line.commits == 0
