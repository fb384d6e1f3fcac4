"""The worker: takes jobs from the queue, and keeps the clockwork of reconciling and sweeping going.

Jobs that wait for somebody else have a lane of their own: a mail server or a payment service that says nothing
holds up what waits for it, and nothing else.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

import asyncpg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.db.queue import Bell, GiveUp, Job, Kinds
from app.db.retries import run_transaction
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
from app.integrations.mail import MailTemplates, create_mailer
from app.integrations.test_payments import DELIVER, TestPayments
from app.kit.clock import utc_now
from app.kit.errors import Unavailable
from app.main import build_shop, close_shop
from app.settings import Settings

Handler = Callable[[Job], Awaitable[None]]

BATCH: Final = 6  # of each lane
JOB_SECONDS: Final = 60.0  # well inside the lease, so that no job is taken twice while it runs
SWEEP_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 1.0
# Whoever a handler may have to wait for, by the name under which it was given them.
WAITED_FOR: Final = ("mailer", "till")

logger = logging.getLogger("storefront.worker")


async def run_worker(settings: Settings) -> None:
    """Work until cancelled. Trouble with the database pauses the worker, never ends it."""
    shop = build_shop(settings, application_name="storefront-worker")
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
    handlers: dict[str, Handler] = {
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
    }
    test = shop.till.services.get(TestPayments.name)
    if isinstance(test, TestPayments):
        address = f"http://{_reachable(settings.host)}:{settings.port}/storefront/v1/webhooks/test"
        handlers[DELIVER] = lambda job: test.deliver(job.payload, address=address)
    lanes = [(kinds, Bell()) for kinds in lanes_of(handlers)]
    # A payment is asked about once nobody can be waiting for its first answer any more.
    quiet = timedelta(seconds=max(settings.reconcile_seconds, 1))

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

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_listen(settings.database_url, [bell for _, bell in lanes]))
            for kinds, bell in lanes:
                tasks.create_task(_work(shop.sessions, handlers, kinds, bell, settings.queue_poll_seconds))
            tasks.create_task(_repeat(ask, settings.reconcile_seconds))
            tasks.create_task(_repeat(tidy, SWEEP_SECONDS))
    finally:
        await close_shop(shop)


def lanes_of(handlers: Mapping[str, Handler]) -> list[Kinds]:
    """The kinds of jobs by whom they may have to wait for; the last lane has those that wait for nobody."""
    lanes = [
        Kinds(
            frozenset(
                kind
                for kind, handler in handlers.items()
                if isinstance(handler, partial) and name in handler.keywords
            ),
            among=True,
        )
        for name in WAITED_FOR
    ]
    return [*lanes, Kinds(frozenset().union(*(lane.named for lane in lanes)))]


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - compared, not bound


async def _repeat(step: Callable[[], Awaitable[None]], seconds: float) -> None:
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


async def _listen(database_url: str, bells: Sequence[Bell]) -> None:
    """Ring all whenever a job was committed; without a connection the poll interval does the work."""

    def ring(*_: object) -> None:
        for bell in bells:
            bell.ring()

    while True:
        try:
            connection: Any = await asyncpg.connect(database_address(database_url).asyncpg, timeout=5)
            try:
                await connection.add_listener(queue.CHANNEL, ring)
                ring()
                while not connection.is_closed():
                    await connection.fetchval("SELECT 1")
                    await asyncio.sleep(10)
            finally:
                connection.terminate()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
            logger.warning("not listening for jobs: %s", problem)
        await asyncio.sleep(PAUSE_SECONDS)


async def _work(
    sessions: Sessions, handlers: Mapping[str, Handler], kinds: Kinds, bell: Bell, poll_seconds: float
) -> None:
    while True:
        try:
            done = await work_once(sessions, handlers, kinds)
        except Exception as problem:  # noqa: BLE001 - what was leased comes back by itself
            _complain("the queue cannot be read", problem)
            done = 0
            await asyncio.sleep(PAUSE_SECONDS)
        if not done:
            await bell.wait(poll_seconds)


async def work_once(
    sessions: Sessions,
    handlers: Mapping[str, Handler],
    kinds: Kinds = Kinds(),  # noqa: B008 - a constant: every job
    most: int = BATCH,
) -> int:
    """Take at most so many due jobs of these kinds and work on them side by side; how many there were."""
    # What was leased by a COMMIT whose answer was lost comes back when its lease runs out.
    jobs = await run_transaction(
        sessions, lambda session: queue.take(session, now=utc_now(), most=most, kinds=kinds), repeatable=True
    )
    await asyncio.gather(*(_run(sessions, handlers, job) for job in jobs))
    return len(jobs)


async def _unknown(job: Job) -> None:
    raise GiveUp(f"nobody knows how to do {job.kind}")


async def _run(sessions: Sessions, handlers: Mapping[str, Handler], job: Job) -> None:
    problem: Exception | None = None
    try:
        async with asyncio.timeout(JOB_SECONDS):
            await handlers.get(job.kind, _unknown)(job)
    except Exception as error:  # noqa: BLE001 - whatever went wrong, the job is put back or parked
        problem = error
        logger.warning("job %s %s failed on try %s: %r", job.kind, job.id, job.tries, error)

    async def write_off(session: AsyncSession) -> None:
        if problem is None:
            await queue.finish(session, job, now=utc_now())
        else:
            await queue.fail(
                session,
                job,
                reason=f"{type(problem).__name__}: {problem}",
                now=utc_now(),
                for_good=isinstance(problem, GiveUp),
            )

    try:
        await run_transaction(sessions, write_off, repeatable=True)
    except Exception as error:  # noqa: BLE001 - its lease runs out, and the job is taken again
        _complain(f"job {job.id} could not be written off", error)
