"""Product files for tests: small ones written on the spot, and how they are read and loaded."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from app.cli.importing import Summary, import_products
from app.domain.catalogue.import_rows import ImportRow, RowReader
from app.domain.catalogue.shopify_csv import Issue, open_table
from app.domain.stores.models import Store


def csv_bytes(header: Sequence[str], *rows: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def table_bytes(text: str) -> bytes:
    """A file from a table for people: cells between bars, blanks around them dropped."""
    lines = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    return csv_bytes(*lines)


def read_rows(
    content: bytes, *, currency: str = "USD", hidden: Sequence[str] = ()
) -> tuple[list[ImportRow], list[Issue]]:
    """Every row that can be loaded, and everything that was told."""
    table = open_table(io.BytesIO(content))
    reader = RowReader(table.columns, currency=currency, hidden_handles=hidden)
    rows: list[ImportRow] = []
    told: list[Issue] = list(table.issues)
    for item in table.rows:
        if isinstance(item, Issue):
            told.append(item)
        elif row := reader.read(item):
            rows.append(row)
    return rows, [*told, *reader.issues]


async def load_file(
    engine: AsyncEngine,
    store: Store,
    path: Path,
    *,
    skip_existing: bool = False,
) -> tuple[Summary, list[Issue]]:
    """Run a file through the import."""
    told: list[Issue] = []
    summary = await import_products(
        engine,
        store.id,
        store.currency,
        path,
        skip_existing=skip_existing,
        hidden_handles={"search"},
        tell=told.append,
    )
    return summary, told
