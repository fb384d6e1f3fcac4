"""Later work: rows written in the transaction that wants it, taken by workers after its commit.

Delivery is at least once, so every job may run twice. A (kind, dedupe_key) is accepted once for as long as its
row is kept: what is done is forgotten after a month, jobs about money never.
"""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.db.autocommit import run_statement
from app.db.base import Base, BigId, CreatedAt, StoreId
from app.db.bell import CHANNEL
from app.db.session import Sessions, as_json
from app.db.shop_session import shop_session
from app.db.statements import Statement

LEASE: Final = timedelta(minutes=2)
MAX_TRIES: Final = 12
FIRST_GAP_SECONDS: Final = 2
LONGEST_GAP_SECONDS: Final = 3600


class JobRow(Base):
    """A job: queued, running under a lease, done, or parked with the reason of its last failure."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("kind", "dedupe_key"),
        CheckConstraint("state IN ('queued', 'running', 'done', 'parked')", name="state"),
        Index("jobs_due_idx", "run_at", "id", postgresql_where="state = 'queued'"),
        Index("jobs_leased_idx", "lease_until", postgresql_where="state = 'running'"),
        Index("jobs_finished_idx", "finished_at", postgresql_where="state = 'done'"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    kind: Mapped[str]
    dedupe_key: Mapped[str]
    payload: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(server_default="queued")
    tries: Mapped[int] = mapped_column(server_default="0")
    run_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    reason: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    finished_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its handler sees it; tries counts this one."""

    id: int
    store_id: int
    kind: str
    dedupe_key: str
    payload: dict[str, Any]
    tries: int


@dataclass(frozen=True, slots=True)
class Together:
    """A handler of all jobs of its kind that are due at once, where doing them together costs what one does."""

    do: Callable[[Sequence[Job]], Awaitable[None]]


class Outcome(NamedTuple):
    """What became of a job: done, or failed for a reason, which may be for good."""

    job: Job
    reason: str | None = None
    for_good: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nobody tries it again: it is parked, and waits for people."""
        return self.reason is not None and (self.for_good or self.job.tries >= MAX_TRIES)


class GiveUp(Exception):  # noqa: N818 - a handler says what it does
    """Raised by a handler whose job can never succeed: it is parked at once, with this reason."""


def queued(*, once: str = "") -> str:
    """How jobs are queued, as a part of any statement, which also selects RUNG, or nobody may be woken.

    `once` names what has a row where they are to be queued.
    """
    return f"""
    queued AS (
        INSERT INTO jobs (store_id, kind, dedupe_key, payload, run_at)
        SELECT :store_id, wanted.kind, wanted.dedupe_key, wanted.payload, :run_at
        FROM {once and f"{once},"}
            unnest(CAST(:kinds AS text[]), CAST(:dedupe_keys AS text[]), CAST(:payloads AS jsonb[]))
            AS wanted (kind, dedupe_key, payload)
        ON CONFLICT (kind, dedupe_key) DO NOTHING
        RETURNING kind
    )
    """  # noqa: S608 - names of our own


# How many were queued; told within the transaction where nobody tells after it.
RUNG: Final = """(
    SELECT count(*) FILTER (WHERE CASE WHEN CAST(:rings AS boolean) THEN pg_notify(:channel, kind) IS NOT NULL ELSE true END)
    FROM queued
) AS queued"""
_ENQUEUE: Final = Statement(f"WITH {queued()} SELECT {RUNG}")

# The two ways to be due have an index each, and each is walked by itself: an index scan marks the entries of what was
# done since as dead, and the next one passes them by. Asked for both at once, PostgreSQL reads all of them each time.
_DUE_NOW: Final = "state = 'queued' AND run_at <= $1"
_LEASE_OVER: Final = "state = 'running' AND lease_until < $1"
_TAKE: Final = f"""
    WITH over AS MATERIALIZED (
        SELECT id FROM jobs WHERE {_LEASE_OVER} AND (kind = ANY($3::text[])) = $4
        ORDER BY lease_until LIMIT $5 FOR UPDATE SKIP LOCKED
    ),
    due AS MATERIALIZED (
        SELECT id FROM jobs WHERE {_DUE_NOW} AND (kind = ANY($3::text[])) = $4
        ORDER BY run_at, id LIMIT $5 FOR UPDATE SKIP LOCKED
    ),
    chosen AS (SELECT id FROM over UNION ALL SELECT id FROM due LIMIT $5)
    UPDATE jobs j SET state = 'running', tries = tries + 1, lease_until = $2
    FROM chosen WHERE j.id = chosen.id
    RETURNING j.id, store_id, kind, dedupe_key, CAST(payload AS text), tries
"""  # noqa: S608 - our own words

# Enough to see whom they concern; behind so many there may be any kind.
MOST_LOOKED_AT: Final = 100
_DUE: Final = f"""
    (SELECT kind FROM jobs WHERE {_LEASE_OVER} LIMIT {MOST_LOOKED_AT})
    UNION ALL (SELECT kind FROM jobs WHERE {_DUE_NOW} LIMIT {MOST_LOOKED_AT})
    LIMIT {MOST_LOOKED_AT}
