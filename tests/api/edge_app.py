"""A small application with one route for each promise of the HTTP edge."""

import asyncio
from typing import Annotated, Any

import asyncpg
import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.params import FromPath, RequestBody

from app.api.caching import cached_response
from app.api.edge import create_edge
from app.api.errors import Problem
from app.api.expand import parse_expand
from app.api.limits import Id, PathId, Quantity, QueryExpand, QuerySearch, RequiredLine
from app.api.paging import PageAnswer, page_answer, page_bytes
from app.api.request import (
    ShopRequest,
    read_query,
    read_query_or_body,
    refuse_repeated_names,
)
from app.kit.errors import (
    LOGIN_REQUIRED,
    Conflict,
    Declined,
    Forbidden,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from app.kit.paging import PageRequest
from app.settings import Settings


class Address(msgspec.Struct, forbid_unknown_fields=True):
    city: RequiredLine
    is_default: bool = False


class Line(msgspec.Struct, forbid_unknown_fields=True):
    id: Id
    quantity: Quantity = 1


class Order(msgspec.Struct, forbid_unknown_fields=True):
    name: RequiredLine
    address: Address | None = None
    lines: list[Line] = []
    tags: list[str] = []
    gift: bool = False
    same: bool | None = None
    phone: str | int | None = None
    weight: float | None = None


class Photo(msgspec.Struct, forbid_unknown_fields=True):
    title: str
    files: list[UploadFile] = []


class Filter(msgspec.Struct):
    ids: list[Id] = []
    filter_by: dict[str, list[str]] = {}


@post("/storefront/v1/orders", status_code=200)
async def echo(data: RequestBody[Order]) -> Order:
    """Sends back what was understood."""
    return data


@patch("/storefront/v1/optional", status_code=200)
async def optional(data: RequestBody[Order | None] = None) -> dict[str, Any]:
    return {"given": data is not None}


@post("/storefront/v1/photos", status_code=200)
async def photos(request: ShopRequest, data: RequestBody[Photo]) -> dict[str, Any]:
    return {
        "title": data.title,
        "files": [[file.filename, len(await file.read())] for file in data.files],
        "fingerprint": (await request.fingerprint()).hex(),
    }


@post("/storefront/v1/money", status_code=200, before_request=refuse_repeated_names)
async def money(data: RequestBody[Line]) -> Line:
    return data


@post("/storefront/v1/raw", status_code=200)
async def raw(request: ShopRequest) -> dict[str, int]:
    return {"length": len(await request.body())}


@delete("/storefront/v1/lines", status_code=200)
async def remove(request: ShopRequest) -> Line:
    return await read_query_or_body(request, Line)


@get("/storefront/v1/lines")
async def lines() -> list[Line]:
    """On the path of a call that was made apart from it."""
    return []


@get("/storefront/v1/filter")
async def filtered(request: ShopRequest) -> Filter:
    return await read_query(request, Filter)


@get("/storefront/v1/things/{thing_id:int}")
async def thing(thing_id: PathId) -> dict[str, int]:
    return {"id": thing_id}


@get("/storefront/v1/named/{name:str}")
async def named(name: FromPath[str]) -> dict[str, str]:
    return {"name": name}


@get("/storefront/v1/search")
async def search(q: QuerySearch, expand: QueryExpand = None) -> dict[str, Any]:
    return {"q": q, "expand": sorted(parse_expand(expand, {"product", "options"}))}


@get("/storefront/v1/pages")
async def pages(request: ShopRequest, paging: NamedDependency[PageRequest]) -> PageAnswer[Line]:
    lines = [Line(number) for number in range(1, 46)][paging.skip : paging.skip + paging.size]
    return page_answer(request, paging, lines, 45)


@get("/storefront/v1/documents")
async def documents(request: ShopRequest, paging: NamedDependency[PageRequest]) -> Response[bytes]:
    items = [b'{"id":%d}' % number for number in range(1, 46)][paging.skip : paging.skip + paging.size]
    return cached_response(request, page_bytes(request, paging, b",".join(items), 45))


FAILURES: dict[str, BaseException] = {
    "missing": NotFound("thing_missing", "There is no such thing."),
    "conflict": Conflict("total_changed", "The total has changed.", totals={"total": 5}),
    "forbidden": Forbidden("forbidden", "Not you."),
    "declined": Declined("payment_declined", "The card was declined."),
    "unavailable": Unavailable("unavailable", "Away.", retry_after=7),
    "login": Unauthenticated(LOGIN_REQUIRED, "Please log in."),
    "bug": RuntimeError("secret-in-the-exception"),
    "check": asyncpg.CheckViolationError("x"),
    "unique": asyncpg.UniqueViolationError("x"),
    "deadlock": asyncpg.DeadlockDetectedError("x"),
    "lock": asyncpg.LockNotAvailableError("x"),
    "statement": asyncpg.QueryCanceledError("x"),
    "gone": ConnectionResetError("x"),
    "starting": asyncpg.CannotConnectNowError("x"),
    "range": asyncpg.NumericValueOutOfRangeError("x"),
    "slow_pool": TimeoutError(),
}


@get("/storefront/v1/fail/{kind:str}")
async def fail(kind: FromPath[str]) -> None:
    raise FAILURES[kind]


@get("/erp/fail/{kind:str}")
async def erp_fail(kind: FromPath[str]) -> None:
    raise FAILURES[kind]


@get("/empty", include_in_schema=False)
async def empty() -> Response[bytes]:
    return Response(b"{}", media_type="application/json")


def erp_envelope(problem: Problem) -> tuple[str, bytes]:
    return "application/json", msgspec.json.encode({"fault": problem.code})


class Dependency:
    """What /ready asks about; a test switches it."""

    mode: Annotated[str, "ok, broken or hanging"] = "ok"

    async def check(self) -> None:
        if self.mode == "broken":
            raise ConnectionError("redis://:hunter2@host")
        if self.mode == "hanging":
            await asyncio.Event().wait()


def edge_app(settings: Settings, dependency: Dependency | None = None, **options: Any) -> Any:
    async def fine() -> None:
        return None

    return create_edge(
        settings,
        route_handlers=[
            echo, optional, photos, money, raw, remove, lines, filtered, thing, named, search, pages, documents,
            fail, erp_fail, empty,
        ],
        checks={"database": fine, "redis": (dependency or Dependency()).check},
        envelopes={"/erp": erp_envelope},
        **options,
    )  # fmt: skip


__all__ = ["Dependency", "Request", "edge_app"]
