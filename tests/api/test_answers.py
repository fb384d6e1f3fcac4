"""An Answer goes out as Litestar's own Response would, by a shorter way."""

from typing import Any

import msgspec
import pytest
from litestar import Response
from litestar.datastructures import Cookie

from app.api import answers
from app.api.answers import Answer

ROUTE: dict[str, Any] = {
    "background": None,
    "cookies": [],
    "headers": {},
    "media_type": "",
    "status_code": 200,
    "type_encoders": {},
}


class Total(msgspec.Struct):
    total: int
    note: str | msgspec.UnsetType = msgspec.UNSET


async def sent(response: Response[Any], **route: Any) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body as the server gets them."""
    events: list[Any] = []

    async def send(event: Any) -> None:
        events.append(event)

    asgi: Any = response.to_asgi_response(None, None, **{**ROUTE, **route})
    await asgi({}, None, send)
    start, body = events
    return start["status"], sorted(start["headers"]), body["body"]


async def test_an_answer_is_what_litestar_would_send(monkeypatch: pytest.MonkeyPatch) -> None:
    short = 0

    class Counted(answers._Sent):
        def __init__(self, *what: Any) -> None:
            nonlocal short
            short += 1
            super().__init__(*what)

    monkeypatch.setattr(answers, "_Sent", Counted)
    table: list[tuple[Any, dict[str, Any], dict[str, Any], bool]] = [
        (Total(5), {}, {}, True),
        (Total(5, "é"), {"headers": {"Cache-Control": "no-store"}, "status_code": 202}, {}, True),
        ([Total(1)], {}, {"status_code": 201, "headers": {"X-One": "1"}}, True),
        (None, {"status_code": 204, "headers": {"Location": "/orders/1"}}, {"status_code": 202}, True),
        (Total(5), {"cookies": [Cookie(key="a", value="b")]}, {}, False),
        ("text", {"media_type": "text/plain"}, {}, False),
        (b"raw", {}, {"media_type": "application/octet-stream"}, False),
    ]
    for content, own, route, by_short_way in table:
        before = short
        assert await sent(Answer(content, **own), **route) == await sent(Response(content, **own), **route)
        assert (short > before) == by_short_way, (content, own, route)
