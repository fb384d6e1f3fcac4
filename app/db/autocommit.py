"""Single statements that are a transaction each: no BEGIN, no COMMIT and no ORM around them."""

from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.reads import LOST
from app.db.session import Sessions
from app.kit.errors import UNAVAILABLE, Unavailable

TRIES: Final = 2


async def run_statement(sessions: Sessions, sql: str, *values: Any) -> list[asyncpg.Record]:
    """Run one statement on a connection of these sessions; it has taken effect when this returns.

    It is run once more where the connection is lost under it, whether it took effect or not: what it does must be
    the same when done twice. Raises Unavailable where the connection is lost again.
    """
    return await run_on(sessions.kw["bind"], sql, *values)


async def run_on(engine: AsyncEngine, sql: str, *values: Any) -> list[asyncpg.Record]:
    """As run_statement, on a connection of an engine."""
    for _ in range(TRIES):
        try:
            async with engine.connect() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                found: list[asyncpg.Record] = await driver.fetch(sql, *values)
                return found
        except LOST as problem:
            lost = problem
    raise Unavailable(UNAVAILABLE, "The database cannot be reached.") from lost
