"""Whether calls have left the database as it was, to the last column of the last row."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text

from app.db.base import Base
from app.db.session import Sessions

# What shoppers read and only the shop writes; a call could leave something behind in any other table.
SHOPS_OWN = {
    "blog_categories", "blog_posts", "categories", "category_collections", "collection_products", "collections",
    "market_prices", "option_values", "pages", "product_documents", "product_images", "product_options",
    "product_types", "products", "search_words", "shelf_documents", "shipping_options", "shipping_zones",
    "store_payment_services", "stores", "tax_rates", "variant_documents", "variant_values", "variants",
}  # fmt: skip


@asynccontextmanager
async def nothing_written(sessions: Sessions, *, but: Collection[str] = ()) -> AsyncIterator[None]:
    """Every table that a shopper's call can write is the same afterwards, to the last column. Sequences may advance."""
    before = await _stored(sessions, but)
    yield
    after = await _stored(sessions, but)
    changed = [table for table in after if after[table] != before[table]]
    assert changed == [], changed


async def _stored(sessions: Sessions, but: Collection[str]) -> dict[str, Any]:
    """How many rows each table has and what they add up to, in one statement: the fewer, the sooner."""
    tables = sorted(Base.metadata.tables.keys() - SHOPS_OWN - set(but))
    parts = (
        f"SELECT '{table}' AS name, count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {table} t"
        for table in tables
    )
    async with sessions() as session:
        return {row[0]: row[1:] for row in await session.execute(text(" UNION ALL ".join(parts)))}
