"""Which calls reach their handler at once, by a short way, and that all others are checked as Litestar checks them."""

from typing import Annotated

import httpx
import msgspec
import pytest
from litestar import Litestar, Response, delete, get, post
from litestar.params import FromPath, FromQuery, PathParameter, QueryParameter, RequestBody

from app.api.answers import Answer
from app.api.calling import call_at_once
from app.api.request import ShopRequest
from app.api.shortcuts import Shortcuts
from app.main import create_app
from tests.shop import settings_for


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


@post("/said/nothing", status_code=204)
async def say_nothing() -> None:
    """Where this one is, a name cannot be the next part of a path."""


@post("/kept/{where:path}", status_code=200)
async def keep(where: FromPath[str]) -> Response[str]:
    return Answer(where)


@post("/kept/here/{name:str}", status_code=200)
async def keep_here(name: FromPath[str]) -> Response[str]:
    return Answer(name)


@post("/open/{name:str}/door", status_code=200)
async def open_door(
    name: FromPath[str], data: RequestBody[Word], knocks: FromQuery[int] = 0
) -> Response[str]:
    return Answer(name)


@post("/open/{name:str}/window", status_code=200)
async def open_window(name: FromPath[str]) -> Response[str]:
    return Answer(name)


def call_to(path, *, method="POST", query=b"", host=b"shop.example:80", **headers):
    sent = {"host": host, "content_type": b"application/json", "content_length": b"2", **headers}
    lines = [(name.replace("_", "-").encode(), value) for name, value in sent.items() if value is not None]
    return {"type": "http", "method": method, "path": path, "query_string": query, "headers": lines}


def test_only_what_is_in_no_way_out_of_the_ordinary_takes_the_short_way():
    app = Litestar(
        (say, say_nothing, keep, keep_here, open_door, open_window, number),
        request_class=ShopRequest,
        openapi_config=None,
        logging_config=None,
    )
    call_at_once(app, plain=())
    find = Shortcuts(app).find
    way, given = find(call_to("/open/Ada/door"))
    assert (way.template, way.handler.fn, given) == ("/open/{name}/door", open_door.fn, {"name": "Ada"})
    assert find(call_to("/open/Ada/window", content_type=None, content_length=None)) is not None
    for other in (
        call_to("/open/Ada/door/"),
        call_to("/open//door"),
        call_to("/open/Ada/gate"),
        call_to("/open/Ada/window", content_type=b"multipart/form-data; boundary=x"),
        call_to("/open/Ada/door", method="PUT"),
        call_to("/open/Ada/door", query=b"knocks=2"),
        call_to("/open/Ada/door", host=b"shop example"),
        call_to("/open/Ada/door", content_length=None),
        call_to("/open/Ada/door", content_length=b"0"),
        call_to("/open/Ada/door", content_type=None),
        call_to("/open/Ada/door", content_type=b"application/json; charset=utf-8"),
        call_to("/open/Ada/door") | {"root_path": "/shop"},
        call_to("/said/Ada"),  # or /said/nothing
        call_to("/kept/here/Ada"),  # or /kept/ and anything
    ):
        assert find(other) is None, other


def test_the_short_way_leads_where_litestar_leads():
    app = create_app(settings_for("postgresql://nobody@localhost/none", "redis://localhost:1"))
    shortcuts = app.asgi_handler._shortcuts
    ways = [
        (method, way)
        for (method, _), by_places in shortcuts._ways.items()
        for ways in by_places.values()
        for way in ways.values()
    ]
    assert {"/storefront/v1/checkout/{checkout_token}/payment", "/storefront/v1/cart/items"} <= {
        way.template for _, way in ways
    }
    for method, way in ways:
        path = way.template.replace("{", "x-").replace("}", "")
        found, given = shortcuts.find(call_to(path, method=method))
        _, handler, _, parameters, template = app.asgi_router.handle_routing(path=path, method=method)
        assert (found.handler, found.template, given) == (handler, template, parameters)
