"""A real server on a loopback port, inside the test's own event loop: `async with serve(app) as url`."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

from granian.constants import HTTPModes
from granian.server.embed import Server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def serve(app: Any) -> AsyncIterator[str]:
    """Serve until the block ends; the lifespan runs. The address has no slash at its end."""
    port = free_port()
    server = Server(
        app,
        address="127.0.0.1",
        port=port,
        interface="asgi",
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    running = asyncio.create_task(server.serve())
    try:
        await _accepting(port, running)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        await running


async def _accepting(port: int, running: asyncio.Task[None]) -> None:
    async with asyncio.timeout(10):
        while True:
            if running.done():
                running.result()
                raise RuntimeError("the server ended before it answered")
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await writer.wait_closed()
                return
            # a refused connection is the only sign that a server is not there yet
            await asyncio.sleep(0.005)
