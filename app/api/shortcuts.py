"""The short way to the handlers that write and are called at once: found by the parts of the path, past Litestar.

Litestar takes an address apart anew for each cart and each checkout, and goes through five layers to the handler.
Whatever is out of the ordinary about a call, or about its address, goes that way all the same.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from litestar import Litestar
from litestar.routes import HTTPRoute

from app.api.asked import asked
from app.api.calling import AtOnce, at_once_of
from app.api.request import JSON

_JSON: Final = JSON.encode()
# Reads have a short way of their own, by address.
_METHODS: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_PLAIN_HOST: Final = re.compile(rb"[A-Za-z0-9.:-]+")


class _Way(NamedTuple):
    template: str
    handler: Any
    at_once: AtOnce
    request_class: Any
    parameters: tuple[tuple[int, str], ...]  # which part of the path is which parameter


class Shortcuts:
    """By method and number of parts, and then by those parts of a path that are always the same."""

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._ways: dict[tuple[str, int], dict[tuple[int, ...], dict[tuple[str, ...], _Way]]] = {}
        routes = [_parts(route) for route in app.routes]
        for route in app.routes:
            parts = _parts(route)
            if not isinstance(route, HTTPRoute) or any(_could_be(parts, other) for other in routes):
                continue
            for method, handler, at_once in _open_to_all(route):
                fixed = tuple(place for place, name in enumerate(parts) if isinstance(name, str))
                named = tuple((place, name.name) for place, name in enumerate(parts) if place not in fixed)
                way = _Way(route.path_format, handler, at_once, handler.resolve_request_class(), named)
                by_places = self._ways.setdefault((method, len(parts)), defaultdict(dict))
                by_places[fixed][tuple(parts[place] for place in fixed)] = way

    def find(self, scope: Any) -> tuple[_Way, dict[str, str]] | None:
        """The way that a call takes, with the parameters in its path; None where it is Litestar's."""
        parts = scope["path"].split("/")[1:]
        for places, ways in self._ways.get((scope["method"], len(parts)), _NOWHERE).items():
            way = ways.get(tuple([parts[place] for place in places]))
            if way is not None:
                given = {name: parts[place] for place, name in way.parameters}
                return (way, given) if all(given.values()) and _is_ordinary(scope, way) else None
        return None

    async def send(self, scope: Any, receive: Any, send: Any) -> bool:
        """Answer a call that has a short way; False where it has none. Raises what its handler raises."""
        found = self.find(scope)
        if found is None:
            return False
        way, scope["path_params"] = found
        scope["path_template"], scope["route_handler"] = way.template, way.handler
        request = way.request_class(scope, receive, send)
        for guard in way.handler.resolve_guards():
            await guard(request, way.handler)
        said = await way.at_once(request)
        if said is None:  # an empty body, whatever was announced
            return False
        answer = await way.handler.to_response(app=self._app, data=said, request=request)
        await answer(scope, receive, send)
        return True


_NOWHERE: Final[Mapping[Any, Any]] = {}


def _parts(route: Any) -> tuple[Any, ...]:
    """The parts of a path: texts, and the parameters between them."""
    return tuple(route.path_components)


def _could_be(parts: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether an address of the one can also be one of the other, so that Litestar has to choose."""
    same = all(isinstance(a, str) == isinstance(b, str) for a, b in zip(parts, other, strict=False))
    if len(parts) == len(other) and same:
        return False  # itself, or it differs in a text
    swallows = any(not isinstance(one, str) and one.full.endswith(":path") for one in other)
    fits = all(
        not isinstance(a, str) or not isinstance(b, str) or a == b for a, b in zip(parts, other, strict=False)
    )
    return fits and (swallows or len(parts) == len(other))


def _open_to_all(route: HTTPRoute) -> Iterator[tuple[str, Any, AtOnce]]:
    """The handlers of a route that have nothing around them but what we put there."""
    for method, (handler, _) in route.route_handler_map.items():
        at_once = at_once_of(handler)
        if at_once is None or method not in _METHODS:
            continue
        if not (handler.resolve_middleware() or handler.cache or handler.resolve_after_response()):
            yield method, handler, at_once


def _is_ordinary(scope: Any, way: _Way) -> bool:
    """Whether nothing about a call wants a second look: a mounted shop, a strange host, forms, bodies in pieces."""
    headers = asked(scope)
    if scope.get("root_path") or not _PLAIN_HOST.fullmatch(headers.host):
        return False
    if headers.content_type not in (None, _JSON) or (way.at_once.reads_query and scope["query_string"]):
        return False
    has_body = headers.content_type == _JSON and (headers.content_length or b"0") != b"0"
    return has_body or not way.at_once.reads_body
