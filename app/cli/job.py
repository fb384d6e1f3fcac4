"""`storefront job`: what the worker has given up, for people to have it tried again or to let it be."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import click
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.environment import production_checked_settings, with_databases
from app.db.parked import Parked, dismiss_parked, list_parked, retry_parked
from app.db.retries import run_transaction
from app.db.session import create_engine, create_sessions
from app.kit.clock import isoformat, utc_now
from app.settings import Settings

T = TypeVar("T")
Work = Callable[[AsyncSession], Awaitable[T]]

numbers_argument = click.argument("numbers", type=click.IntRange(min=1), nargs=-1)
kind_option = click.option("--kind", "kinds", multiple=True, help="Those of this kind, as orders.confirm.")


@click.group()
def command() -> None:
    """Look at what the worker has given up, mails and payments among them, and have it tried again."""


@command.command("list")
@kind_option
def list_(kinds: tuple[str, ...]) -> None:
    """Show what was given up: number, kind, what it is about, since when, and why the last try failed."""
    found = _work_on_jobs(partial(list_parked, kinds=kinds or None))
    for one in found:
        click.echo(_told(one))
    if not found:
        click.echo("Nothing was given up.")


@command.command()
@numbers_argument
@kind_option
@click.option("--all", "everything", is_flag=True, help="All of them.")
def retry(numbers: tuple[int, ...], kinds: tuple[str, ...], everything: bool) -> None:
    """Have the jobs NUMBERS tried again, from the first try on, once what stood in their way is mended.

    A job that did its work before does not do it twice.
    """
    if bool(numbers) + bool(kinds) + everything != 1:
        raise click.UsageError("Name the jobs by their numbers, by --kind, or say --all.")
    work = partial(retry_parked, ids=numbers or None, kinds=kinds or None, now=utc_now())
    _say(_work_on_jobs(work), numbers, "is tried again", "are tried again")


@command.command()
@numbers_argument
def dismiss(numbers: tuple[int, ...]) -> None:
    """Let the jobs NUMBERS be: you have seen to what they were for, and nothing is tried any more."""
    if not numbers:
        raise click.UsageError("Name the jobs by their numbers.")
    work = partial(dismiss_parked, ids=numbers, now=utc_now())
    _say(_work_on_jobs(work), numbers, "is over", "are over")


def _say(done: list[int], wanted: tuple[int, ...], one: str, many: str) -> None:
    if missing := sorted(set(wanted) - set(done)):
        click.echo(f"not among those that were given up: {', '.join(map(str, missing))}", err=True)
    if not done:
        raise click.ClickException("nothing of that kind was given up")
    click.echo(f"{len(done)} {'job' if len(done) == 1 else 'jobs'} {one if len(done) == 1 else many}")


def _told(job: Parked) -> str:
    store = f" of {job.store}" if job.store else ""
    row = f"{job.id:>6}  {job.kind}  {job.dedupe_key}{store}  {isoformat(job.created_at)}  {job.reason}"
    # A service or a mail server wrote parts of it.
    return "".join(sign if sign.isprintable() else " " for sign in row).rstrip()


def _work_on_jobs(work: Work[T]) -> T:
    """What `work` comes to in a transaction over the jobs of all stores."""
    with with_databases(production_checked_settings()) as settings:
        return asyncio.run(_work(settings, work))


async def _work(settings: Settings, work: Work[T]) -> T:
    engine = create_engine(settings.database_url, pool_size=1, application_name="storefront command")
    try:
        # Said twice, a job is tried, or let be, once all the same.
        return await run_transaction(create_sessions(engine), work, repeatable=True)
    finally:
        await engine.dispose()
