"""`storefront doctor --audit`: whether stock, orders, money and jobs add up, and each row that does not."""

import asyncio
from collections.abc import Sequence
from typing import Final

import asyncpg
import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.cli.environment import with_databases
from app.db.audit import AMOUNTS, Breach, run_audit
from app.db.migrations import current_revision
from app.db.schema import head_revision
from app.db.session import CONNECT_SECONDS, database_address
from app.kit.clock import utc_now
from app.settings import Settings

# A large shop takes longer to read than any request may.
STATEMENT_TIMEOUT: Final = "600000"
# Where the output is no terminal it is read by programs or in logs: lines are not to be folded.
WIDTH_OF_FILES: Final = 200


def audit(settings: Settings) -> None:
    """Print each breach and end with status 1, or say that all is clean."""
    with with_databases(settings) as reached:
        breaches, stores, seen = asyncio.run(_find_breaches(reached))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH_OF_FILES)
    looked_at = f"Looked at: {', '.join(f'{what} {count:,}' for what, count in seen.items())}."
    if not breaches:
        console.print("clean")
        console.print(looked_at)
        return
    console.print(_table(breaches, stores))
    console.print(f"{len(breaches)} breaches" if len(breaches) > 1 else "1 breach")
    console.print(looked_at)
    raise SystemExit(1)


def _table(breaches: Sequence[Breach], stores: dict[int, str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("check", "store", "row", "what is wrong"):
        table.add_column(heading, overflow="fold")
    for breach in breaches:
        store = "" if breach.store_id is None else stores.get(breach.store_id, str(breach.store_id))
        table.add_row(*map(escape, (breach.check, store, breach.subject, breach.detail)))
    return table


async def _find_breaches(settings: Settings) -> tuple[list[Breach], dict[int, str], dict[str, int]]:
    """The breaches of all stores, each store's code, and how much there was to look at.

    Reads one snapshot, and can write nothing.
    """
    current = await current_revision(settings.database_url)
    if current != head_revision():
        raise click.ClickException(
            f"the schema is at {current or 'its beginning'}, not {head_revision()}: run `storefront migrate`"
        )
    connection = await asyncpg.connect(
        database_address(settings.database_url).asyncpg,
        timeout=CONNECT_SECONDS,
        server_settings={
            "application_name": "storefront doctor",
            "statement_timeout": STATEMENT_TIMEOUT,
            "jit": "off",
        },
    )
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            rows = await connection.fetch("SELECT id, code FROM stores")
            seen = dict(await connection.fetchrow(AMOUNTS))
            return await run_audit(connection, utc_now()), {row["id"]: row["code"] for row in rows}, seen
    finally:
        await connection.close()
