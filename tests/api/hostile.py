"""What nobody should send: hostile bodies, texts, queries, paths and headers, and the routes that must bear them."""

import gzip
import json
import zlib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import msgspec
from litestar import Litestar
from msgspec import inspect

from app.api.openapi import EXAMPLE, QUERY
from app.api.request import refuse_repeated_names

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
BIG = 2**63 - 1
SURFACE = "/storefront/"


@dataclass(frozen=True)
class Route:
    """A route of the application, with what is documented of its body."""

    method: str
    template: str
    parameters: tuple[tuple[str, type], ...]
    shape: Any = None
    example: dict[str, Any] = field(default_factory=dict)
    money: bool = False

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"

    def path(self, values: dict[str, Any]) -> str:
        """The address with these values; what nobody named is 1, or a word of its own."""
        path = self.template
        for name, kind in self.parameters:
            known = values.get(name, 1 if kind is int else f"unknown-{name}")
            path = path.replace(f"{{{name}}}", str(known))
        return path

    def body(self, values: dict[str, Any]) -> dict[str, Any]:
        """The documented example with these values in place of its own."""
        body = deepcopy(self.example)
        if self.shape is not None and not body:
            body = {name: values[name] for name in _required(self.shape) if name in values}
        body.update({name: value for name, value in values.items() if name in body})
        return body


def routes(app: Litestar, *, methods: set[str]) -> list[Route]:
    """Every route with one of these methods; of those that only read, the surface's."""
    found = []
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            method = next(iter(handler.http_methods))
            if method not in methods or (method == "GET" and not route.path.startswith(SURFACE)):
                continue
            data = handler.parsed_fn_signature.parameters.get("data")
            template = route.path
            parameters = []
            for name, part in route.path_parameters.items():
                template = template.replace(f"{{{part.full}}}", f"{{{name}}}")
                parameters.append((name, part.type))
            found.append(
                Route(
                    method,
                    template,
                    tuple(parameters),
                    data.annotation if data is not None else handler.opt.get(QUERY),
                    handler.opt.get(EXAMPLE, {}),
                    _refuses_repeats(handler),
                )
            )
    return sorted(found, key=lambda each: each.name)


def _refuses_repeats(handler: Any) -> bool:
    before = handler.before_request
    return getattr(before, "func", before) is refuse_repeated_names


def nothing() -> dict[str, Any]:
    """Values of the right form that name nothing in the shop."""
    return {
        "product_id": BIG,
        "product_ids": [BIG],
        "cart_uuid": str(uuid4()),
        "checkout_token": f"nobody-{uuid4().hex}",
        "order_id": BIG,
        "shipping_option_id": BIG,
        "uuid": f"nobody-{uuid4().hex}",
        "service": "test",
        "quantity": 1,
        "password": "guess",
    }


def deep(levels: int, opening: bytes, closing: bytes) -> bytes:
    return opening * levels + b"1" + closing * levels


def parts(count: int) -> bytes:
    one = b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n1\r\n'
    return b"".join(one % number for number in range(count)) + b"--b--\r\n"


