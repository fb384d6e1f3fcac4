"""How a product file gets into a store: rows wait in a temporary table, then products load batch by batch.

The waiting table makes the order of rows irrelevant and keeps memory flat. It lives as long as the
connection, so that every batch can be a transaction of its own: a caller gives a session bound to one
connection and commits after `stage_rows`, after each `load_batch` and each `relate_batch`. A run that breaks off is finished by
running it again: what is there already is compared and left alone.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.session import raw_connection
from app.domain.catalogue.csv_columns import Columns
from app.domain.catalogue.import_load import Loader, Outcome
from app.domain.catalogue.import_products import Assembler, ImportProduct
from app.domain.catalogue.import_rows import ImportRow
from app.domain.catalogue.relating import relate_products
from app.domain.catalogue.shopify_csv import Issue

BATCH_ROWS: Final = 1_000

_DROP: Final = "DROP TABLE IF EXISTS pg_temp.import_rows, pg_temp.import_batches"
_MAKE: Final = "CREATE TEMPORARY TABLE import_rows (line integer, handle text, data text)"
# A product never falls into two batches: the batch follows from the rows of all products up to it.
_BATCHES: Final = f"""
CREATE TEMPORARY TABLE import_batches AS
SELECT handle, (sum(rows) OVER (ORDER BY first_line) - 1)::bigint / {BATCH_ROWS} AS batch
FROM (SELECT handle, count(*) AS rows, min(line) AS first_line FROM import_rows GROUP BY handle) handles
"""  # noqa: S608 - the number is ours
_ANALYZE: Final = (
    "ANALYZE products, product_options, option_values, product_images, variants, variant_values,"
    " stock_items, product_documents, variant_documents, shelf_documents"
)
_NUMBERS: Final = text("SELECT batch, count(*) AS products FROM import_batches GROUP BY batch ORDER BY batch")
_ROWS: Final = text(
    """
    SELECT r.data FROM import_rows r JOIN import_batches b USING (handle)
    WHERE b.batch = :batch ORDER BY r.handle, r.line
    """
)
_RELATED: Final = text(
    """
    SELECT p.id FROM products p JOIN import_batches b USING (handle)
    WHERE p.store_id = :store_id AND b.batch = :batch ORDER BY p.id FOR NO KEY UPDATE OF p
    """
)
_decode: Final = msgspec.json.Decoder(ImportRow).decode
_encode: Final = msgspec.json.Encoder().encode


async def refresh_statistics(session: AsyncSession) -> None:
    """Let the planner see how full the tables have become.

    A load into an empty store would otherwise go on with plans that were made for empty tables: 10,000
    rows took 11 to 31 s without, 4 s with it.
    """
    await session.execute(text(_ANALYZE))


async def open_staging(session: AsyncSession) -> None:
    """Make the empty waiting table of this connection."""
    await session.execute(text(_DROP))
    await session.execute(text(_MAKE))


async def close_staging(session: AsyncSession) -> None:
    await session.execute(text(_DROP))


async def stage_rows(session: AsyncSession, rows: Iterable[ImportRow]) -> None:
    """Add rows to the waiting table, by COPY inside the session's transaction."""
    records = [(row.line, row.handle, _encode(row).decode()) for row in rows]
    if records:
        connection = await raw_connection(session)
        await connection.copy_records_to_table(
            "import_rows", records=records, columns=["line", "handle", "data"], schema_name="pg_temp"
        )


async def list_batches(session: AsyncSession) -> list[tuple[int, int]]:
    """Close the waiting table and cut it into batches: (number, products) each."""
    await session.execute(text("CREATE INDEX ON import_rows (handle)"))
    await session.execute(text(_BATCHES))
    await session.execute(text("ANALYZE import_rows, import_batches"))
    return [(row.batch, row.products) for row in await session.execute(_NUMBERS)]


async def load_batch(
    session: AsyncSession,
    store_id: int,
    batch: int,
    columns: Columns,
    *,
    now: datetime,
    skip_existing: bool = False,
) -> tuple[Outcome, list[Issue]]:
    """Load one batch into the store and say what became of it. Repeating it changes nothing.

    Locks products, then stock, in key order. Raises IntegrityError where another import makes the same
    product at the same moment; the batch can then be repeated.
    """
    assembler = Assembler(columns)
    products: list[ImportProduct] = []
    left_out = 0
    same: list[ImportRow] = []
    rows = [_decode(data) for data in (await session.scalars(_ROWS, {"batch": batch})).all()]
    for place, row in enumerate(rows, 1):
        same.append(row)
        if place == len(rows) or rows[place].handle != row.handle:
            product = assembler.assemble(same)
            same = []
            if product is None:
                left_out += 1
            else:
                products.append(product)
    products.sort(key=lambda product: product.line)
    loader = Loader(session, store_id, columns, now=now, skip_existing=skip_existing)
    outcome = await loader.load(products)
    outcome.left_out += left_out
    issues = sorted([*assembler.issues, *loader.issues], key=lambda issue: issue.line)
    return outcome, issues


async def relate_batch(session: AsyncSession, store_id: int, batch: int) -> None:
    """Find anew what the products of one batch have in common with others, once those of later batches are there.

    Locks them in key order. Repeating it changes nothing.
    """
    found = await session.scalars(_RELATED, {"store_id": store_id, "batch": batch})
    await relate_products(session, store_id, list(found))
