"""The smallest HTTP client that can drive a load: one keep-alive connection, whole answers, nothing else.

A general client costs several times what the server's answer does, and would be what is measured.
"""

import asyncio
from collections.abc import Mapping


class UnexpectedAnswer(Exception):  # noqa: N818 - says what came
    """A status that the operation does not end well with."""


class Connection:
    """Calls one after the other on one socket; broken by the server, it is made anew with the next call."""

    def __init__(self, host: str, port: int, *, seconds: float = 30) -> None:
        self._address = (host, port)
        self._head = f"host: {host}:{port}\r\naccept: application/json\r\n".encode()
        self._seconds = seconds
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(
        self, method: str, path: str, body: bytes = b"", *, wanted: tuple[int, ...] = (200,)
    ) -> tuple[Mapping[bytes, bytes], bytes]:
        """The headers, in lower case, and the body. Raises UnexpectedAnswer, OSError or TimeoutError."""
        head = b"%s %s HTTP/1.1\r\n%s" % (method.encode(), path.encode(), self._head)
        if body:
            head += b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
        elif method in ("POST", "PUT"):
            head += b"content-length: 0\r\n"
        try:
            async with asyncio.timeout(self._seconds):
                status, headers, content = await self._exchange(head + b"\r\n" + body)
        except BaseException:
            self.close()
            raise
        if status not in wanted:
            raise UnexpectedAnswer(f"{method} {path.partition('?')[0]}: {status} {content[:300]!r}")
        return headers, content

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _exchange(self, request: bytes) -> tuple[int, Mapping[bytes, bytes], bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        writer.write(request)
        lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        status = int(lines[0][9:12])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        if b"content-length" in headers:
            content = await reader.readexactly(int(headers[b"content-length"]))
        elif headers.get(b"transfer-encoding") == b"chunked":
            content = await _chunks(reader)
        else:
            content = b""
        if headers.get(b"connection") == b"close":
            self.close()
        return status, headers, content


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readuntil(b"\r\n"))[:-2].partition(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(parts)
