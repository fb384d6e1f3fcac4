"""Whether calls have left the database as it was, to the last column of the last row."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text

from app.db.session import Sessions

_TABLES = text("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")


@asynccontextmanager
async def nothing_written(sessions: Sessions, *, but: str = "") -> AsyncIterator[None]:
    """Every table, `but` one, is the same afterwards. Sequences may advance; rows may not change."""
    before = await _stored(sessions, but)
    yield
    after = await _stored(sessions, but)
    assert [table for table in after if after[table] != before[table]] == []


async def _stored(sessions: Sessions, but: str) -> dict[str, Any]:
    async with sessions() as session:
        return {
            table: (
                await session.execute(
                    text(f"SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {table} t")
                )
            ).one()
            for table in await session.scalars(_TABLES)
            if table != but
        }
