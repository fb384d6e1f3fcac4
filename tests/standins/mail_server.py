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
    """`mood`: `well`; `gone` hangs up on everybody; `busy` refuses each mail for now (451); `silent` says nothing;
    `tired` sends away who has been there before (421); `speechless` takes a mail and hangs up without a word.

    A mood is that of the moment: whoever is connected already meets it with the next command.
    """

    url: str = ""
    mood: str = "well"
    greeted: int = 0  # connections that were taken
    met: int = 0  # those who came by in another mood than `well`
    taken: list[Message] = field(default_factory=list)
    extensions: tuple[str, ...] = ()
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
        mails = 0
        while (line := await reader.readline()) and await self._is_there():
            match line[:4].upper():
                case b"MAIL" if self.mood == "tired" and mails:
                    writer.write(b"421 that was enough\r\n")
                    return
                case b"RCPT" if self.mood == "busy":
                    writer.write(b"451 later\r\n")
                case b"DATA":
                    writer.write(b"354 go on\r\n")
                    letter = await reader.readuntil(b"\r\n.\r\n")
                    self.taken.append(message_from_bytes(letter[:-5]))
                    mails += 1
                    if self.mood == "speechless":
                        return
                    writer.write(b"250 taken\r\n")
                case b"QUIT":
                    writer.write(b"221 bye\r\n")
                    self.left.set()
                    return
                case b"EHLO" if self.extensions:
                    writer.write(b"".join(b"250-%s\r\n" % one.encode() for one in ("mail", *self.extensions)))
                    writer.write(b"250 HELP\r\n")
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
