"""A line to PostgreSQL that can be cut around a COMMIT: before it arrives, or before its answer comes back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit, urlunsplit

# A simple query as the driver sends it (PostgreSQL, "Message Formats": Query): a COMMIT is nothing else.
COMMIT = b"Q" + (4 + len(b"COMMIT;\x00")).to_bytes(4) + b"COMMIT;\x00"
CHUNK = 65536


@dataclass
class Line:
    """Faults for the next commits, one each: `before` (COMMIT never arrives), `after` (done, no answer), or none."""

    url: str = ""
    commits: int = 0
    _faults: list[str] = field(default_factory=list)

    def cut(self, *faults: str) -> None:
        self._faults.extend(faults)

    def mend(self) -> None:
        self._faults.clear()

    async def carry(self, database_url: str, reader, writer) -> None:
        back_reader, back_writer = await _reach(database_url)
        answers = asyncio.create_task(self._answers(back_reader, writer))
        try:
            while chunk := await reader.read(CHUNK):
                fault = ""
                if chunk == COMMIT:
                    self.commits += 1
                    fault = self._faults.pop(0) if self._faults else ""
                if fault == "before":
                    return
                if fault == "after":
                    answers.cancel()
                    await asyncio.wait({answers})
                    back_writer.write(chunk)
                    # The answer has come this far, so it is done.
                    assert b"COMMIT" in await back_reader.read(CHUNK)
                    return
                back_writer.write(chunk)
                await back_writer.drain()
        finally:
            answers.cancel()
            for end in (back_writer, writer):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _answers(self, reader, writer) -> None:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        writer.close()


async def _reach(database_url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(database_url)
    folder = dict(parse_qsl(parts.query)).get("host")
    if folder:
        return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{parts.port or 5432}")
    return await asyncio.open_connection(parts.hostname, parts.port or 5432)


@asynccontextmanager
async def postgres_line(database_url: str) -> AsyncIterator[Line]:
    """A line to the server of a postgresql:// URL."""
    parts = urlsplit(database_url)
    line = Line()
    carried: set[asyncio.Task[None]] = set()

    async def accept(reader, writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        carried.add(task)
        with contextlib.suppress(ConnectionError):
            await line.carry(database_url, reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    user = parts.netloc.rpartition("@")[0]
    netloc = f"{user}@127.0.0.1:{port}" if user else f"127.0.0.1:{port}"
    line.url = urlunsplit(parts._replace(netloc=netloc, query=""))
    try:
        yield line
    finally:
        server.close()
        for task in carried:
            task.cancel()
        await asyncio.gather(*carried, return_exceptions=True)
        await server.wait_closed()
