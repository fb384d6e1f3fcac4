"""What tells how fast this machine is at this hour: a handler of Litestar's that asks PostgreSQL for a one.

One server process under Granian, an asyncpg pool as it comes, 16 connections. The machine on which the goals were set
answers REFERENCE_PER_SECOND of these a second; wrk beside it on the same two cores, without which ours slows it down.
Run as `python -m tests.benchmarks.reference HOST PORT`.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
from granian import Granian
from granian.constants import Interfaces, Loops
from granian.log import LogLevels
from litestar import Litestar, get

from app.db.session import database_address

CONNECTIONS: Final = 16
PATH: Final = "/one"
# The least and the most that were seen there.
REFERENCE_PER_SECOND: Final = (7_200, 9_200)


def create_app(url: str) -> Litestar:
    pool: Any = None

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        nonlocal pool
        async with asyncpg.create_pool(database_address(url).asyncpg, min_size=10, max_size=10) as pool:
            yield

    @get(PATH)
    async def one() -> str:
        return str(await pool.fetchval("/* bench: */ SELECT 1"))

    return Litestar([one], lifespan=[lifespan], openapi_config=None, logging_config=None)


def app_from_environment() -> Litestar:
    return create_app(os.environ["DATABASE_URL"])


if __name__ == "__main__":
    Granian(
        "tests.benchmarks.reference:app_from_environment",
        factory=True,
        address=sys.argv[1],
        port=int(sys.argv[2]),
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        websockets=False,
        log_level=LogLevels.warning,
    ).serve()
