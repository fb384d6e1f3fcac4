"""A mail server that keeps what it takes, and can be gone, out of sorts or silent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message


@dataclass
class MailServer:
    """`mood`: `well`; `gone` hangs up on everybody; `busy` refuses each mail for now (451); `silent` says nothing."""

    url: str = ""
    mood: str = "well"
    met: int = 0  # connections in another mood than `well`
    taken: list[Message] = field(default_factory=list)
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    def recover(self) -> None:
        """Be well again; whoever waits in silence is hung up on."""
        self.mood = "well"
        for task in self._open:
            task.cancel()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.met += self.mood != "well"
        try:
            # The stream protocol has nobody to hand a cancellation on to.
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                match self.mood:
                    case "gone":
                        return
                    case "silent":
                        await asyncio.Event().wait()
                    case mood:
                        await self._converse(reader, writer, busy=mood == "busy")
        finally:
            writer.close()
            self._open.discard(task)

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, busy: bool
    ) -> None:
        writer.write(b"220 mail\r\n")
        while line := await reader.readline():
            match line[:4].upper():
                case b"RCPT" if busy:
                    writer.write(b"451 later\r\n")
                case b"DATA":
                    writer.write(b"354 go on\r\n")
                    letter = await reader.readuntil(b"\r\n.\r\n")
                    self.taken.append(message_from_bytes(letter[:-5]))
                    writer.write(b"250 taken\r\n")
                case b"QUIT":
                    writer.write(b"221 bye\r\n")
                    return
                case _:
                    writer.write(b"250 mail\r\n")


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    """A running one on loopback."""
    made = MailServer()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        made.recover()
        server.close()
        await server.wait_closed()
