"""A line to PostgreSQL that can be cut around a COMMIT: before it arrives, or before its answer comes back.

A statement that writes and is a transaction by itself is its own COMMIT.

It speaks as much of the protocol (PostgreSQL documentation, "Message Formats") as it takes to know what was
done in a transaction and when the server has committed it.
"""

import asyncio
import contextlib
import re
import struct
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit, urlunsplit

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter

ENCRYPTION_REQUESTS = {80877103, 80877104}  # SSL and GSSAPI, each answered by one byte
CANCEL_REQUEST = 80877102
WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE)\b(?! OF | SKIP)")


class Cut(NamedTuple):
    """`before`: the COMMIT never arrives; `after`: it is done and not answered. `what` is it counted as."""

    when: str
    what: str = ""


# Given the statements of a transaction, what becomes of its COMMIT; None lets it pass.
Choose = Callable[[Sequence[str]], Cut | None]


@dataclass
class Line:
    """A line that is open at `url`. `lost` counts what was cut."""

    server: str
    choose: Choose | None = None
    url: str = ""
    commits: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    _faults: deque[str] = field(default_factory=deque)

    def cut(self, *faults: str) -> None:
        """Faults for the next commits, one each: `before`, `after`, or an empty one."""
        self._faults.extend(faults)

    def mend(self) -> None:
        self._faults.clear()

    def said_of(self, ran: Sequence[str]) -> Cut | None:
        """What becomes of the COMMIT that has just come by."""
        self.commits += 1
        if self.choose is not None:
            return self.choose(ran)
        fault = self._faults.popleft() if self._faults else ""
        return Cut(fault) if fault else None

    async def carry(self, reader: Reader, writer: Writer) -> None:
        """Carry one connection until either side hangs up, or it is cut."""
        far_writer: Writer | None = None
        # The stream protocol has nobody to hand a cancellation on to.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            far_reader, far_writer = await _reach(self.server)
            if await _greet(reader, writer, far_reader, far_writer):
                wire = Wire(self)
                ways = [
                    asyncio.create_task(wire.up(reader, far_writer)),
                    asyncio.create_task(wire.down(far_reader, writer)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
        for end in (writer, far_writer):
            if end is not None:
                end.transport.abort()


@dataclass
class Wire:
    """One connection: which statements are prepared on it, and what its transaction has run so far."""

    line: Line
    prepared: dict[bytes, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    begun: bool = False
    fault: Cut | None = None

    async def up(self, reader: Reader, writer: Writer) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                kind, body = await _read(reader)
                self._note(kind, body)
                if self.fault is not None and self.fault.when == "before":
                    self.line.lost[self.fault.what] += 1
                    return
                writer.write(_written(kind, body))
                await writer.drain()

    async def down(self, reader: Reader, writer: Writer) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                kind, body = await _read(reader)
                if self.fault is not None and kind == b"C":
                    self.line.lost[self.fault.what] += 1
                    return
                if kind == b"Z":
                    self.fault = None
                writer.write(_written(kind, body))
                await writer.drain()

    def _note(self, kind: bytes, body: bytes) -> None:
        """Take in a message of the client."""
        match kind:
            case b"Q":
                self._run(body.rstrip(b"\0").decode())
            case b"P":
                name, query, _ = body.split(b"\0", 2)
                self.prepared[name] = query.decode()
            case b"B":
                _, name, _ = body.split(b"\0", 2)
                self._run(self.prepared[name])

    def _run(self, statement: str) -> None:
        word = statement.strip().rstrip(";").upper()
        if word.startswith("BEGIN"):
            self.begun = True
        elif word not in ("COMMIT", "ROLLBACK"):
            self.ran.append(statement)
        if word == "COMMIT" or (not self.begun and WRITES.search(word)):
            self.fault = self.line.said_of(self.ran)
        if word in ("COMMIT", "ROLLBACK"):
            self.begun = False
        if not self.begun:
            self.ran.clear()


async def _reach(database_url: str) -> tuple[Reader, Writer]:
    parts = urlsplit(database_url)
    folder = dict(parse_qsl(parts.query)).get("host")
    if folder:
        return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{parts.port or 5432}")
    return await asyncio.open_connection(parts.hostname, parts.port or 5432)


async def _greet(reader: Reader, writer: Writer, far_reader: Reader, far_writer: Writer) -> bool:
    """Pass the opening on, whose messages have no kind; False where it was a request to cancel."""
    while True:
        head = await reader.readexactly(8)
        length, code = struct.unpack("!II", head)
        far_writer.write(head + await reader.readexactly(length - 8))
        if code not in ENCRYPTION_REQUESTS:
            await far_writer.drain()
            return bool(code != CANCEL_REQUEST)
        writer.write(await far_reader.readexactly(1))


async def _read(reader: Reader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


def _written(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


@asynccontextmanager
async def postgres_line(database_url: str, choose: Choose | None = None) -> AsyncIterator[Line]:
    """A line on loopback to the server of a postgresql:// URL."""
    parts = urlsplit(database_url)
    line = Line(database_url, choose)
    carried: set[asyncio.Task[None]] = set()

    async def accept(reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        carried.add(task)
        try:
            await line.carry(reader, writer)
        finally:
            carried.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    user = parts.netloc.rpartition("@")[0]
    netloc = f"{user}@127.0.0.1:{port}" if user else f"127.0.0.1:{port}"
    line.url = urlunsplit(parts._replace(netloc=netloc, query=""))
    try:
        yield line
    finally:
        for task in carried:
            task.cancel()
        await asyncio.gather(*carried, return_exceptions=True)
        server.close()
        await server.wait_closed()
