"""The ceiling: the same server with a bare handler that fetches the same bytes with one prepared statement.

An answer is one ready-made document; a list is as many as it has items, by an index range, joined. Nothing that answers from this database over HTTP on this machine can be faster; how far the shop stays
below it is what the shop's own work costs. Run as `python -m tests.benchmarks.ceiling HOST PORT WORKERS`.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import asyncpg
import msgspec
from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.log import LogLevels
from litestar import Litestar, MediaType, Request, Response, get, route
from litestar.enums import HttpMethod
from litestar.params import FromPath

from app.cli.server import BACKLOG, BACKPRESSURE, ShopServer
from app.db.session import database_address
from app.integrations.embedded.child import die_with_parent

POOL: Final = 10
FETCH: Final = "SELECT body FROM bench_answers WHERE id = $1"
FETCH_LIST: Final = "SELECT body FROM bench_answers WHERE id = $1 ORDER BY part"
# What the address of a list begins with.
LISTS: Final = "/lists"


class _Page(msgspec.Struct):
    items: list[msgspec.Raw] = []


def documents_of(answer: bytes) -> list[bytes]:
    """The items of a page as pieces that joined are the page, what is around them with the first and the last."""
    try:
        items = [bytes(item) for item in msgspec.json.decode(answer, type=_Page).items]
    except msgspec.MsgspecError:
        return [answer]
    pieces, end = [], 0
    for item in items:
        begin, end = end, answer.index(item, end) + len(item)
        pieces.append(answer[begin:end])
    return [*pieces[:-1], b"".join(pieces[-1:]) + answer[end:]]


async def keep_answers(connection: Any, answers: Sequence[Sequence[bytes]]) -> list[str]:
    """Put the documents of each answer where the ceiling fetches them; answers their addresses.

    Stored as the shop's own documents are: not compressed where they fit into a page.
    """
    await connection.execute(
        "/* bench: */ CREATE TABLE IF NOT EXISTS bench_answers (id int, part int, body bytea NOT NULL,"
        " PRIMARY KEY (id, part)) WITH (toast_tuple_target = 8160)"
    )
    await connection.execute("/* bench: */ TRUNCATE bench_answers")
    await connection.executemany(
        "/* bench: */ INSERT INTO bench_answers VALUES ($1, $2, $3)",
        [(place, part, body) for place, parts in enumerate(answers) for part, body in enumerate(parts)],
    )
    await connection.execute("/* bench: */ VACUUM ANALYZE bench_answers")
    return [f"{LISTS if len(parts) > 1 else ''}/{place}" for place, parts in enumerate(answers)]


def create_app(url: str) -> Litestar:
    pool: Any = None

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        nonlocal pool
        async with asyncpg.create_pool(
            database_address(url).asyncpg, min_size=POOL, max_size=POOL, reset=_keep
        ) as pool:
            yield

    @route(
        "/{place:int}",
        http_method=[HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT],
        status_code=200,
    )
    async def answer(request: Request[Any, Any, Any], place: FromPath[int]) -> Response[bytes]:
        if request.method != "GET":
            await request.body()
        async with pool.acquire() as connection:
            body = await connection.fetchval(FETCH, place)
        return Response(body, media_type=MediaType.JSON)

    @get(f"{LISTS}/{{place:int}}")
    async def answer_list(place: FromPath[int]) -> Response[bytes]:
        async with pool.acquire() as connection:
            rows = await connection.fetch(FETCH_LIST, place)
        return Response(b"".join([row[0] for row in rows]), media_type=MediaType.JSON)

    return Litestar([answer, answer_list], lifespan=[lifespan], openapi_config=None, logging_config=None)


async def _keep(_connection: Any) -> None:
    """As in the shop's own read pool: nothing is left behind, so nothing is reset."""


def app_from_environment() -> Litestar:
    return create_app(os.environ["DATABASE_URL"])


def load_app(parent: int) -> Litestar:
    if sys.platform == "linux":
        die_with_parent(parent, signal.SIGKILL)
    return app_from_environment()


def serve(host: str, port: int, workers: int) -> None:
    """The very server class and options that `storefront serve` uses."""
    ShopServer(
        "tests.benchmarks.ceiling:app_from_environment",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        workers=workers,
        loop=Loops.uvloop,
        runtime_mode=RuntimeModes.st,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        backpressure=BACKPRESSURE,
        respawn_failed_workers=True,
        log_level=LogLevels.warning,
    ).serve(target_loader=partial(load_app, os.getpid()), wrap_loader=False)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