"""  # noqa: S608 - our own words and number

_FINISH: Final = """
    UPDATE jobs j SET state = said.state, lease_until = NULL, reason = said.reason,
        run_at = coalesce(said.run_at, j.run_at),
        finished_at = CASE WHEN said.state = 'done' THEN $1 ELSE j.finished_at END
    FROM unnest($2::bigint[], $3::int[], $4::text[], $5::timestamptz[], $6::text[])
        AS said (id, tries, state, run_at, reason)
    WHERE j.id = said.id AND j.state = 'running' AND j.tries = said.tries
"""

_TAKE_UP: Final = Statement(
    """
    WITH taken AS (
        UPDATE jobs SET state = 'queued', tries = 0, run_at = :now, reason = NULL
        WHERE kind = :kind AND dedupe_key = :dedupe_key AND state = 'parked'
        RETURNING kind
    )
    SELECT pg_notify(:channel, kind) FROM taken
    """
)


async def enqueue(
    session: AsyncSession,
    *,
    store_id: int,
    kind: str,
    dedupe_key: str,
    payload: Mapping[str, Any],
    run_at: datetime,
    wanted: bool = True,
) -> bool:
    """Queue a job in the session's transaction; False where this (kind, dedupe_key) was ever queued before.

    With `wanted` false the same work is done and nothing queued, where nobody may see the difference.
    """
    jobs = [NewJob(kind, dedupe_key, payload)] if wanted else []
    return await enqueue_all(session, jobs, store_id=store_id, run_at=run_at) > 0


class NewJob(NamedTuple):
    """A job to be queued."""

    kind: str
    dedupe_key: str
    payload: Mapping[str, Any]


async def enqueue_all(
    session: AsyncSession, jobs: Sequence[NewJob], *, store_id: int, run_at: datetime
) -> int:
    """As enqueue, for several at once; how many were never queued before."""
    added = await _ENQUEUE.one(session, store_id=store_id, **queued_values(session, jobs, run_at=run_at))
    return int(added["queued"])


def queued_values(session: AsyncSession, jobs: Sequence[NewJob], *, run_at: datetime) -> dict[str, Any]:
    """The values of `queued` and RUNG, beside the store, for a statement that the session sends."""
    bell = shop_session(session).bell
    kinds = [job.kind for job in jobs]
    if bell is not None:
        bell.note(session, kinds)
    return {
        "kinds": kinds,
        "dedupe_keys": [job.dedupe_key for job in jobs],
        "payloads": [as_json(job.payload) for job in jobs],
        "run_at": run_at,
        "rings": bell is None,
        "channel": CHANNEL,
    }


class Kinds(NamedTuple):
    """Some kinds of jobs: those that are named, or all but those."""

    named: frozenset[str] = frozenset()
    among: bool = False

    def has(self, kind: str) -> bool:
        return (kind in self.named) == self.among


async def take(
    sessions: Sessions,
    *,
    now: datetime,
    most: int,
    kinds: Kinds = Kinds(),  # noqa: B008 - a constant: every job
    lease: timedelta = LEASE,
) -> list[Job]:
    """Lease due jobs of these kinds, those of dead workers among them.

    What was leased by a statement whose answer was lost comes back when its lease runs out.
    """
    rows = await run_statement(sessions, _TAKE, now, now + lease, sorted(kinds.named), kinds.among, most)
    return [
        Job(id, store_id, kind, key, msgspec.json.decode(payload), tries)
        for id, store_id, kind, key, payload, tries in rows  # noqa: A001 - as the column is called
    ]


async def look_for_due(sessions: Sessions, *, now: datetime) -> frozenset[str] | None:
    """The kinds of which something is due; None where there is too much to tell."""
    rows = await run_statement(sessions, _DUE, now)
    return None if len(rows) == MOST_LOOKED_AT else frozenset(kind for (kind,) in rows)


async def finish(sessions: Sessions, outcomes: Sequence[Outcome], *, now: datetime) -> None:
    """Write down what became of jobs, but for those whose lease was lost to another worker meanwhile.

    One that failed is put back for a later try, or parked where tries have run out or it can never succeed.
    """
    states = ["done" if one.reason is None else "parked" if one.is_over else "queued" for one in outcomes]
    await run_statement(
        sessions,
        _FINISH,
        now,
        [one.job.id for one in outcomes],
        [one.job.tries for one in outcomes],
        states,
        [None if one.reason is None else now + retry_gap(one.job.tries) for one in outcomes],
        [None if one.reason is None else _storable(one.reason) for one in outcomes],
    )


def _storable(reason: str) -> str:
    """A reason as PostgreSQL takes it, whatever a service or a mail server said: it is written beside others."""
    return reason[:2000].replace("\0", "").encode("utf-8", "replace").decode()


async def take_up_again(session: AsyncSession, *, kind: str, dedupe_key: str, now: datetime) -> bool:
    """Queue a parked job anew, with all of its tries; False where it is none."""
    found = await _TAKE_UP.row(session, kind=kind, dedupe_key=dedupe_key, now=now, channel=CHANNEL)
    return found is not None


def retry_gap(tries: int) -> timedelta:
    """How long to wait after that many tries: doubling from two seconds to an hour, with a quarter of jitter."""
    gap = min(FIRST_GAP_SECONDS * 2 ** (tries - 1), LONGEST_GAP_SECONDS)
    return timedelta(seconds=gap * random.uniform(0.75, 1.25))  # noqa: S311 - spreads load, guards nothing
