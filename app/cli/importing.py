"""How a product file runs through the import: read, staged and loaded, a transaction for each batch."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.domain.catalogue.import_load import Outcome
from app.domain.catalogue.import_rows import ImportRow, RowReader
from app.domain.catalogue.importing import (
    BATCH_ROWS,
    close_staging,
    list_batches,
    load_batch,
    open_staging,
    refresh_statistics,
    relate_batch,
    stage_rows,
)
from app.domain.catalogue.shopify_csv import Issue, Table, open_table
from app.kit.clock import utc_now

TRIES: Final = 3
# Serialization failure, deadlock, lock timeout, and a product that another import made first.
_PASSING: Final = frozenset({"40001", "40P01", "55P03", "23505"})

T = TypeVar("T")
Progress = Callable[[str, int, int], None]
Tell = Callable[[Issue], None]


class Summary(msgspec.Struct):
    """What a run came to. `left_out` says whether any row or part of a row could not be loaded."""

    rows: int
    outcome: Outcome
    seconds: float
    left_out: bool

    @property
    def changed(self) -> bool:
        outcome = self.outcome
        return bool(outcome.created or outcome.updated or outcome.stock_changed)


async def import_products(
    engine: AsyncEngine,
    store_id: int,
    currency: str,
    path: Path,
    *,
    skip_existing: bool = False,
    hidden_handles: Collection[str] = (),
    rewrite_image: Callable[[str], str] | None = None,
    tell: Tell = lambda _: None,
    progress: Progress = lambda *_: None,
) -> Summary:
    """Load a product file into a store. Raises FileError where the file is none.

    Each batch is a transaction of its own, so shoppers never wait for more than one; a run that is cut
    off leaves whole products behind, and the next run does the rest.
    """
    began = time.monotonic()
    errors = 0

    def hear(issue: Issue) -> None:
        nonlocal errors
        errors += issue.level == "error"
        tell(issue)

    total = Outcome()
    with path.open("rb") as source:
        table = open_table(source)
        size = os.fstat(source.fileno()).st_size
        for issue in table.issues:
            hear(issue)
        reader = RowReader(
            table.columns, currency=currency, hidden_handles=hidden_handles, rewrite_image=rewrite_image
        )
        # The waiting table lives on this connection, across commits.
        async with (
            engine.connect() as connection,
            AsyncSession(connection, expire_on_commit=False) as session,
        ):
            await open_staging(session)
            await session.commit()
            rows = 0
            for batch in _batches(table, reader, hear):
                await stage_rows(session, batch)
                await session.commit()
                rows += len(batch)
                progress("Reading", table.position(), size)
            batches = await list_batches(session)
            await session.commit()
            done, products = 0, sum(count for _, count in batches)
            for run, (number, count) in enumerate(batches, 1):
                load = partial(
                    load_batch,
                    session,
                    store_id,
                    number,
                    table.columns,
                    now=utc_now(),
                    skip_existing=skip_existing,
                )
                outcome, issues = await _committed(session, load)
                for issue in issues:
                    hear(issue)
                total.add(outcome)
                if outcome.created and run.bit_count() == 1:  # after the first, second, fourth, eighth ...
                    await refresh_statistics(session)
                    await session.commit()
                done += count
                progress("Loading", done, products)
            # What came with a later batch stands beside products of the earlier ones, and of those that stood there.
            for number, _ in batches if total.created or total.updated else ():
                await _committed(session, partial(relate_batch, session, store_id, number))
            await close_staging(session)
            await session.commit()
    return Summary(rows, total, time.monotonic() - began, left_out=errors > 0)


def _batches(table: Table, reader: RowReader, tell: Tell) -> Iterator[list[ImportRow]]:
    batch: list[ImportRow] = []
    for item in table.rows:
        if isinstance(item, Issue):
            tell(item)
            continue
        row = reader.read(item)
        for issue in reader.issues:
            tell(issue)
        reader.issues.clear()
        if row is not None:
            batch.append(row)
        if len(batch) >= BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


async def _committed(session: AsyncSession, work: Callable[[], Awaitable[T]]) -> T:
    """Do the work of one batch and commit it; again where it failed in a way that passes by itself."""
    for attempt in range(1, TRIES + 1):
        try:
            result = await work()
            await session.commit()
        except DBAPIError as error:
            await session.rollback()
            if attempt == TRIES or getattr(error.orig, "sqlstate", "") not in _PASSING:
                raise
            await asyncio.sleep(0.1 * attempt)  # leaves the other transaction time to end
        else:
            return result
    raise AssertionError("the last try answers or raises")
