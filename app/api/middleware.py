"""What every answer has, whatever made it: a request id, security headers, CORS, a measurement, a log line.

One layer around everything, routing errors included, because each further layer costs every route. Who asks
(session, bearer) and the rule against forged calls sit inside it, as Litestar middleware of their surfaces.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from time import perf_counter
from types import MappingProxyType
from typing import Any, Final

import structlog

from app.api.asked import asked
from app.api.errors import Envelopes
from app.api.faults import invalid_field
from app.api.kept import KeptAnswers
from app.api.known_calls import KnownCalls
from app.api.metrics import Observe
from app.api.shortcuts import Shortcuts
from app.kit.errors import NOT_FOUND, NotFound
from app.log import request_id

log = structlog.get_logger("storefront.access")

Headers = list[tuple[bytes, bytes]]
AsgiApp = Callable[[Any, Any, Any], Any]

# Under this key of the scope lies the list of headers that the answer will have, error or not; routes may add.
ANSWER_HEADERS: Final = "storefront.answer_headers"

_SANE_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")

SECURITY: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
HSTS = (b"strict-transport-security", b"max-age=31536000")
API_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
NO_STORE = (b"cache-control", b"no-store")

ALLOWED_METHODS = b"GET, POST, PUT, PATCH, DELETE"
ALLOWED_HEADERS = (
    b"authorization, content-type, idempotency-key, if-none-match, x-checkout-token, x-request-id, "
    b"x-session, x-store"
)
EXPOSED_HEADERS = (
    b"etag, idempotency-replayed, location, ratelimit-limit, ratelimit-remaining, ratelimit-reset, "
    b"retry-after, x-request-id"
)
PREFLIGHT_SECONDS = b"600"


class Edge:
    """The outermost ASGI layer."""

    def __init__(
        self,
        app: AsgiApp,
        *,
        envelopes: Envelopes,
        origins: Iterable[str] = (),
        production: bool = False,
        observe: Observe | None = None,
        log_success: bool = True,
        methods: Mapping[str, bytes] = MappingProxyType({}),
        kept: KeptAnswers | None = None,
        calls: KnownCalls | None = None,
        shortcuts: Shortcuts | None = None,
    ) -> None:
        self._app = app
        self._envelopes = envelopes
        self._origins = frozenset(origin.rstrip("/").encode() for origin in origins)
        self._always: Headers = [*SECURITY, HSTS] if production else [*SECURITY]
        if self._origins:
            self._always.append((b"vary", b"Origin"))
        self._observe = observe
        self._log_success = log_success
        self._methods = methods
        self._kept = kept if kept is not None and kept.is_on else None
        self._calls = calls
        self._shortcuts = shortcuts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        started = perf_counter()
        headers = asked(scope)
        origin, current = headers.origin, _request_id(headers.request_id)
        token = request_id.set(current.decode())
        extra = scope[ANSWER_HEADERS] = [*self._always, (b"x-request-id", current)]
        if origin is not None and origin in self._origins:
            extra += _cors(origin)
        status = 0

        async def send_with_headers(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = message.get("headers") or ()
                message["headers"] = _complete(
                    _unchanged(given) if status == HTTPStatus.NOT_MODIFIED else given, extra
                )
                if scope["method"] == "OPTIONS":
                    self._name_all_methods(scope, message["headers"])
            await send(message)

        try:
            if not await self._answered_here(scope, origin, receive, send_with_headers):
                await self._app(scope, receive, send_with_headers)
        except Exception as error:
            if status:
                log.exception("failed after the answer had begun")
                raise
            await self._send_error(scope, error, send_with_headers)
        finally:
            self._account(scope, status, perf_counter() - started)
            request_id.reset(token)

    def _name_all_methods(self, scope: Any, headers: Headers) -> None:
        """Litestar's answer to OPTIONS knows the methods of the first handler of a path only."""
        known = self._methods.get(scope.get("path_template") or "")
        if known is not None:
            headers[:] = [(name, known if name.lower() == b"allow" else value) for name, value in headers]

    async def _answered_here(self, scope: Any, origin: bytes | None, receive: Any, send: Any) -> bool:
        """Answer what no route should see: preflights, texts that no table can hold, and what is kept, known or near."""
        if "\0" in scope["path"]:
            await self._send_error(scope, NotFound(NOT_FOUND, "There is nothing at this address."), send)
            return True
        query = scope["query_string"]
        if b"%00" in query:
            name = next(part for part in query.split(b"&") if b"%00" in part).partition(b"=")[0]
            fault = invalid_field(
                name.decode("latin-1")[:100], "invalid_text", "Text must not contain the character U+0000."
            )
            await self._send_error(scope, fault, send)
            return True
        if scope["method"] == "OPTIONS" and origin is not None and origin in self._origins:
            asked = any(name == b"access-control-request-method" for name, _ in scope["headers"])
            if asked:
                headers = [
                    (b"access-control-allow-methods", ALLOWED_METHODS),
                    (b"access-control-allow-headers", ALLOWED_HEADERS),
                    (b"access-control-max-age", PREFLIGHT_SECONDS),
                ]
                await _send(send, HTTPStatus.NO_CONTENT, headers, b"")
                return True
        if scope["method"] != "GET":
            return self._shortcuts is not None and await self._shortcuts.send(scope, receive, send)
        if self._kept is not None and await self._kept.send(scope, send):
            return True
        return self._calls is not None and await self._calls.send(scope, receive, send)

    async def _send_error(self, scope: Any, error: Exception, send: Any) -> None:
        status, media_type, body, headers = self._envelopes.answer(scope["path"], error)
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        encoded += [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        await _send(send, status, encoded, body)

    def _account(self, scope: Any, status: int, seconds: float) -> None:
        # The template, never the path: paths hold the secrets of carts and checkouts.
        route = scope.get("path_template") or "unmatched"
        if self._observe is not None:
            self._observe(scope["method"], route, status or 500, seconds)
        if status and status < HTTPStatus.BAD_REQUEST and not self._log_success:
            return
        write = log.info if status and status < HTTPStatus.INTERNAL_SERVER_ERROR else log.error
        write("request", method=scope["method"], route=route, status=status, ms=round(seconds * 1000, 1))


def _request_id(given: bytes | None) -> bytes:
    """The given one where it is harmless, else a new one."""
    return given if given and _SANE_ID.fullmatch(given) else os.urandom(12).hex().encode()


def _complete(given: Iterable[tuple[bytes, bytes]], extra: Headers) -> Headers:
    headers = list(given)
    has_policy = keeps = is_limited = False
    for name, _ in headers:
        if name == b"content-security-policy":
            has_policy = True
        elif name == b"cache-control":
            keeps = True
        elif name == b"ratelimit-limit":
            is_limited = True
    # A limit that refuses speaks for itself, and not those that let the call through.
    headers += (pair for pair in extra if not pair[0].startswith(b"ratelimit-")) if is_limited else extra
    if not has_policy:
        headers.append(API_POLICY)
    if not keeps:
        headers.append(NO_STORE)
    return headers


def _unchanged(given: Iterable[tuple[bytes, bytes]]) -> Headers:
    """What a 304 says: nothing of content that it has not, where the length would be that of a 200 (RFC 9110, 8.6)."""
    return [(name, value) for name, value in given if name not in (b"content-length", b"content-type")]


def _cors(origin: bytes) -> Headers:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", EXPOSED_HEADERS),
    ]


def _without_body(send: Any) -> Any:
    """HEAD is GET without the content (RFC 9110, section 9.3.2): the headers go out, the bytes stay."""

    async def send_head(message: Any) -> None:
        if message["type"] == "http.response.body":
            if not message.get("more_body", False):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await send(message)

    return send_head


async def _send(send: Any, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
