"""How an answer as JSON goes out: its bytes and headers at once, where nothing else was asked of it.

Litestar's own way from a Response to what is sent takes longer than making the value that it holds.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from litestar import MediaType, Response
from litestar.datastructures import Cookie

T = TypeVar("T")

_JSON: Final = (b"content-type", b"application/json")


class Answer(Response[T]):
    """A Response as Litestar has it; without cookies and the like it goes out by itself."""

    def __init__(
        self,
        content: T,
        *,
        headers: Mapping[str, str] | None = None,
        status_code: int | None = None,
        cookies: Sequence[Cookie] = (),
    ) -> None:
        # All that Litestar's own looks at; it takes a while to find out in what form it was given each.
        self.content = content
        self.headers = dict(headers) if headers else {}
        self.status_code = status_code
        self.cookies = list(cookies)
        self.background = None
        self.encoding = "utf-8"
        self.media_type = None
        self.response_type_encoders = {}

    def to_asgi_response(self, app: Any, request: Any, **settings: Any) -> Any:
        """What is sent. `settings` are those of the route: of these JSON of our own Structs takes headers and status."""
        beside = self.cookies or settings["cookies"] or settings["background"]
        if beside or (settings["media_type"] or MediaType.JSON) != MediaType.JSON:
            return super().to_asgi_response(app, request, **settings)
        status = self.status_code or settings["status_code"] or HTTPStatus.OK
        lines = [
            (name.lower().encode("latin-1"), str(value).encode("latin-1"))
            for name, value in {**settings["headers"], **self.headers}.items()
        ]
        if status == HTTPStatus.NO_CONTENT:
            return _Sent(status, lines, b"")
        body = msgspec.json.encode(self.content)
        return _Sent(status, [*lines, _JSON, (b"content-length", b"%d" % len(body))], body)


class _Sent:
    """An ASGI application that says one thing."""

    __slots__ = ("_body", "_lines", "_status")

    def __init__(self, status: int, lines: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._status = status
        self._lines = lines
        self._body = body

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": int(self._status), "headers": self._lines})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})
