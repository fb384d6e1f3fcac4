"""The queue: nothing is lost, nothing is accepted twice, and what fails is tried again."""

import asyncio
from datetime import timedelta
from functools import partial
from uuid import uuid4

import asyncpg
import pytest
from click.testing import CliRunner
from sqlalchemy import text

from app.cli import main
from app.cli.doctor import TroubleError, check_jobs
from app.db import outcomes, queue
from app.db.queue import GiveUp, Outcome, Together
from app.db.session import Sessions, create_engine, create_sessions, transaction
from app.kit.clock import utc_now
from app.settings import load_settings
from app.worker import BATCH, lanes_of, work_once
from tests.conftest import fresh_database


@pytest.fixture
async def kind(sessions: Sessions):
    """A kind of job of the test's own, in an otherwise empty queue."""
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM jobs"))
    return f"test.{uuid4().hex}"


async def put(sessions: Sessions, kind: str, key: str = "one", *, after: float = 0) -> bool:
    async with transaction(sessions) as session:
        return await queue.enqueue(
            session,
            store_id=1,
            kind=kind,
            dedupe_key=key,
            payload={"key": key},
            run_at=utc_now() + timedelta(seconds=after),
        )


async def state_of(sessions: Sessions, kind: str) -> list[tuple[str, int, str | None]]:
    async with sessions() as session:
        rows = await session.execute(
            text("SELECT state, tries, reason FROM jobs WHERE kind = :kind ORDER BY id"), {"kind": kind}
        )
        return [tuple(row) for row in rows]


async def test_what_is_done_does_not_slow_down_who_looks_for_more(database_server):
    """Of 3,000 jobs that were due since the last VACUUM, none is looked at again and again."""
    async with fresh_database(database_server) as url:
        engine = create_engine(url, pool_size=1, plan_once=True)  # as the worker's
        async with create_sessions(engine)() as session:
            for statement in (
                "ALTER TABLE jobs SET (autovacuum_enabled = off)",
                """INSERT INTO jobs (store_id, kind, dedupe_key, payload, run_at)
                SELECT 1, 'test', n::text, '{}', now() FROM generate_series(1, 3000) n""",
                "UPDATE jobs SET state = 'done'",
                f"PREPARE look AS {queue._TAKE}",
            ):
                await session.execute(text(statement.replace(":", r"\:")))
                await session.commit()
            look = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE look (now(), now(), '{test}', true, 6)"
            await session.execute(text(look))
            plan = await session.scalar(text(look))
        await engine.dispose()
    assert plan[0]["Plan"]["Shared Hit Blocks"] < 30


async def test_a_job_runs_once_and_its_key_is_taken_for_good(sessions, kind):
    done = []

    async def handler(job):
        done.append(job.payload["key"])

    assert await put(sessions, kind)
    assert not await put(sessions, kind)
    assert await work_once(sessions, {kind: handler}) == 1
    assert await work_once(sessions, {kind: handler}) == 0
    assert not await put(sessions, kind)
    assert done == ["one"]
    assert await state_of(sessions, kind) == [("done", 1, None)]


async def test_a_job_of_a_rolled_back_transaction_never_was(sessions, kind):
    async with sessions() as session:
        await queue.enqueue(session, store_id=1, kind=kind, dedupe_key="x", payload={}, run_at=utc_now())
        await session.rollback()
    assert await state_of(sessions, kind) == []


async def test_a_failing_job_is_put_back_with_its_reason_and_a_gap(sessions, kind):
    async def handler(job):
        raise ConnectionError("the mail server is away")

    await put(sessions, kind)
    await work_once(sessions, {kind: handler})
    assert await state_of(sessions, kind) == [
        ("queued", 1, "ConnectionError: the mail server is away"),
    ]
    assert await work_once(sessions, {kind: handler}) == 0


async def test_a_hopeless_job_and_an_unknown_one_are_parked(sessions, kind):
    async def handler(job):
        raise GiveUp("no such order")

    await put(sessions, kind)
    await work_once(sessions, {kind: handler})
    await put(sessions, kind, "two")
    await work_once(sessions, {})
    assert [state for state, _, _ in await state_of(sessions, kind)] == ["parked", "parked"]


