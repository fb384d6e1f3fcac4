"""`storefront coupon create`: codes for a promotion, named ones or many that nobody can guess."""

from typing import Final

import click
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.in_store import store_option, work_in_store
from app.domain.promotions.applying import MOST_CODES, create_coupons
from app.domain.promotions.codes import LONGEST_CODE
from app.domain.stores.models import Store

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
@store_option
def create(
    promotion: str, codes: tuple[str, ...], count: int | None, prefix: str, uses: int | None, code: str
) -> None:
    """Make CODES for the PROMOTION of this handle, or with --count new ones, and print one a line.

    The promotion's own limits hold over all of its codes. All of them are made, or none.
    """
    if bool(codes) == (count is not None):
        raise click.UsageError("Name codes, or say with --count how many to make.")
    for text, longest in (*((one, LONGEST_CODE) for one in codes), (prefix, LONGEST_PREFIX)):
        if len(text) > longest or any(letter.isspace() for letter in text):
            raise click.UsageError(f"At most {longest} characters, and no spaces: {text!r}")

    async def make(session: AsyncSession, store: Store) -> list[str]:
        return await create_coupons(
            session,
            store.id,
            handle=promotion,
            codes=[one for one in codes if one],
            count=count or 0,
            prefix=prefix,
            max_uses=uses,
        )

    for made in work_in_store(code, make):
        click.echo(made)
