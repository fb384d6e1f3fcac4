"""How a command does something in one store: with its databases, in one transaction, faults told in a line."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import click
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.environment import production_checked_settings, with_databases
from app.db.retries import run_transaction
from app.db.session import create_engine, create_sessions
from app.domain.stores.applying import find_store
from app.domain.stores.models import Store
from app.domain.stores.service import DEFAULT_STORE
from app.kit.errors import AppError
from app.kit.money import MoneyError, to_minor
from app.settings import Settings

T = TypeVar("T")
Work = Callable[[AsyncSession, Store], Awaitable[T]]

store_option: Final = click.option(
    "--store", "code", default=DEFAULT_STORE, show_default=True, metavar="CODE", help="The store it is about."
)


def work_in_store(code: str, work: Work[T]) -> T:
    """What `work` comes to in the store of that code; all of it is done, or nothing. It may be begun anew."""
    with with_databases(production_checked_settings()) as settings:
        return asyncio.run(_work(settings, code, work))


def read_amount(text: str, currency: str) -> int:
    """An amount that was typed, as 12.50, in minor units; a fault ends the command."""
    try:
        minor = to_minor(text, currency)
    except MoneyError as error:
        raise click.BadParameter(str(error), param_hint="AMOUNT") from error
    if minor <= 0:
        raise click.BadParameter("must be more than nothing", param_hint="AMOUNT")
    return minor


async def _work_in(session: AsyncSession, code: str, work: Work[T]) -> T:
    store = await find_store(session, code)
    if store is None:
        raise click.ClickException(f"there is no store {code!r}; `storefront apply` makes one")
    return await work(session, store)


async def _work(settings: Settings, code: str, work: Work[T]) -> T:
    engine = create_engine(settings.database_url, pool_size=1, application_name="storefront command")
    try:
        # What collides with a request, or with a worker, is done anew as theirs is. Where nobody knows whether it
        # took effect it is not: said twice, a gift card would be two.
        return await run_transaction(
            create_sessions(engine), lambda session: _work_in(session, code, work), repeatable=False
        )
    except AppError as error:
        raise click.ClickException(error.message) from error
    finally:
        await engine.dispose()