async def test_tries_run_out(sessions, kind):
    async def handler(job):
        raise RuntimeError("again")

    await put(sessions, kind)
    for _ in range(queue.MAX_TRIES):
        async with transaction(sessions) as session:
            await session.execute(text("UPDATE jobs SET run_at = now() WHERE kind = :k"), {"k": kind})
        await work_once(sessions, {kind: handler})
    assert [row[:2] for row in await state_of(sessions, kind)] == [("parked", queue.MAX_TRIES)]


async def test_a_job_that_ends_its_worker_each_time_is_given_up(sessions, kind):
    done = []

    async def handler(job):
        done.append(job)

    await put(sessions, kind)
    for _ in range(queue.MAX_TRIES):  # nobody says what became of it
        (job,) = await queue.take(sessions, now=utc_now(), most=5, lease=timedelta(seconds=-1))
    assert job.tries == queue.MAX_TRIES
    for one in (handler, Together(handler)):
        await work_once(sessions, {kind: one})
    assert done == []
    ((state, _, reason),) = await state_of(sessions, kind)
    assert (state, "ended each time" in str(reason)) == ("parked", True)


async def test_the_job_of_a_dead_worker_is_taken_over_and_its_late_finish_is_ignored(sessions, kind):
    await put(sessions, kind)
    (first,) = await queue.take(sessions, now=utc_now(), most=5, lease=timedelta(seconds=-1))
    (second,) = await queue.take(sessions, now=utc_now(), most=5)
    assert (first.id, first.tries, second.tries) == (second.id, 1, 2)
    await queue.finish(sessions, [Outcome(first)], now=utc_now())
    assert [row[0] for row in await state_of(sessions, kind)] == ["running"]


async def test_what_is_done_is_written_down_at_once_and_what_comes_meanwhile_together(
    sessions, kind, monkeypatch
):
    """A job that hangs holds up no other's result: after a crash, what is not written down is done again."""
    written, hang = [], asyncio.Event()

    async def finish(sessions, told, *, now):
        written.append(len(told))
        await queue.finish(sessions, told, now=now)

    async def handler(job):
        if job.payload["key"] == "hanging":
            await hang.wait()

    monkeypatch.setattr(outcomes, "finish", finish)
    for key in ("a", "b", "c", "hanging"):
        await put(sessions, kind, key)
    working = asyncio.create_task(work_once(sessions, {kind: handler}))
    while [state for state, *_ in await state_of(sessions, kind)].count("done") < 3:
        assert not working.done()
    assert written == [1, 2]
    hang.set()
    assert await working == 4
    assert written == [1, 2, 1]


async def test_jobs_that_are_done_together_fail_by_themselves(sessions, kind):
    """Where doing them together fails, each is tried alone, and only the one that cannot be done is put back."""
    tried = []

    async def count(jobs):
        tried.append([job.payload["key"] for job in jobs])
        if "bad" in tried[-1]:
            raise RuntimeError("cannot be counted")

    for key in ("one", "bad", "two"):
        await put(sessions, kind, key)
    handlers = {kind: Together(count)}
    *_, together, rest = lanes_of(handlers)
    assert await work_once(sessions, handlers, rest.kinds, rest.most) == 0
    assert await work_once(sessions, handlers, together.kinds, together.most) == 3
    assert sorted(map(sorted, tried)) == [["bad"], ["bad", "one", "two"], ["one"], ["two"]]
    assert [(state, reason) for state, _, reason in await state_of(sessions, kind)] == [
        ("done", None),
        ("queued", "RuntimeError: cannot be counted"),
        ("done", None),
    ]


async def test_a_statement_is_run_again_where_its_connection_is_lost(sessions, kind, monkeypatch):
    await put(sessions, kind)
    real, lost = asyncpg.Connection.fetch, []

    async def fetch(connection, *args, **options):
        found = await real(connection, *args, **options)
        if not lost:
            lost.append(connection)
            connection.terminate()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        return found

    (job,) = await queue.take(sessions, now=utc_now(), most=5)
    monkeypatch.setattr(asyncpg.Connection, "fetch", fetch)
    await queue.finish(sessions, [Outcome(job)], now=utc_now())
    assert lost
    assert await state_of(sessions, kind) == [("done", 1, None)]


