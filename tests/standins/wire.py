"""A small HTTP server that stand-ins answer through. Unlike a real one it can also hang up without a word."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Call:
    """A request; params are those of the query or of the form, whichever it has. JSON stays a body."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


# None hangs up after the request was read: the answer got lost.
Answer = Callable[[Call], Awaitable[Reply | None]]


@contextlib.asynccontextmanager
async def plain_server(answer: Answer, *, port: int = 0) -> AsyncIterator[str]:
    """Its address on loopback, without a slash at the end."""
    open_calls: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_calls.add(task)
        try:
            # The stream protocol has nobody to hand a cancellation on to.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                reply = await answer(await _read(reader))
                if reply is not None:
                    writer.write(_written(reply))
                    await writer.drain()
        finally:
            writer.close()
            open_calls.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for task in open_calls:
            task.cancel()
        await asyncio.gather(*open_calls, return_exceptions=True)
        server.close()
        await server.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    is_json = headers.get("content-type", "").startswith("application/json")
    text = parts.query if method != "POST" or is_json else body.decode()
    params = tuple(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)))
    return Call(method, parts.path, params, headers, body)


def _written(reply: Reply) -> bytes:
    body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
    head = (
        f"HTTP/1.1 {reply.status} x\r\nContent-Type: application/json\r\n{more}"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
