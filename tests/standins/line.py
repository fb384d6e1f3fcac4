"""A line to a server that can be slow, or cut: everything else passes through as it came."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
CHUNK = 65_536


@dataclass
class Line:
    """What passes is held up for `delay` seconds, each piece each way. A cut line refuses and hangs up."""

    delay: float = 0.0
    is_cut: bool = False
    _open: set[asyncio.Task[Any]] = field(default_factory=set)

    def cut(self) -> None:
        self.is_cut = True
        for task in self._open:
            task.cancel()

    def mend(self) -> None:
        self.is_cut, self.delay = False, 0.0

    async def carry(self, near: Streams, call: Callable[[], Awaitable[Streams]]) -> None:
        """Carry one connection until either side hangs up."""
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        writers = [near[1]]
        # The stream protocol has nobody to hand a cancellation on to.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if not self.is_cut:
                far = await call()
                writers.append(far[1])
                ways = [
                    asyncio.create_task(self._pass(*way)) for way in ((near[0], far[1]), (far[0], near[1]))
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
        for writer in writers:
            writer.close()
        self._open.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)  # this is what a slow line does
                writer.write(piece)
                await writer.drain()

    def hang_up(self) -> list[asyncio.Task[Any]]:
        self.cut()
        return list(self._open)


@asynccontextmanager
async def line_to_port(port: int) -> AsyncIterator[tuple[Line, int]]:
    """A line to a port on loopback, and the port at which it begins."""
    line = Line()

    async def carry(*near: Any) -> None:
        await line.carry(near, lambda: asyncio.open_connection("127.0.0.1", port))

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    async with _served(line, server):
        yield line, server.sockets[0].getsockname()[1]


@asynccontextmanager
async def line_to_socket(far: Path, near: Path) -> AsyncIterator[Line]:
    """A line from one Unix socket to another."""
    line = Line()

    async def carry(*streams: Any) -> None:
        await line.carry(streams, lambda: asyncio.open_unix_connection(far))

    async with _served(line, await asyncio.start_unix_server(carry, near)):
        yield line


@asynccontextmanager
async def _served(line: Line, server: asyncio.Server) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await asyncio.gather(*line.hang_up(), return_exceptions=True)
        server.close()
        await server.wait_closed()