# name: content type, body, further headers. None of them is what any call of ours takes.
BODIES: dict[str, tuple[str, bytes, dict[str, str]]] = {
    "no body": (JSON, b"", {}),
    "a list": (JSON, b"[]", {}),
    "a text": (JSON, b'"text"', {}),
    "null": (JSON, b"null", {}),
    "a number": (JSON, b"1", {}),
    "true": (JSON, b"true", {}),
    "NaN": (JSON, b'{"product_id": NaN}', {}),
    "half an object": (JSON, b'{"product_id": 1', {}),
    "two objects": (JSON, b"{}{}", {}),
    "a trailing comma": (JSON, b'{"product_id": 1,}', {}),
    "a byte order mark": (JSON, b"\xef\xbb\xbf{}", {}),
    "UTF-16": (JSON, '{"product_id": 1}'.encode("utf-16"), {}),
    "raw NUL": (JSON, b'{"identity": "a\0b"}', {}),
    "NUL in a name": (JSON, b'{"a\\u0000b": 1}', {}),
    "a lone surrogate": (JSON, b'{"identity": "\\ud800"}', {}),
    "a surrogate in UTF-8": (JSON, b'{"identity": "\xed\xa0\x80"}', {}),
    "broken UTF-8": (JSON, b'{"identity": "\xff\xfe"}', {}),
    "an overlong encoding": (JSON, b'{"identity": "\xc0\x80"}', {}),
    "1,500 lists": (JSON, deep(1500, b"[", b"]"), {}),
    "1,500 objects": (JSON, deep(1500, b'{"a":', b"}"), {}),
    "1,500 lists inside a free field": (
        JSON,
        b'{"additional":' + deep(1500, b"[", b"]") + b',"order_additional_fields":1}',
        {},
    ),
    "100,000 lists": (JSON, b"[" * 100_000, {}),
    "an int over 64 bit": (JSON, b'{"product_id": %d, "nobody": 1}' % 2**64, {}),
    "an int of 10,000 digits": (JSON, b'{"product_id": ' + b"9" * 10_000 + b', "nobody": 1}', {}),
    "a number without bounds": (JSON, b'{"product_id": 1e999999, "nobody": 1}', {}),
    "an unknown field": (JSON, b'{"is_admin": true}', {}),
    "ten thousand fields": (JSON, json.dumps({f"f{n}": n for n in range(10_000)}).encode(), {}),
    "a prototype": (JSON, b'{"__proto__": {"price": 0}, "constructor": 1}', {}),
    "1 MB of garbage": (JSON, bytes(range(256)) * 4096, {}),
    "1 MB of text": (JSON, b'{"identity": "' + b"a" * 2**20 + b'"}', {}),
    "text/plain": ("text/plain", b'{"nobody": 1}', {}),
    "no content type": ("", b'{"nobody": 1}', {}),
    "XML": ("application/xml", b"<a/>", {}),
    "two content types": ("application/json, text/plain", b'{"nobody": 1}', {}),
    "a content type of 5,000 characters": ("a" * 5000, b'{"nobody": 1}', {}),
    "gzip": (JSON, gzip.compress(b"{}"), {"Content-Encoding": "gzip"}),
    "a gzip bomb": (JSON, gzip.compress(b" " * 2**24), {"Content-Encoding": "gzip"}),
    "deflate": (JSON, zlib.compress(b"{}"), {"Content-Encoding": "deflate"}),
    "gzip twice": (JSON, gzip.compress(gzip.compress(b"{}")), {"Content-Encoding": "gzip, gzip"}),
    "JSON that is a form": (FORM, b'{"nobody": 1}', {}),
    "a form with NUL": (FORM, b"identity=%00", {}),
    "a form with broken UTF-8": (FORM, b"identity=%ff%fe", {}),
    "a form with raw broken UTF-8": (FORM, b"identity=\xff", {}),
    "a form of 2,000 fields": (FORM, b"&".join(b"f%d=1" % n for n in range(2000)), {}),
    "brackets that do not close": (FORM, b"a[b=1", {}),
    "a hundred brackets": (FORM, b"a" + b"[b]" * 100 + b"=1", {}),
    "a name for a value and a group": (FORM, b"a=1&a[b]=2", {}),
    "an index over everything": (FORM, b"items[999999999]=1", {}),
    "a thousand parts": (MULTIPART, parts(1000), {}),
    "an unfinished multipart": (MULTIPART, parts(2)[:-6], {}),
    "a part without an end": (MULTIPART, b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nxx', {}),
    "a part without a name": (MULTIPART, b"--b\r\n\r\n1\r\n--b--\r\n", {}),
    "a part with a header of 100 KB": (
        MULTIPART,
        b'--b\r\nContent-Disposition: form-data; name="' + b"a" * 100_000 + b'"\r\n\r\n1\r\n--b--\r\n',
        {},
    ),
    "a file where none is taken": (
        MULTIPART,
        b'--b\r\nContent-Disposition: form-data; name="identity"; filename="a"\r\n\r\n1\r\n--b--\r\n',
        {},
    ),
    "multipart with NUL": (
        MULTIPART,
        b'--b\r\nContent-Disposition: form-data; name="identity"\r\n\r\na\0b\r\n--b--\r\n',
        {},
    ),
    "multipart without a boundary": ("multipart/form-data", parts(1), {}),
    "a boundary of 5,000 characters": (f"multipart/form-data; boundary={'b' * 5000}", parts(1), {}),
}

# Where the contract says which refusal it is, for calls that read a body as fields.
STATUSES = (
    dict.fromkeys(
        (
            "text/plain", "no content type", "XML", "two content types", "a content type of 5,000 characters",
            "gzip", "a gzip bomb", "deflate", "gzip twice",
        ),
        415,
    )
    | dict.fromkeys(("1 MB of garbage", "1 MB of text", "a form of 2,000 fields", "a thousand parts"), 413)
    | dict.fromkeys(
        ("an unfinished multipart", "a part without an end", "multipart without a boundary"), 400
    )
)  # fmt: skip

# Headers that are refused wherever they are looked at, or change nothing; never a 5xx.
HEADERS: dict[str, dict[str, bytes]] = {
    "a bearer of 5,000 characters": {"Authorization": b"Bearer " + b"a" * 5000},
    "a bearer of bytes": {"Authorization": b"Bearer \xff\xfe\x80"},
    "no bearer": {"Authorization": b"Bearer"},
    "basic": {"Authorization": b"Basic " + b"=" * 40},
    "a cookie of bytes": {"Cookie": b"__Host-storefront=\xff\xfe; __Host-cart=\x80"},
    "a thousand cookies": {"Cookie": b"; ".join(b"c%d=1" % n for n in range(1000))},
    "a session cookie twice": {"Cookie": b"__Host-storefront=a; __Host-storefront=b"},
    "a key of 256 characters": {"Idempotency-Key": b"k" * 256},
    "a key of bytes": {"Idempotency-Key": b"\xff" * 40},
    "an empty key": {"Idempotency-Key": b""},
    "a short key of nobody": {"Idempotency-Key": b"1"},
    "an unknown store": {"X-Store": b"nobody"},
    "a store of bytes": {"X-Store": b"\xff\xfe"},
    "a store of 5,000 characters": {"X-Store": b"s" * 5000},
    "a checkout token of bytes": {"X-Checkout-Token": b"\xff"},
    "a checkout token of 5,000 characters": {"X-Checkout-Token": b"t" * 5000},
    "an unknown host": {"Host": b"nobody.example"},
    "a host of bytes": {"Host": b"\xff\xfe"},
    "a request id of markup": {"X-Request-Id": b"<script>"},
    "an origin of nonsense": {"Origin": b"http://[::1", "Cookie": b"__Host-storefront=a"},
    "a tag of bytes": {"If-None-Match": b'"\xff"'},
    "forwarded nonsense": {"X-Forwarded-For": b"999.1.1.1, \xff", "Forwarded": b"for=\xff"},
    "an impossible range": {"Range": b"bytes=9-1"},
    "expect nonsense": {"Expect": b"nonsense"},
    "200 ranges of languages": {"Accept-Language": b",".join(b"x%d;q=9" % n for n in range(200))},
    "accept nonsense": {"Accept": b"\xff/;q=nan"},
}

QUERIES: dict[str, str] = {
    "NUL": "cart_uuid=%00",
    "NUL in a name": "a%00b=1",
    "broken UTF-8": "cart_uuid=%ff%fe&q=%ff",
    "a surrogate": "q=%ed%a0%80&cart_uuid=%ed%a0%80",
    "half an escape": "q=%&cart_uuid=%4",
    "a page of 2**70": f"page={2**70}",
    "a page of 10,000 digits": "page=" + "9" * 10_000,
    "page 0": "page=0",
    "page -1": "page=-1",
    "a page of words": "page=one",
    "a size of 0": "offset=0",
    "a size of 10**9": "limit=1000000000&per-page=1",
    "ids over 64 bit": f"product_ids[]={2**64}&types[]={2**64}&product_id={2**64}",
    "1,500 parts": "&".join(f"f{n}=1" for n in range(1500)),
    "1,500 ids": "&".join(f"product_ids[]={n}" for n in range(1, 1501)),
    "a word of 20,000 characters": "q=" + "a" * 20_000 + "&cart_uuid=" + "a" * 20_000,
    "brackets that do not close": "filter_by[a=1&option[=1",
    "a hundred brackets": "filter_by" + "[b]" * 100 + "=1",
    "a thousand filters": "&".join(f"filter_by[o{n}][]=1" for n in range(900)),
    "quotes and operators": "q=%27%22%3B--%20%28%29%26%7C%21%3A*%3C-%3E&search=%27%22%3A*%26%21",
    "only operators": "q=%26%7C%21&search=%28%28%28&expand=%27",
    "unknown order": "order_by=price;drop&order_type=up&expand=everything",
    "separators": "&&&;=;==&=1",
}

# Path values: each is the id or name of nothing.
PATHS: dict[str, str] = {
    "NUL": "%00",
    "broken UTF-8": "%ff%fe",
    "a surrogate": "%ed%a0%80",
    "0": "0",
    "-1": "-1",
    "2**63": str(2**63),
    "2**70": str(2**70),
    "5,000 digits": "9" * 5000,
    "5,000 characters": "a" * 5000,
    "a fraction": "1.5",
    "digits of another script": "%D9%A1%D9%A2",
    "a slash": "a%2Fb",
    "dots": "%2e%2e%2f%2e%2e%2fetc",
    "quotes": "%27%22%3B--",
    "a line end": "a%0d%0ab",
    "markup": "%3Cscript%3E",
    "a space": "%20",
}


def wrong_values(route: Route, body: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """The body as JSON, each time with one field that is not of its documented type or range.

    Each field gets something of every other type, and of its own type all that is wrong. Of another type all numbers,
    texts or lists are wrong alike: of those each field gets one, and each route all.
    """
    fields = list(fields_of(route))
    for number, (place, kind) in enumerate(fields):
        for turn, (label, raw) in enumerate(_WRONG.items()):
            has_turn = turn % len(fields) == number or number % len(_WRONG) == turn
            if (has_turn or label in _OF_EACH_TYPE or _is_near(kind, raw)) and not _is_accepted(kind, raw):
                yield f"{'.'.join(place)} is {label}", with_value(body, place, msgspec.Raw(raw))


_OF_EACH_TYPE = {"null", "true", "a fraction", "a text", "a list", "an object"}


_WRONG: dict[str, bytes] = {
    "null": b"null",
    "true": b"true",
    "a fraction": b"1.5",
    "a text": b'"words"',
    "an empty text": b'""',
    "a list": b"[1]",
    "an object": b'{"a": 1}',
    "0": b"0",
    "-1": b"-1",
    "2**63": b"%d" % 2**63,
    "-2**63": b"-%d" % 2**63,
    "2**70": b"%d" % 2**70,
    "5,000 digits": b"9" * 5_000,
    "1e400": b"1e400",
    "NUL": b'"a\\u0000b"',
    "a lone surrogate": b'"a\\ud800b"',
    "broken UTF-8": b'"a\xffb"',
    "200,000 characters": b'"' + b"x" * 200_000 + b'"',
    "10,000 empty lists": b"[" + b"[]," * 9_999 + b"[]]",
    "1,500 lists deep": b"[" * 1500 + b"]" * 1500,
    "NUL inside": b'{"a": ["\\u0000"]}',
    "NUL as a name": b'{"\\u0000": 1}',
}
# Wrong whatever the type says: no text may be so long or hold these, at any place of a body.
_ALWAYS_WRONG = {
    "NUL",
    "a lone surrogate",
    "broken UTF-8",
    "200,000 characters",
    "1,500 lists deep",
    "5,000 digits",
    "1e400",
    "NUL inside",
    "NUL as a name",
}


def _is_near(kind: Any, raw: bytes) -> bool:
    """Whether a value is written as those are that the type takes: as a text, a number, or a list or object."""
    written = {b'"': "text", b"[": "nested", b"{": "nested"}.get(raw[:1], "number")
    return any(_written_as(member) in (written, "any") for member in members_of(kind))


def _written_as(kind: Any) -> str:
    match kind:
        case inspect.AnyType() | inspect.RawType():
            return "any"
        case inspect.IntType() | inspect.FloatType():
            return "number"
        case inspect.BoolType() | inspect.NoneType():
            return "word"
        case inspect.StructType() | inspect.DictType() | inspect.CollectionType():
            return "nested"
    return "text"


def _is_accepted(kind: Any, raw: bytes) -> bool:
    label = next(name for name, value in _WRONG.items() if value is raw)
    if label in _ALWAYS_WRONG:
        return False
    try:
        value = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return False
    if value in (0, 1, True) and _takes_bool(kind):
        return True
    return any(_fits(member, value) for member in members_of(kind))


def members_of(kind: Any) -> list[Any]:
    if isinstance(kind, inspect.Metadata):
        return members_of(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [member for each in kind.types for member in members_of(each)]
    return [kind]


def _takes_bool(kind: Any) -> bool:
    return any(isinstance(member, inspect.BoolType) for member in members_of(kind))


def _fits(kind: Any, value: Any) -> bool:  # noqa: PLR0911 - one row per kind
    match kind:
        case inspect.NoneType():
            return value is None
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            within = isinstance(value, int) and not isinstance(value, bool)
            return within and (kind.ge is None or value >= kind.ge) and (kind.le is None or value <= kind.le)
        case inspect.FloatType():
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case inspect.StrType():
            return isinstance(value, str) and len(value) >= (kind.min_length or 0)
        case inspect.StructType():
            return False
        case inspect.DictType():
            return isinstance(value, dict)
        case inspect.LiteralType() | inspect.EnumType():
            return False
    return isinstance(value, list) if "Type" in type(kind).__name__ else True


def fields_of(route: Route) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every field of a body, nested ones by their path, with the type that it has."""
    return _fields(inspect.type_info(route.shape), ())


def _fields(kind: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for member in members_of(kind):
        if isinstance(member, inspect.StructType):
            for each in member.fields:
                yield (*place, each.encode_name), each.type
                yield from _fields(each.type, (*place, each.encode_name))


def _required(shape: Any) -> list[str]:
    return [each.name for each in msgspec.structs.fields(shape) if each.required]


def with_value(body: dict[str, Any], place: tuple[str, ...], value: Any) -> bytes:
    """The body as JSON with another value at one place."""
    changed = deepcopy(body)
    node = changed
    for name in place[:-1]:
        if not isinstance(node.get(name), dict):
            node[name] = {}
        node = node[name]
    node[place[-1]] = value
    return msgspec.json.encode(changed)


def problem_fault(answer: httpx.Response, *, success: bool = False) -> str | None:
    """What is wrong with the answer to something wrong: None for a 4xx problem that names its request."""
    if success and answer.status_code < 400:
        return None
    if not 400 <= answer.status_code < 500:
        return f"{answer.status_code} {answer.text[:200]}"
    if answer.headers.get("content-type") != "application/problem+json":
        return f"{answer.status_code} as {answer.headers.get('content-type')}"
    problem = answer.json()
    if problem.get("status") != answer.status_code or not all(
        isinstance(problem.get(name), str) and problem[name]
        for name in ("type", "title", "detail", "code", "request_id")
    ):
        return f"{answer.status_code} {problem}"
    if answer.status_code == 422 and problem["code"] == "validation_failed" and not problem.get("errors"):
        return f"a 422 without errors: {problem}"
    return None