async def test_a_job_waits_for_its_time(sessions, kind):
    async def handler(job):
        raise AssertionError("too early")

    await put(sessions, kind, after=3600)
    assert await work_once(sessions, {kind: handler}) == 0


def test_gaps_grow_to_an_hour():
    gaps = [queue.retry_gap(tries).total_seconds() for tries in range(1, 13)]
    assert 1.5 <= gaps[0] <= 2.5
    assert all(gap <= 3600 * 1.25 for gap in gaps)
    assert gaps[-1] >= 2700


async def test_jobs_that_wait_for_somebody_hold_up_no_others(sessions, kind):
    """Both lanes of what waits are stuck for good; what waits for nobody is done all the same."""
    never, done = asyncio.Event(), []

    async def wait_for_somebody(job, **_):
        await never.wait()

    async def at_once(job):
        done.append(job.payload["key"])

    handlers = {
        f"{kind}.mail": partial(partial(wait_for_somebody, mailer=None), name="hello"),
        f"{kind}.pay": partial(wait_for_somebody, till=None),
        kind: at_once,
    }
    stuck = 2 * BATCH
    for number in range(stuck):
        await put(sessions, f"{kind}.mail", f"mail {number}", after=-2)
        await put(sessions, f"{kind}.pay", f"pay {number}", after=-2)
    await put(sessions, kind, "order", after=-1)
    mails, payments, _, rest = lanes_of(handlers)
    waiting = [asyncio.create_task(work_once(sessions, handlers, lane.kinds)) for lane in (mails, payments)]
    try:
        assert await work_once(sessions, handlers, rest.kinds) == 1
        assert done == ["order"]
        await put(sessions, f"{kind}.unknown")
        assert await work_once(sessions, handlers, rest.kinds) == 1
        assert [state for state, _, _ in await state_of(sessions, f"{kind}.unknown")] == ["parked"]
    finally:
        never.set()
        assert await asyncio.gather(*waiting) == [BATCH, BATCH]


async def test_what_was_given_up_is_told_and_tried_again_or_let_be_by_a_command(
    sessions, kind, database_url, tmp_path, caplog
):
    async def storefront(*arguments: str) -> str:
        environ = {"DATABASE_URL": database_url, "STOREFRONT_DATA_DIR": str(tmp_path)}
        called = await asyncio.to_thread(CliRunner(env=environ).invoke, main, ["job", *arguments])
        return called.output

    async def away(job):
        raise ConnectionError("the mail server\nis away")

    settings = load_settings({"DATABASE_URL": database_url, "STOREFRONT_DATA_DIR": str(tmp_path)})
    assert await storefront("list") == "Nothing was given up.\n"
    assert await check_jobs(settings) == "none given up"
    for key in ("one", "two", "three"):
        await put(sessions, kind, key)
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE jobs SET tries = :n"), {"n": queue.MAX_TRIES - 1})
    await work_once(sessions, {kind: away})
    assert caplog.text.count("is given up") == 3
    with pytest.raises(TroubleError, match=f"3 x {kind}"):
        await check_jobs(settings)
    rows = (await storefront("list", "--kind", kind)).splitlines()
    assert len(rows) == 3
    assert all(row.endswith("ConnectionError: the mail server is away") for row in rows)
    assert [row.split()[2] for row in rows] == ["one", "two", "three"]
    first, second, third = (row.split()[0] for row in rows)

    assert "Usage" in await storefront("retry")
    assert await storefront("retry", first, "999999999") == (
        "not among those that were given up: 999999999\n1 job is tried again\n"
    )
    assert "nothing of that kind" in await storefront("retry", first)
    assert await storefront("dismiss", second) == "1 job is over\n"
    done = []

    async def back(job):
        done.append((job.dedupe_key, job.tries))

    await work_once(sessions, {kind: back})
    assert await storefront("retry", "--kind", kind) == "1 job is tried again\n"
    await work_once(sessions, {kind: back})
    assert done == [("one", 1), ("three", 1)]
    assert await storefront("list") == "Nothing was given up.\n"
    assert [state for state, _, _ in await state_of(sessions, kind)] == ["done"] * 3
    assert third in await storefront("retry", third)
