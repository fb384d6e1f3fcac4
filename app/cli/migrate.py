"""`storefront migrate`: the database schema, up to date or back to a revision."""

import os

import click

from app.cli.environment import with_databases
from app.cli.first_store import make_first_store
from app.db.migrations import alembic_config, migrate_now
from app.settings import load_settings


@click.command()
@click.option("--down", metavar="REVISION", help="Go back to this revision; `base` empties the schema.")
@click.option("--new", metavar="MESSAGE", help="Write an empty revision to fill in.")
def command(down: str | None, new: str | None) -> None:
    """Bring the database schema up to date.

    Safe to run from several places at once: one of them does it, the others find it done.
    """
    if new:
        from alembic import command as alembic  # noqa: PLC0415 - needed here only

        alembic.revision(alembic_config(), message=new)
        return
    with with_databases(load_settings(os.environ)) as settings:
        before, after = migrate_now(settings.database_url, down or "head", down=down is not None)
        made = down is None and make_first_store(settings.database_url)
    if before == after:
        click.echo(f"The schema is at {after or 'its beginning'} already.")
    else:
        click.echo(f"The schema went from {before or 'its beginning'} to {after or 'its beginning'}.")
    if made:
        click.echo("The store `default` was made; `storefront apply` sets it up.")
