"""How an answer as JSON goes out: its bytes and headers at once, where nothing else was asked of it.

Litestar's own way from a Response to what is sent takes longer than making the value that it holds.
"""

from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from litestar import MediaType, Response

T = TypeVar("T")

_JSON: Final = (b"content-type", b"application/json")


class Answer(Response[T]):
    """A Response as Litestar has it; without cookies and the like it goes out by itself."""

    def to_asgi_response(self, app: Any, request: Any, **settings: Any) -> Any:
        """What is sent. `settings` are those of the route: of these JSON of our own Structs takes headers and status."""
        own = self.cookies or self.background or self.media_type or self.response_type_encoders
        routes = settings["cookies"] or settings["background"]
        if own or routes or (settings["media_type"] or MediaType.JSON) != MediaType.JSON:
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
