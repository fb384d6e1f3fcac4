"""The bench must tell the truth: what fails is an error, what takes long takes long, nothing is counted twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from litestar import Litestar, Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Stream

from tests.api.live import serve
from tests.benchmarks.ceiling import documents_of
from tests.benchmarks.driver import drive, drive_reads, find_wrk, percentile
from tests.benchmarks.trial import Run, median_run
from tests.benchmarks.wire import Connection, UnexpectedAnswer

SLOW_SECONDS = 0.05
seen: list[str] = []


@get("/plain/{place:int}")
async def plain(place: FromPath[int]) -> dict[str, int]:
    seen.append(f"plain {place}")
    return {"place": place}


@get("/slow")
async def slow() -> dict[str, int]:
    await asyncio.sleep(SLOW_SECONDS)
    return {}


@get("/gone")
async def gone() -> Response[dict[str, str]]:
    return Response({"code": "not_found"}, status_code=404)


@get("/streamed")
async def streamed() -> Stream:
    return Stream(iter([b"one ", b"two"]))


@post("/echo", status_code=200)
async def echo(request: Request[Any, Any, Any]) -> bytes:
    return await request.body()


@pytest.fixture(scope="module")
async def address() -> AsyncIterator[tuple[str, int]]:
    app = Litestar([plain, slow, gone, streamed, echo], openapi_config=None, logging_config=None)
    async with serve(app) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        yield host, int(port)


async def test_one_connection_makes_many_calls(address: tuple[str, int]) -> None:
    connection = Connection(*address)
    for place in range(3):
        assert (await connection.call("GET", f"/plain/{place}"))[1] == b'{"place":%d}' % place
    assert (await connection.call("POST", "/echo", b'{"a":1}'))[1] == b'{"a":1}'
    assert (await connection.call("GET", "/streamed"))[1] == b"one two"
    headers, _ = await connection.call("GET", "/gone", wanted=(404,))
    assert headers[b"content-type"].startswith(b"application/json")
    with pytest.raises(UnexpectedAnswer, match="GET /gone: 404"):
        await connection.call("GET", "/gone")
    connection.close()


async def test_what_fails_is_an_error_and_never_counted_as_done(address: tuple[str, int]) -> None:
    async def work(connection: Connection, _: Random) -> None:
        await connection.call("GET", "/gone")

    load = await drive(*address, work, connections=2, seconds=0.1)
    assert load.done == 0
    assert load.errors > 0
    assert "404" in load.examples[0]


async def test_every_operation_that_was_begun_is_finished_and_counted(address: tuple[str, int]) -> None:
    seen.clear()

    async def work(connection: Connection, chance: Random) -> None:
        await connection.call("GET", f"/plain/{chance.randrange(100)}")

    load = await drive(*address, work, connections=4, seconds=0.2)
    assert load.done == len(seen) > 0
    assert load.errors == 0


@pytest.mark.parametrize("driver", ["own", "wrk"])
async def test_times_are_those_of_the_answers(
    address: tuple[str, int], driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if driver == "own":
        monkeypatch.setenv("PATH", "")
    elif find_wrk() is None:
        pytest.skip("wrk is not on the PATH; the bench then uses its own driver")
    load = await drive_reads(*address, ["/slow"], tmp_path, connections=2, seconds=1)
    assert load.driver == driver
    assert load.errors == 0
    assert load.done <= 2 * load.seconds / SLOW_SECONDS + 2
    assert SLOW_SECONDS * 1000 <= load.p50 <= load.p95 <= load.p99
    failing = await drive_reads(*address, ["/plain/1", "/gone"], tmp_path, connections=2, seconds=1)
    assert failing.errors > 0
    assert failing.done > 0


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [([], 95, 0), ([7], 50, 7), ([1, 2, 3, 4], 50, 2), ([1, 2, 3, 4], 99, 4), (range(1, 101), 95, 95)],
)
def test_percentiles_are_values_that_occurred(values: Any, share: float, found: float) -> None:
    assert percentile(list(values), share) == found


async def test_the_median_hides_no_error(address: tuple[str, int]) -> None:
    async def work(connection: Connection, chance: Random) -> None:
        await connection.call("GET", chance.choice(["/plain/1", "/gone"]))

    runs = [Run(await drive(*address, work, connections=1, seconds=0.1), {"server": 1.0}) for _ in range(3)]
    told = median_run(runs)
    assert told["errors"] == sum(run.load.errors for run in runs) > 0
    assert told["cpu_ms"] == 1.0


@pytest.mark.parametrize(
    ("answer", "pieces"),
    [
        (b'{"items":[{"id":1},{"id":1},{"id":12}],"_meta":{"totalCount":3}}', 3),
        (b'{"items": [ {"items": [1, 2]} ], "_meta": {}}', 1),
        (b'{"items":[],"_meta":{}}', 1),
        (b'{"id":7,"title":"Tent"}', 1),
        (b'[{"id":7}]', 1),
        (b"", 1),
    ],
)
def test_a_list_is_as_many_documents_as_it_has_items_and_joined_they_are_the_answer(
    answer: bytes, pieces: int
):
    documents = documents_of(answer)
    assert b"".join(documents) == answer
    assert len(documents) == pieces
