"""`storefront coupon create`: codes for a promotion, named ones or many that nobody can guess."""

import asyncio
from typing import Final

import click

from app.cli.environment import production_checked_settings, with_databases
from app.db.session import create_engine, create_sessions, transaction
from app.domain.promotions.applying import MOST_CODES, create_coupons
from app.domain.promotions.codes import LONGEST_CODE
from app.domain.stores.applying import find_store
from app.domain.stores.service import DEFAULT_STORE
from app.kit.errors import AppError
from app.settings import Settings

# It leaves room for the part that is drawn.
LONGEST_PREFIX: Final = 20


@click.group()
def command() -> None:
    """Make codes for a promotion."""


@command.command()
@click.argument("promotion")
@click.argument("codes", nargs=-1)
@click.option(
    "--count", type=click.IntRange(1, MOST_CODES), help="Make so many new codes instead of naming them."
)
@click.option("--prefix", default="", help="What new codes begin with.")
@click.option("--uses", type=click.IntRange(1), help="How often each code may be used; without it, no limit.")
@click.option("--store", default=DEFAULT_STORE, show_default=True, metavar="CODE", help="The store.")
def create(
    promotion: str, codes: tuple[str, ...], count: int | None, prefix: str, uses: int | None, store: str
) -> None:
    """Make CODES for the PROMOTION of this handle, or with --count new ones, and print one a line.

    The promotion's own limits hold over all of its codes. All of them are made, or none.
    """
    if bool(codes) == (count is not None):
        raise click.UsageError("Name codes, or say with --count how many to make.")
    for code in codes:
        if not code.strip() or len(code) > LONGEST_CODE or any(letter.isspace() for letter in code):
            raise click.UsageError(f"A code has up to {LONGEST_CODE} characters and no spaces: {code!r}")
    if len(prefix) > LONGEST_PREFIX or any(letter.isspace() for letter in prefix):
        raise click.UsageError(f"A prefix has up to {LONGEST_PREFIX} characters and no spaces.")
    with with_databases(production_checked_settings()) as settings:
        made = asyncio.run(_run(settings, store, promotion, codes, count or 0, prefix, uses))
    for code in made:
        click.echo(code)


async def _run(
    settings: Settings,
    store_code: str,
    promotion: str,
    codes: tuple[str, ...],
    count: int,
    prefix: str,
    uses: int | None,
) -> list[str]:
    engine = create_engine(settings.database_url, pool_size=1, application_name="storefront coupon")
    try:
        async with transaction(create_sessions(engine)) as session:
            store = await find_store(session, store_code)
            if store is None:
                raise click.ClickException(f"There is no store {store_code!r}.")
            return await create_coupons(
                session,
                store.id,
                handle=promotion,
                codes=codes,
                count=count,
                prefix=prefix,
                max_uses=uses,
            )
    except AppError as error:
        raise click.ClickException(error.message) from error
    finally:
        await engine.dispose()
