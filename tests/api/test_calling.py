"""Which calls reach their handler at once, and that all others are checked as Litestar checks them."""

from typing import Annotated

import httpx
import msgspec
import pytest
from litestar import Litestar, Response, delete, get, post
from litestar.params import FromPath, PathParameter, QueryParameter, RequestBody

from app.api.answers import Answer
from app.api.calling import call_at_once
from app.api.request import ShopRequest


class Word(msgspec.Struct):
    word: str


@post("/said/{name:str}", status_code=200)
async def say(name: FromPath[str], data: RequestBody[Word]) -> Response[str]:
    return Answer(f"{name}: {data.word}")


@get("/short/{word:str}")
async def short(word: Annotated[str, PathParameter(max_length=3)]) -> Response[str]:
    return Answer(word)


@get("/asked")
async def asked(word: Annotated[str, QueryParameter()]) -> Response[str]:
    return Answer(word)


@get("/perhaps")
async def perhaps(word: Annotated[str, QueryParameter(max_length=3)] = "none") -> Response[str]:
    return Answer(word)


@get("/number/{number:int}")
async def number(number: FromPath[int]) -> Response[int]:
    return Answer(number)


@delete("/gone", status_code=204)
async def gone(request: ShopRequest) -> None:
    request.app.state.gone += 1


HANDLERS = (say, short, asked, perhaps, number, gone)


@pytest.fixture
async def client():
    app = Litestar(HANDLERS, request_class=ShopRequest, openapi_config=None, logging_config=None)
    app.state.gone = 0
    call_at_once(app, plain=())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        client.app = app
        yield client


def at_once(app):
    """The paths whose handlers are called past Litestar."""
    return {
        route.path
        for route in app.routes
        for handler in route.route_handlers
        if "resolve_before_request" in getattr(handler, "__dict__", {})
    }


async def test_what_has_to_be_checked_goes_through_litestar(client):
    assert at_once(client.app) == {"/said/{name:str}", "/perhaps"}
    for path, status, answer in (
        ("/short/abc", 200, "abc"),
        ("/short/abcd", 400, None),
        ("/asked?word=a", 200, "a"),
        ("/asked", 400, None),
        ("/perhaps", 200, "none"),
        ("/perhaps?word=abc", 200, "abc"),
        ("/perhaps?word=abcd", 400, None),
        ("/number/7", 200, 7),
        ("/number/x", 404, None),
    ):
        said = await client.get(path)
        assert said.status_code == status, path
        assert answer is None or said.json() == answer
    assert (await client.post("/said/Ada", json={"word": "hello"})).json() == "Ada: hello"
    assert (await client.post("/said/Ada", headers={"content-type": "application/json"})).status_code == 400


async def test_a_handler_that_answers_nothing_runs_once(client):
    assert (await client.delete("/gone")).status_code == 204
    assert client.app.state.gone == 1
