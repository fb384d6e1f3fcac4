"""How the tests' shoppers call a shop over HTTP: the transport of an httpx client, with as little as that takes.

httpx's own costs more of a test's time than the answer does, since it shares out its connections anew and looks
whether each of them is still open at every call. An answer that is cut off, longer than it says, or none of
HTTP/1.1 (RFC 9112) ends as an error here, too.
"""

import asyncio
from typing import Final, cast

import httpx

_NO_BODY: Final = (204, 304)


class Line(httpx.AsyncBaseTransport):
    """Keeps connections to servers and calls on whichever is free, at most so many at once.

    What is sent bit by bit goes by httpx's own transport.
    """

    def __init__(self, most: int = 100) -> None:
        self._places = asyncio.Semaphore(most)
        self._free: dict[tuple[str, int], list[_Connection]] = {}
        # Nothing here speaks TLS, and to load the world's certificates takes 20 ms.
        self._gradual = httpx.AsyncHTTPTransport(verify=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(request.stream, httpx.ByteStream):
            return await self._gradual.handle_async_request(request)
        async with self._places:
            return await self._call(request, request.extensions.get("timeout", {}))

    async def _call(self, request: httpx.Request, seconds: dict[str, float | None]) -> httpx.Response:
        address = request.url.host, request.url.port or 80
        connection = self._take(address)
        if connection is None:
            connection = await _connect(address, seconds.get("connect"))
        try:
            async with asyncio.timeout(seconds.get("read")):
                status, headers, content = await connection.call(request)
        except TimeoutError as problem:
            raise httpx.ReadTimeout("no answer in time", request=request) from problem
        finally:
            if connection.is_free:
                self._free.setdefault(address, []).append(connection)
            else:
                connection.close()
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content))

    def _take(self, address: tuple[str, int]) -> "_Connection | None":
        free = self._free.get(address, [])
        while free:
            connection = free.pop()
            if connection.is_free:
                return connection
            connection.close()
        return None

    async def aclose(self) -> None:
        for free in self._free.values():
            for connection in free:
                connection.close()
        self._free.clear()
        await self._gradual.aclose()


async def _connect(address: tuple[str, int], seconds: float | None) -> "_Connection":
    try:
        async with asyncio.timeout(seconds):
            _, made = await asyncio.get_running_loop().create_connection(_Connection, *address)
    except TimeoutError as problem:
        raise httpx.ConnectTimeout("nobody takes the call in time") from problem
    except OSError as problem:
        raise httpx.ConnectError(str(problem)) from problem
    return made


class _Connection(asyncio.Protocol):
    """One call after the other; whatever is not a whole answer to a call ends it."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._waiting: asyncio.Future[None] | None = None
        self._is_open = True
        self._is_whole = True

    @property
    def is_free(self) -> bool:
        return self._is_open and self._is_whole and not self._received

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_open = False
        self._wake()

    def close(self) -> None:
        self._is_open = False
        if self._transport is not None:
            self._transport.abort()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def call(self, request: httpx.Request) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body. Raises httpx.RemoteProtocolError where the answer is none."""
        assert self._transport is not None
        self._is_whole = False
        head = b"".join(b"%b: %b\r\n" % named for named in request.headers.raw)
        self._transport.write(
            b"%b %b HTTP/1.1\r\n%b\r\n%b"
            % (request.method.encode(), request.url.raw_path, head, request.content)
        )
        status = 100
        while status < 200:  # 100 Continue and its like come before the answer
            lines = (await self._until(b"\r\n\r\n"))[:-4].split(b"\r\n")
            if not lines[0].startswith(b"HTTP/1.1 ") or not lines[0][9:12].isdigit():
                raise httpx.RemoteProtocolError(f"no answer of HTTP/1.1: {lines[0]!r}")
            status = int(lines[0][9:12])
        headers = [_header(line) for line in lines[1:]]
        named = {name.lower(): value for name, value in headers}
        content = await self._body(request.method, status, named)
        if self._received:
            raise httpx.RemoteProtocolError(f"more than the answer: {self._received[:100]!r}")
        self._is_whole = named.get(b"connection") != b"close"
        return status, headers, content

    async def _body(self, method: str, status: int, headers: dict[bytes, bytes]) -> bytes:
        if method == "HEAD" or status in _NO_BODY:
            return b""
        if headers.get(b"transfer-encoding") == b"chunked":
            parts = []
            while size := int((await self._until(b"\r\n"))[:-2].partition(b";")[0], 16):
                parts.append((await self._exactly(size + 2))[:-2])
            await self._until(b"\r\n")
            return b"".join(parts)
        if b"content-length" not in headers:
            raise httpx.RemoteProtocolError(f"an answer of unknown length: {headers}")
        return await self._exactly(int(headers[b"content-length"]))

    async def _until(self, end: bytes) -> bytes:
        while (found := self._received.find(end)) < 0:
            await self._more()
        return self._cut(found + len(end))

    async def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            await self._more()
        return self._cut(size)

    def _cut(self, size: int) -> bytes:
        cut = bytes(self._received[:size])
        del self._received[:size]
        return cut

    async def _more(self) -> None:
        if not self._is_open:
            raise httpx.RemoteProtocolError("the server hung up without a whole answer")
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not name or name.strip() != name:
        raise httpx.RemoteProtocolError(f"no header: {line!r}")
    return name, value.strip()
