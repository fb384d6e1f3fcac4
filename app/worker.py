"""The worker: takes jobs from the queue, and keeps the clockwork of reconciling and sweeping going.

Jobs that wait for somebody else have a lane of their own: a mail server or a payment service that says nothing
holds up what waits for it, and nothing else. What is done together has one, too.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final, NamedTuple

import asyncpg
from sqlalchemy.exc import SQLAlchemyError

from app.db import queue
from app.db.bell import CHANNEL
from app.db.estimates import look_at_grown
from app.db.outcomes import Outcomes
from app.db.queue import GiveUp, Job, Kinds, Outcome, Together
from app.db.session import Sessions, database_address
from app.domain.accounts.closing import closing_jobs
from app.domain.accounts.jobs import account_jobs, sweep_accounts
from app.domain.accounts.referral import referral_jobs
from app.domain.catalogue.back_in_stock import forget_old_wishes
from app.domain.catalogue.jobs import catalogue_jobs
from app.domain.checkout.abandoned import note_abandoned, reminder_jobs
from app.domain.checkout.capturing import capturing_jobs
from app.domain.checkout.jobs import checkout_jobs, reconcile, sweep
from app.domain.checkout.saving import saving_jobs
from app.domain.discovery.popular import forget_queries
from app.domain.newsletter.jobs import forget_requests, newsletter_jobs
from app.domain.orders.jobs import order_jobs
from app.domain.orders.sold import plan_recounts
from app.integrations.mail import MailTemplates, create_mailer
from app.kit.clock import utc_now
from app.kit.errors import Unavailable
from app.parts import Parts, build_parts, close_parts
from app.settings import Settings

Handler = Callable[[Job], Awaitable[None]]
Handlers = Mapping[str, Handler | Together]

BATCH: Final = 6  # of each lane
# Mails share statements, too. They take turns at the connections to the mail server; should it hang, at however many
# steps, all of them are told so before JOB_SECONDS are over, and none is cut off while the server takes it.
MAILS: Final = 24
# What is done together: few enough that each can be done alone within the lease, should they fail.
TOGETHER: Final = 48
# For how long what is done together is collected, and mails, which then share statements.
COLLECT_SECONDS: Final = 1.0
MAIL_SECONDS: Final = 0.25
JOB_SECONDS: Final = 60.0  # well inside the lease, so that no job is taken twice while it runs
SWEEP_SECONDS: Final = 60.0
# A shop that has just opened grows by the second.
GROWN_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 1.0
# Whoever a handler may have to wait for, by the name under which it was given them.
WAITED_FOR: Final = ("mailer", "till")

logger = logging.getLogger("storefront.worker")


async def run_worker(settings: Settings) -> None:
    """Work until cancelled. Trouble with the database pauses the worker, never ends it."""
    shop = build_parts(settings, application_name="storefront-worker")
    mailer, writer = create_mailer(settings), MailTemplates(settings)
    # What every feature that sends mails is given.
    mailing: dict[str, Any] = {
        "sessions": shop.sessions,
        "stores": shop.stores,
        "writer": writer,
        "mailer": mailer,
        "settings": settings,
        "clock": utc_now,
    }
    handlers: dict[str, Handler | Together] = {
        **order_jobs(**mailing),
        **account_jobs(**mailing),
        **newsletter_jobs(**mailing),
        **reminder_jobs(**mailing),
        **catalogue_jobs(**mailing),
        **checkout_jobs(till=shop.till, stores=shop.stores, clock=utc_now),
        **capturing_jobs(till=shop.till, stores=shop.stores, clock=utc_now),
        **saving_jobs(till=shop.till, clock=utc_now),
        **closing_jobs(sessions=shop.sessions, stores=shop.stores, writer=writer, mailer=mailer),
        **referral_jobs(sessions=shop.sessions, stores=shop.stores, clock=utc_now),
        **_test_payment_jobs(shop),
    }
    lanes = [(lane, asyncio.Event()) for lane in lanes_of(handlers)]
    # A payment is asked about once nobody can be waiting for its first answer any more.
    quiet = timedelta(seconds=max(settings.reconcile_seconds, 1))

    async def look() -> None:
        due = await queue.look_for_due(shop.sessions, now=utc_now())
        for lane, bell in lanes:
            if due is None or any(map(lane.kinds.has, due)):
                bell.set()

    async def ask() -> None:
        await reconcile(shop.till, shop.stores, now=utc_now(), quiet=quiet)

    async def tidy() -> None:
        await sweep(shop.sessions, now=utc_now(), keep=timedelta(seconds=settings.forget_seconds))
        await note_abandoned(
            shop.sessions, now=utc_now(), after=timedelta(seconds=settings.abandoned_seconds)
        )
        await sweep_accounts(shop.sessions, now=utc_now())
        await forget_requests(shop.sessions, now=utc_now())
        await forget_queries(shop.sessions, now=utc_now())
        await forget_old_wishes(shop.sessions, now=utc_now())
        await plan_recounts(
            shop.sessions, now=utc_now(), every=timedelta(seconds=settings.recount_sold_seconds)
        )

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_listen(settings.database_url, lanes))
            for lane, bell in lanes:
                tasks.create_task(_work(shop.sessions, handlers, lane, bell))
            tasks.create_task(_repeat(look, settings.queue_poll_seconds))
            tasks.create_task(_repeat(ask, settings.reconcile_seconds))
            tasks.create_task(_repeat(tidy, SWEEP_SECONDS))
            tasks.create_task(_repeat(partial(look_at_grown, shop.sessions), GROWN_SECONDS))
    finally:
        await mailer.close()
        await close_parts(shop)


def _test_payment_jobs(shop: Parts) -> Handlers:
    """How the events of the test service reach us: none in production, which has no such service."""
    if shop.settings.is_production:
        return {}
    from app.integrations.test_payments import DELIVER, TestPayments  # noqa: PLC0415 - development's alone

    test = shop.till.services[TestPayments.name]
    assert isinstance(test, TestPayments)
    host, port = _reachable(shop.settings.host), shop.settings.port
    address = f"http://{host}:{port}/storefront/v1/webhooks/test"
    return {DELIVER: lambda job: test.deliver(job.payload, address=address)}


class Lane(NamedTuple):
    """Jobs that are taken by themselves: which, how many at once, and how long after the word that there are some."""

    kinds: Kinds
    most: int = BATCH
    collect_seconds: float = 0.0


def lanes_of(handlers: Handlers) -> list[Lane]:
    """The kinds of jobs by whom they may have to wait for, then those that are done together; the last lane has those
    that wait for nobody.
    """
    waiting = {
        name: frozenset(
            kind
            for kind, handler in handlers.items()
            if isinstance(handler, partial) and name in handler.keywords
        )
        for name in WAITED_FOR
    }
    together = frozenset(kind for kind, handler in handlers.items() if isinstance(handler, Together))
    lanes = [
        *(
            Lane(Kinds(kinds, among=True), *((MAILS, MAIL_SECONDS) if name == "mailer" else ()))
            for name, kinds in waiting.items()
        ),
        Lane(Kinds(together, among=True), TOGETHER, COLLECT_SECONDS),
    ]
    return [*lanes, Lane(Kinds(frozenset().union(*(lane.kinds.named for lane in lanes))))]


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - compared, not bound


async def _repeat(step: Callable[[], Awaitable[object]], seconds: float) -> None:
    while True:
        try:
            await step()
        except Exception as problem:  # noqa: BLE001 - the next round tries again
            _complain("a round of the worker failed", problem)
        await asyncio.sleep(seconds)


def _complain(what: str, problem: Exception) -> None:
    """A line while the database is away, a traceback for what nobody foresaw."""
    away = isinstance(problem, (OSError, SQLAlchemyError, Unavailable, asyncpg.PostgresError))
    logger.warning("%s: %r", what, problem, exc_info=None if away else problem)


async def _listen(database_url: str, lanes: Sequence[tuple[Lane, asyncio.Event]]) -> None:
    """Ring where a job was committed, everywhere if it is not said which kind; without a connection the poll interval
    does the work.
    """

    def ring(*named: object) -> None:
        kind = str(named[-1]) if named else ""
        for lane, bell in lanes:
            if not kind or lane.kinds.has(kind):
                bell.set()

    while True:
        try:
            connection: Any = await asyncpg.connect(database_address(database_url).asyncpg, timeout=5)
            try:
                await connection.add_listener(CHANNEL, ring)
                ring()
                while not connection.is_closed():
                    await connection.fetchval("SELECT 1")
                    await asyncio.sleep(10)
            finally:
                connection.terminate()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
            logger.warning("not listening for jobs: %s", problem)
        await asyncio.sleep(PAUSE_SECONDS)


async def _work(sessions: Sessions, handlers: Handlers, lane: Lane, bell: asyncio.Event) -> None:
    while True:
        try:
            done = await work_once(sessions, handlers, lane.kinds, lane.most)
        except Exception as problem:  # noqa: BLE001 - what was leased comes back by itself
            _complain("the queue cannot be read", problem)
            done = 0
            await asyncio.sleep(PAUSE_SECONDS)
        if done < lane.most:
            # There are no more. The bell tells of each that comes, and of each whose time has come.
            await bell.wait()
            await asyncio.sleep(lane.collect_seconds)
            bell.clear()


async def work_once(
    sessions: Sessions,
    handlers: Handlers,
    kinds: Kinds = Kinds(),  # noqa: B008 - a constant: every job
    most: int = BATCH,
) -> int:
    """Take at most so many due jobs of these kinds and work on them side by side; how many there were."""
    jobs = await queue.take(sessions, now=utc_now(), most=most, kinds=kinds)
    alone: list[tuple[Handler, Job]] = []
    together: dict[str, tuple[Together, list[Job]]] = {}
    for job in jobs:
        handler = _worn_out if job.tries > queue.MAX_TRIES else handlers.get(job.kind, _unknown)
        if isinstance(handler, Together):
            together.setdefault(job.kind, (handler, []))[1].append(job)
        else:
            alone.append((handler, job))
    outcomes = Outcomes(sessions)
    await asyncio.gather(
        *(_run(handler, job, outcomes) for handler, job in alone),
        *(_run_together(handler, jobs, outcomes) for handler, jobs in together.values()),
    )
    return len(jobs)


async def _worn_out(job: Job) -> None:
    raise GiveUp(f"whoever did {job.kind} was ended each time before it could say how that went")


async def _unknown(job: Job) -> None:
    raise GiveUp(f"nobody knows how to do {job.kind}")


async def _run_together(handler: Together, jobs: Sequence[Job], outcomes: Outcomes) -> None:
    """Do jobs as one; where that fails each by itself, so that none stands in the way of the others."""
    if len(jobs) > 1:
        try:
            async with asyncio.timeout(JOB_SECONDS):
                await handler.do(jobs)
        except Exception as problem:  # noqa: BLE001 - they are tried one by one
            _complain(f"{len(jobs)} jobs {jobs[0].kind} could not be done together", problem)
        else:
            await _write_down(outcomes, *map(Outcome, jobs))
            return

    async def do(job: Job) -> None:
        await handler.do([job])

    for job in jobs:
        await _run(do, job, outcomes)


async def _run(handler: Handler, job: Job, outcomes: Outcomes) -> None:
    outcome = Outcome(job)
    try:
        async with asyncio.timeout(JOB_SECONDS):
            await handler(job)
    except Exception as problem:  # noqa: BLE001 - whatever went wrong, the job is put back or parked
        outcome = Outcome(job, f"{type(problem).__name__}: {problem}", isinstance(problem, GiveUp))
        logger.warning("job %s %s failed on try %s: %r", job.kind, job.id, job.tries, problem)
    if outcome.is_over:
        logger.error("job %s %s is given up: `storefront job` has it tried again", job.kind, job.id)
    await _write_down(outcomes, outcome)


async def _write_down(outcomes: Outcomes, *told: Outcome) -> None:
    try:
        await outcomes.write(*told)
    except Exception as problem:  # noqa: BLE001 - their leases run out, and they are taken again
        _complain("what became of jobs could not be written down", problem)
