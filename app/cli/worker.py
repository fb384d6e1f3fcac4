"""`storefront worker`: one process that runs the queue until it is told to stop."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any

import click
import uvloop

from app.cli.environment import production_checked_settings, with_databases
from app.integrations.embedded.child import take_turns
from app.log import configure_logging


@click.command()
def command() -> None:
    """Run a worker: mails, webhooks, sweeps and whatever else was queued.

    Any number of them may run; each job is taken by one. SIGTERM ends it; a job in
    hand goes back to the queue.
    """
    take_turns()
    with with_databases(production_checked_settings(), redis=True) as settings:
        configure_logging(level=settings.log_level, form=settings.log_format)
        from app.worker import run_worker  # noqa: PLC0415 - after the settings were found fit

        uvloop.run(_until_told(run_worker(settings)))


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    """Cancel the work on SIGTERM and Ctrl-C, and let it put away what it holds."""
    task = asyncio.ensure_future(work)
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
