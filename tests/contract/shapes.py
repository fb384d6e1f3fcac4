"""Decides whether a JSON value has the documented type, and says where it does not.

A type is written as a short expression, so that field lists stay readable as data:

    integer number string boolean list object null any     JSON's own
    time                a string: ISO 8601 with an offset
    string(a b c)       one of these words
    [T]                 a list of T; an empty list is the list without a value
    {T}                 an object whose every value is a T
    Name                a shape from shapes.toml: an object with those fields
    T|U                 either
    T?                  may be without a value: null for a scalar, {} for an object

A field whose name ends with `?` may be missing altogether.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

Json = Any

SHAPES_FILE = Path(__file__).with_name("shapes.toml")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$")
NAME = re.compile(r"^[A-Z][A-Za-z]+$")
WORDS = re.compile(r"^string\(([^)]+)\)$")
SCALARS = {"integer", "number", "string", "boolean", "time"}
PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "string": str,
    "list": list,
    "object": dict,
    "null": type(None),
}
JSON_NAMES = {bool: "boolean", int: "integer", float: "number"}
PRIMITIVES = SCALARS | {"list", "object", "null", "any"}


@dataclass(frozen=True)
class Finding:
    """One place where an answer departs from the contract. `at` names the field, lists as `[]`."""

    at: str
    says: str

    def __str__(self) -> str:
        return f"{self.at}: {self.says}" if self.at else self.says


@cache
def load_shapes() -> dict[str, dict[str, str]]:
    """Every shape with the fields of the shapes it extends."""
    raw = tomllib.loads(SHAPES_FILE.read_text("utf-8"))
    shapes: dict[str, dict[str, str]] = {}

    def fields_of(name: str) -> dict[str, str]:
        if name not in shapes:
            own = dict(raw[name])
            bases = own.pop("extends", [])
            dropped = own.pop("without", [])
            merged: dict[str, str] = {}
            for base in bases:
                merged |= fields_of(base)
            shapes[name] = {k: v for k, v in merged.items() if k not in dropped} | own
        return shapes[name]

    for name in raw:
        fields_of(name)
    return shapes


def split_choices(expression: str) -> list[str]:
    """`a|[b|c]` is `a` and `[b|c]`: bars inside brackets belong to the inner type."""
    choices, depth, start = [], 0, 0
    for index, char in enumerate(expression):
        depth += (char in "[{(") - (char in "]})")
        if char == "|" and depth == 0:
            choices.append(expression[start:index])
            start = index + 1
    return [*choices, expression[start:]]


def assert_known(expression: str) -> None:
    """Raise ValueError for an expression that names nothing, so that a typing slip cannot pass as a type."""
    choices = split_choices(expression)
    if len(choices) > 1:
        for choice in choices:
            assert_known(choice)
        return
    kind = expression.removesuffix("?")
    if (kind.startswith("[") and kind.endswith("]")) or (kind.startswith("{") and kind.endswith("}")):
        assert_known(kind[1:-1])
    elif NAME.match(kind):
        if kind not in load_shapes():
            raise ValueError(f"unknown shape {kind!r}")
    elif kind not in PRIMITIVES and not WORDS.match(kind):
        raise ValueError(f"unknown type {expression!r}")


def check(value: Json, expression: str, at: str = "") -> Iterator[Finding]:
    """Every finding about `value`, deepest fields included."""
    choices = split_choices(expression)
    if len(choices) > 1:
        tries = [list(check(value, choice, at)) for choice in choices]
        if all(tries):
            # The alternative that fits best explains the fault best.
            yield from min(tries, key=len)
        return
    kind = expression.removesuffix("?")
    if expression.endswith("?") and (value == {} or (value is None and _is_scalar(kind))):
        return
    if kind.startswith("["):
        yield from _check_list(value, kind[1:-1], at)
    elif kind.startswith("{"):
        yield from _check_map(value, kind[1:-1], at)
    elif NAME.match(kind):
        yield from _check_shape(value, load_shapes()[kind], at)
    elif words := WORDS.match(kind):
        if value not in words[1].split():
            yield Finding(at, f"{_show(value)} is none of {words[1]}")
    elif not _is_a(value, kind):
        yield Finding(at, f"expected {expression}, got {_show(value)}")


def _is_scalar(kind: str) -> bool:
    return kind in SCALARS or kind.startswith("string(")


def _is_a(value: Json, kind: str) -> bool:
    if kind == "any":
        return True
    if isinstance(value, bool):
        # Python counts a bool as an integer; the contract doesn't.
        return kind == "boolean"
    if kind == "time":
        return isinstance(value, str) and TIME.match(value) is not None
    return isinstance(value, PYTHON_TYPES[kind])


def _check_list(value: Json, inner: str, at: str) -> Iterator[Finding]:
    if not isinstance(value, list):
        yield Finding(at, f"expected a list, got {_show(value)}")
        return
    seen: set[Finding] = set()
    for item in value:
        # A fault shared by all items is told once.
        for finding in check(item, inner, f"{at}[]"):
            if finding not in seen:
                seen.add(finding)
                yield finding


def _check_map(value: Json, inner: str, at: str) -> Iterator[Finding]:
    if not isinstance(value, dict):
        yield Finding(at, f"expected an object, got {_show(value)}")
        return
    for key, item in value.items():
        yield from check(item, inner, f"{at}.{key}" if at else key)


def _check_shape(value: Json, fields: dict[str, str], at: str) -> Iterator[Finding]:
    if not isinstance(value, dict):
        yield Finding(at, f"expected an object, got {_show(value)}")
        return
    for written, expression in fields.items():
        name = written.removesuffix("?")
        path = f"{at}.{name}" if at else name
        if name in value:
            yield from check(value[name], expression, path)
        elif name == written:
            yield Finding(path, "missing")


def _show(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, bool | int | float):
        return f"{JSON_NAMES[type(value)]} {json.dumps(value)}"
    return f"string {value[:40] + '…' if len(value) > 40 else value!r}"
