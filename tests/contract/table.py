"""Reads the rows of the contract from rows/*.toml and refuses a table that doesn't hang together."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contract.shapes import assert_known

HERE = Path(__file__).parent
BASE = "/storefront/v1"
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
PLACES = {"path", "query", "body", "header", "file"}
PATH = re.compile(r"^(/([a-z0-9-]+|\{[a-z_]+\}))+$")
BLOCK = re.compile(r"^B\d\d$")


@dataclass(frozen=True)
class Parameter:
    name: str
    type: str
    place: str
    required: bool


@dataclass(frozen=True)
class Request:
    """One call. Strings may hold `$setup.value` (the value itself) or `${setup.value}` (inside a text)."""

    method: str
    path: str
    caller: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    files: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Expectation:
    """What stands at one place of an answer. `at` walks with dots; `*` means some item of a list."""

    at: str
    equals: Any = None
    least: int | None = None
    absent: bool = False
    contains: Any = None
    given: bool = False


@dataclass(frozen=True)
class FollowUp:
    """A later call that shows the effect; `within` seconds where another process brings it about."""

    request: Request
    status: int
    expect: tuple[Expectation, ...]
    within: float


@dataclass(frozen=True)
class Mistake:
    """A call that must be refused, with the status and, where the documents fix it, the code."""

    request: Request
    status: int | tuple[int, ...]
    code: str
    title: str


@dataclass(frozen=True)
class Row:
    """One line of the contract. `page` is "many" for a paged list; `needs` names what a real call waits for."""

    id: str
    method: str
    path: str
    base: str
    status: tuple[int, ...]
    answer: str
    parameters: tuple[Parameter, ...]
    page: str
    page_size: int
    expands: dict[str, str]
    expands_at: str
    cached: bool
    given: tuple[str, ...]
    request: Request
    expect: tuple[Expectation, ...]
    then: tuple[FollowUp, ...]
    mistakes: tuple[Mistake, ...]
    encodings: tuple[str, ...]
    media_type: str
    needs: str

    @property
    def label(self) -> str:
        return f"{self.method} {self.path}"


def load_rows(folder: Path = HERE / "rows") -> list[Row]:
    """All rows in the order of the blocks, the unnumbered ones behind them by path."""
    rows = [
        read_row(raw)
        for file in sorted(folder.glob("*.toml"))
        for raw in tomllib.loads(file.read_text("utf-8"))["row"]
    ]
    doubles = {row.id for row in rows if sum(other.id == row.id for other in rows) > 1}
    if doubles:
        raise ValueError(f"named twice: {sorted(doubles)}")
    return sorted(
        rows, key=lambda row: (not BLOCK.match(row.id), row.id if BLOCK.match(row.id) else row.path)
    )


def load_expected(file: Path = HERE / "expected.toml") -> list[str]:
    """Ids of the rows that this version promises."""
    return list(tomllib.loads(file.read_text("utf-8"))["rows"])


def read_row(raw: dict[str, Any]) -> Row:
    """Raise ValueError, naming the row, for anything that is not understood."""
    raw = dict(raw)
    method, path = raw.pop("method"), raw.pop("path")
    name = raw.pop("id", f"{method} {path}")
    try:
        return _build_row(raw, name, method, path)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{name}: {error}") from error


def _build_row(raw: dict[str, Any], name: str, method: str, path: str) -> Row:
    if method not in METHODS or not PATH.match(path):
        raise ValueError(f"cannot read {method} {path}")
    parameters = tuple(_read_parameters(raw.pop("takes", {})))
    in_path = {p.name for p in parameters if p.place == "path"}
    if in_path != set(re.findall(r"\{([a-z_]+)\}", path)):
        raise ValueError(f"path parameters {sorted(in_path)} don't match {path}")
    answer = raw.pop("answer", "")
    if answer:
        assert_known(answer)
    expands = raw.pop("expands", {})
    for expression in expands.values():
        assert_known(expression)
    call = raw.pop("call", {})
    request = _read_request({"method": method, "path": path} | call)
    body_encodings = ["json", "form", "multipart"] if request.body is not None else ["json"]
    status = raw.pop("status", 200)
    row = Row(
        id=name,
        method=method,
        path=path,
        base=raw.pop("base", BASE),
        status=tuple(status) if isinstance(status, list) else (status,),
        answer=answer,
        parameters=parameters,
        page=raw.pop("page", ""),
        page_size=raw.pop("page_size", 0),
        expands=expands,
        expands_at=raw.pop("expands_at", ""),
        cached=raw.pop("cached", False),
        given=tuple(raw.pop("given", [])),
        request=request,
        expect=tuple(Expectation(**item) for item in raw.pop("expect", [])),
        then=tuple(_read_follow_up(item) for item in raw.pop("then", [])),
        mistakes=tuple(_read_mistake(item, request) for item in raw.pop("mistakes", [])),
        encodings=tuple(raw.pop("encodings", ["multipart"] if request.files else body_encodings)),
        media_type=raw.pop("media_type", "application/json"),
        needs=raw.pop("needs", ""),
    )
    if raw:
        raise ValueError(f"unknown keys {sorted(raw)}")
    return row


def left_out(row: Row) -> Mistake | None:
    """The row's call without its first required query or body parameter, where it has one."""
    for parameter in row.parameters:
        query, body = dict(row.request.query), dict(row.request.body or {})
        if not parameter.required or parameter.place not in {"query", "body"}:
            continue
        holder = query if parameter.place == "query" else body
        name = parameter.name.removesuffix("[]").split("[")[0]
        if name not in holder and parameter.name not in holder:
            continue
        holder.pop(name, None)
        holder.pop(parameter.name, None)
        request = Request(
            method=row.method,
            path=row.path,
            caller=row.request.caller,
            params=row.request.params,
            query=query,
            body=body if row.request.body is not None else None,
            headers=row.request.headers,
        )
        return Mistake(request, 422, "validation_failed", f"without {parameter.name}")
    return None


def _read_parameters(raw: dict[str, dict[str, str]]) -> list[Parameter]:
    parameters = []
    for place, names in raw.items():
        if place not in PLACES:
            raise ValueError(f"unknown place {place!r}")
        for name, expression in names.items():
            kind = expression.removesuffix("!")
            assert_known(kind)
            required = expression.endswith("!") or place == "path"
            parameters.append(Parameter(name, kind, place, required))
    return parameters


def _read_request(raw: dict[str, Any]) -> Request:
    raw = dict(raw)
    return Request(caller=raw.pop("as", ""), params=raw.pop("path_values", {}), **raw)


def _read_follow_up(raw: dict[str, Any]) -> FollowUp:
    raw = dict(raw)
    expect = tuple(Expectation(**item) for item in raw.pop("expect", []))
    status, within = raw.pop("status", 200), float(raw.pop("within", 0))
    return FollowUp(_read_request(raw), status, expect, within)


def _read_mistake(raw: dict[str, Any], good: Request) -> Mistake:
    raw = dict(raw)
    status, code, title = raw.pop("status", 422), raw.pop("code", ""), raw.pop("title")
    status = tuple(status) if isinstance(status, list) else status
    merged = {
        "method": good.method,
        "path": good.path,
        "as": good.caller,
        "path_values": good.params,
        "headers": good.headers,
        "query": good.query,
        "body": good.body,
    } | raw
    return Mistake(_read_request(merged), status, code, title)
