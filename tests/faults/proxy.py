"""A TCP proxy before PostgreSQL that lets a COMMIT through, keeps its answer, and hangs up.

It speaks as much of the protocol (PostgreSQL documentation, "Message Formats") as it takes to know what was
done in a transaction and when the server has committed it.
"""

import asyncio
import contextlib
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter

ENCRYPTION_REQUESTS = {80877103, 80877104}  # SSL and GSSAPI, each answered by one byte
CANCEL_REQUEST = 80877102

# Given the statements of a transaction, the name under which losing its COMMIT's answer is counted; or None.
Choose = Callable[[Sequence[str]], str | None]


@dataclass
class Wire:
    """One connection: which statements are prepared on it, and what its transaction has run so far."""

    choose: Choose
    prepared: dict[bytes, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    losing: str | None = None

    def note(self, kind: bytes, body: bytes) -> None:
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
        if word == "COMMIT":
            self.losing = self.choose(self.ran)
        if word in ("COMMIT", "ROLLBACK") or word.startswith("BEGIN"):
            self.ran.clear()
        else:
            self.ran.append(statement)

    def is_lost(self, kind: bytes, body: bytes) -> bool:
        """Whether this message of the server says that the chosen transaction is committed."""
        return kind == b"C" and self.losing is not None and body.startswith(b"COMMIT")


@dataclass
class Proxy:
    """A running proxy; `lost` counts by name the answers that it kept."""

    socket: Path
    choose: Choose
    port: int = 0
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        return f"postgresql://storefront@127.0.0.1:{self.port}/storefront"

    async def serve(self, reader: Reader, writer: Writer) -> None:
        up_writer: Writer | None = None
        # The stream protocol has nobody to hand a cancellation on to.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            up_reader, up_writer = await asyncio.open_unix_connection(str(self.socket))
            wire = Wire(self.choose)
            if await _greet(reader, writer, up_reader, up_writer):
                # Whichever side ends first ends both.
                await asyncio.wait(
                    {
                        asyncio.ensure_future(self._up(wire, reader, up_writer)),
                        asyncio.ensure_future(self._down(wire, up_reader, writer)),
                    },
                    return_when=asyncio.FIRST_COMPLETED,
                )
        for end in (writer, up_writer):
            if end is not None:
                end.transport.abort()

    async def _up(self, wire: Wire, reader: Reader, up_writer: Writer) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                kind, body = await _read(reader)
                wire.note(kind, body)
                up_writer.write(_written(kind, body))
                await up_writer.drain()

    async def _down(self, wire: Wire, up_reader: Reader, writer: Writer) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                kind, body = await _read(up_reader)
                if wire.is_lost(kind, body):
                    self.lost[str(wire.losing)] += 1
                    return
                if kind == b"Z":
                    wire.losing = None
                writer.write(_written(kind, body))
                await writer.drain()


async def _greet(reader: Reader, writer: Writer, up_reader: Reader, up_writer: Writer) -> bool:
    """Pass the opening on, whose messages have no kind; False where it was a request to cancel."""
    while True:
        head = await reader.readexactly(8)
        length, code = struct.unpack("!II", head)
        up_writer.write(head + await reader.readexactly(length - 8))
        if code not in ENCRYPTION_REQUESTS:
            await up_writer.drain()
            return bool(code != CANCEL_REQUEST)
        writer.write(await up_reader.readexactly(1))


async def _read(reader: Reader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


def _written(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


@asynccontextmanager
async def commit_proxy(socket: Path, choose: Choose) -> AsyncIterator[Proxy]:
    """A proxy on loopback to the server at a socket."""
    proxy = Proxy(socket, choose)
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await proxy.serve(reader, writer)
        finally:
            serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        server.close()
        await server.wait_closed()
