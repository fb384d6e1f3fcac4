"""A mail server that keeps what it takes, and can be gone, out of sorts or silent."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message


@dataclass
class MailServer:
    """`mood`: `well`; `gone` hangs up on everybody; `busy` refuses each mail for now (451); `silent` says nothing;
    `tired` sends away who has been there before (421); `speechless` takes a mail and hangs up without a word;
    `full` sends everybody away (421); `careless` refuses as `busy` does and asks for the content all the same; `rude` speaks no SMTP.

    It knows PIPELINING (RFC 2920) unless it is told otherwise: then it answers once all has been said that may be said
    in one go.

    A mood is that of the moment: whoever is connected already meets it with the next command.
    """

    url: str = ""
    mood: str = "well"
    greeted: int = 0  # connections that were taken
    met: int = 0  # those who came by in another mood than `well`
    taken: list[Message] = field(default_factory=list)
    extensions: tuple[str, ...] = ("PIPELINING",)
    left: asyncio.Event = field(default_factory=asyncio.Event)  # somebody said goodbye
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    def recover(self) -> None:
        """Be well again; whoever waits in silence is hung up on."""
        self.mood = "well"
        self.hang_up()

    def hang_up(self) -> None:
        """On everybody who is connected."""
        for task in self._open:
            task.cancel()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        # The stream protocol has nobody to hand a cancellation on to.
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                if await self._is_there():
                    self.greeted += 1
                    writer.write(b"220 mail\r\n")
                    await self._converse(reader, writer)
        finally:
            writer.close()
            self._open.discard(task)

    async def _is_there(self) -> bool:
        self.met += self.mood != "well"
        if self.mood == "silent":
            await asyncio.Event().wait()
        return self.mood != "gone"

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mails, wanted, replies = 0, False, b""
        while (line := await self._hear(reader)) and await self._is_there():
            match word := line[:4].upper():
                case _ if line.count(b"\n") > 1:
                    reply = b"503 one after the other\r\n"
                case b"MAIL" if self.mood == "full" or (self.mood == "tired" and mails):
                    writer.write(b"421 that was enough\r\n")
                    return
                case b"MAIL" if self.mood == "rude":
                    reply = b"hello\r\n"
                case b"RCPT":
                    wanted = self.mood not in ("busy", "careless")
                    reply = b"250 mail\r\n" if wanted else b"451-later\r\n451 perhaps\r\n"
                case b"DATA" if wanted or self.mood == "careless":
                    writer.write(replies + b"354 go on\r\n")
                    replies = b""
                    letter = await reader.readuntil(b"\r\n.\r\n")
                    self.taken.append(message_from_bytes(letter[:-5].replace(b"\r\n.", b"\r\n")))
                    mails += 1
                    if self.mood == "speechless":
                        return
                    reply = b"250 taken\r\n"
                case b"DATA":
                    reply = b"503 to nobody?\r\n"
                case b"QUIT":
                    writer.write(b"221 bye\r\n")
                    self.left.set()
                    return
                case b"EHLO":
                    reply = b"".join(b"250-%s\r\n" % one.encode() for one in ("mail", *self.extensions))
                    reply += b"250 HELP\r\n"
                case _:
                    reply = b"250 mail\r\n"
            replies += reply
            if word not in (b"MAIL", b"RCPT") or "PIPELINING" not in self.extensions:
                writer.write(replies)
                replies = b""

    async def _hear(self, reader: asyncio.StreamReader) -> bytes:
        """The next command; with all that was said along with it to a server that does not know PIPELINING."""
        return await (reader.readline() if "PIPELINING" in self.extensions else reader.read(1 << 16))


@asynccontextmanager
async def mail_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[MailServer]:
    """A running one on loopback; with a context it speaks TLS from the start."""
    made = MailServer()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0, ssl=tls)
    made.url = f"{'smtps' if tls else 'smtp'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        made.recover()
        server.close()
        await server.wait_closed()
