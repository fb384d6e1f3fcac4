"""`storefront dev`: everything a shop needs, in one command, and nothing left of it afterwards."""

import http.client
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from app.cli.environment import child_environ, noted_port, production_checked_settings
from app.cli.supervisor import Supervisor, start_command, supervisor
from app.settings import Settings

READY_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.05


@click.command()
def command() -> None:
    """Run the whole shop here: embedded databases, server processes and one worker.

    DATABASE_URL and REDIS_URL name running servers instead. The first start fills the empty shop with
    the demo catalogue. Ctrl-C ends everything that was started.
    """
    began = time.monotonic()
    settings = production_checked_settings()
    _check_port(settings)
    console = Console(stderr=False, highlight=False)
    with noted_port(settings), supervisor() as parts:
        settings = start_databases(settings, parts)
        from app.cli.demo import load_demo_if_empty  # noqa: PLC0415 - loaded while nothing waits for it
        from app.cli.first_store import make_first_store  # noqa: PLC0415 - as above
        from app.db.migrations import migrate_now  # noqa: PLC0415 - as above

        migrate_now(settings.database_url)
        if settings.demo:
            load_demo_if_empty(settings)
        else:
            make_first_store(settings.database_url)
        environ = child_environ(settings)
        parts.add("server", lambda: start_command("serve", environ))
        if not _wait_until_ready(settings, parts):
            return
        # After the server: it answers sooner when nothing else is loading.
        parts.add("worker", lambda: start_command("worker", environ))
        console.print(_banner(settings, time.monotonic() - began))
        parts.run()
        console.print("\nStopping.", style="dim")


def start_databases(settings: Settings, parts: Supervisor) -> Settings:
    """Start what no URL was given for, under supervision; the sockets, and so the URLs, stay when one restarts."""
    if not settings.database_url:
        from app.integrations.embedded.postgres import start_postgres  # noqa: PLC0415 - only where wanted

        postgres = parts.add("PostgreSQL", lambda: start_postgres(settings.data_dir / "postgres"))
        settings = replace(settings, database_url=postgres.url)
    if not settings.redis_url:
        from app.integrations.embedded.redis import start_redis  # noqa: PLC0415 - as above

        redis = parts.add("Redis", lambda: start_redis(settings.data_dir / "redis", keeps=True))
        settings = replace(settings, redis_url=redis.url)
    return settings


def _check_port(settings: Settings) -> None:
    """Before anything is started: the commonest way for a start to fail."""
    from app.cli.server import claim_port  # noqa: PLC0415 - see above

    claim_port(settings.host, settings.port).close()


def _wait_until_ready(settings: Settings, parts: Supervisor) -> bool:
    """Whether the API answers; False when told to stop meanwhile. A part that falls now cannot start."""
    deadline = time.monotonic() + READY_SECONDS
    while not _answers(settings):
        fallen = parts.fallen()
        if fallen:
            raise click.ClickException(f"the {fallen} could not start; its message stands above")
        if time.monotonic() > deadline:
            raise click.ClickException(f"the server did not become ready within {READY_SECONDS:g} seconds")
        if not parts.poll(POLL_SECONDS):
            return False
    return True


def _answers(settings: Settings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    connection = http.client.HTTPConnection(host, settings.port, timeout=5)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _banner(settings: Settings, seconds: float) -> Panel:
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim")
    lines.add_column()
    lines.add_row("Shop", f"[link={settings.public_url}/]{settings.public_url}/[/link]")
    lines.add_row("API", f"{settings.public_url}/storefront/v1/products")
    lines.add_row("API docs", f"{settings.public_url}/docs")
    if not settings.smtp_url:
        lines.add_row("Mails", _short(settings, "mails"))
    lines.add_row("Data", _short(settings, ""))
    lines.add_row("", "")
    lines.add_row("Stop", "Ctrl-C")
    return Panel(
        lines,
        title=f"[bold]Storefront[/bold] is open [dim]({seconds:.1f} s)[/dim]",
        title_align="left",
        border_style="green",
        expand=False,
        padding=(1, 2),
    )


def _short(settings: Settings, name: str) -> str:
    path = settings.data_dir / name
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
