"""`storefront rebuild-documents`: what readers are shown of products, made anew from the tables while the shop runs."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

import click
from rich.console import Console
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.environment import production_checked_settings, with_databases
from app.cli.import_ import Bar
from app.db.retries import run_transaction
from app.db.session import Sessions, create_engine, create_sessions
from app.domain.catalogue.presence import count_products, list_product_ids
from app.domain.catalogue.refreshing import rebuild_products
from app.domain.stores.models import Store
from app.settings import Settings

# So many products are locked at a time: whoever saves one of them waits a moment and no longer.
BATCH: Final = 100


@click.command()
@click.option("--store", metavar="CODE", help="Of this store only; else of all.")
def command(store: str | None) -> None:
    """Make the documents and search texts of all products anew.

    They follow every write by themselves; this is for after a restored backup, or a release that shows more.
    Shoppers are served meanwhile. It can be stopped and repeated at any time.
    """
    with with_databases(production_checked_settings()) as settings:
        for line in asyncio.run(_run(settings, store)):
            click.echo(line)


async def _run(settings: Settings, code: str | None) -> list[str]:
    engine = create_engine(settings.database_url, pool_size=1, application_name="storefront rebuild")
    sessions = create_sessions(engine)
    try:
        async with sessions() as session:
            wanted = select(Store.id, Store.code).order_by(Store.id)
            if code is not None:
                wanted = wanted.where(Store.code == code)
            stores = (await session.execute(wanted)).all()
        if code is not None and not stores:
            raise click.ClickException(f"there is no store {code!r}")
        with Bar(Console(stderr=True)) as bar:
            return [await _rebuild(sessions, store.id, store.code, bar) for store in stores]
    finally:
        await engine.dispose()


async def _rebuild(sessions: Sessions, store_id: int, code: str, bar: Bar) -> str:
    async with sessions() as session:
        total = await count_products(session, store_id)
    done = changed = after = 0
    while True:
        async with sessions() as session:
            ids = await list_product_ids(session, store_id, after=after, most=BATCH)
        if not ids:
            return f"{code}: {done} products, {changed} documents were not as they should be."
        work = partial(_one_batch, store_id=store_id, ids=ids)
        changed += await run_transaction(sessions, work, repeatable=True)
        done, after = done + len(ids), ids[-1]
        bar.show(code, done, max(total, done))


async def _one_batch(session: AsyncSession, *, store_id: int, ids: Sequence[int]) -> int:
    return await rebuild_products(session, store_id, ids)
