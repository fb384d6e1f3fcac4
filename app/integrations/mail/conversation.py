"""What is said to a mail server for a mail, in as few turns as the server allows.

aiosmtplib connects, begins TLS and logs in. It waits for the answer to each command, though, four times for a mail, and
each turn costs more than the writing of the mail's bytes. From there on this protocol has the connection: where the
server knows PIPELINING (RFC 2920), all that comes before the content is said in one go.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final, NamedTuple, cast

import aiosmtplib
from aiosmtplib.email import quote_address
from aiosmtplib.typing import SMTPStatus

SMTP_SECONDS: Final = 10.0
GOODBYE_SECONDS: Final = 1.0
LONGEST_REPLY: Final = 32_768  # of all lines together; RFC 5321 has 512 for each
RECIPIENT_TAKEN: Final = (SMTPStatus.completed, SMTPStatus.will_forward)
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_LINE: Final = re.compile(rb"(\d{3})(?:([ -])(.*))?", re.DOTALL)


class Reply(NamedTuple):
    """What a server said; there may be several lines of words."""

    code: int
    words: str


class Conversation(asyncio.Protocol):
    """A connection that has been opened and logged in, for one mail after the other."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        if client.transport is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        self._pipelining = client.supports_extension("pipelining")
        self.takes_utf8 = client.supports_extension("smtputf8")
        self._transport = cast("asyncio.Transport", client.transport)
        self._line = b""  # which is not whole yet
        self._words: list[str] = []  # of a reply that goes on
        self._replies: list[Reply] = []
        self._wanted = 0
        self._answer: asyncio.Future[list[Reply]] | None = None
        self._transport.set_protocol(self)

    @property
    def is_over(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()

    async def begin(self, sender: str, recipient: str, *, utf8: bool) -> None:
        """Say from whom and to whom; then the server waits for the content.

        Raises SMTPResponseException where it refuses; the conversation is over where it waits for it all the same.
        """
        commands = (
            _command(b"MAIL FROM:", _mailbox(sender), b" SMTPUTF8" if utf8 else b"", utf8=utf8),
            _command(b"RCPT TO:", _mailbox(recipient), b"", utf8=utf8),
            b"DATA\r\n",
        )
        if self._pipelining:
            begun, named, ready = await self._ask(*commands)
            if ready.code == SMTPStatus.start_input and not _both_taken(begun, named):
                self.close()
            _expect_taken(begun, named, sender, recipient)
        else:
            (begun,) = await self._ask(commands[0])
            _expect_taken(begun, None, sender, recipient)
            (named,) = await self._ask(commands[1])
            _expect_taken(begun, named, sender, recipient)
            (ready,) = await self._ask(commands[2])
        if ready.code != SMTPStatus.start_input:
            raise aiosmtplib.SMTPDataError(*ready)

    async def give(self, message: bytes) -> None:
        """The content, whose lines all end as they must. Where this fails other than by SMTPResponseException, nobody
        knows whether the server has it.
        """
        # A line that begins with a dot gets another one (RFC 5321, 4.5.2); the first line is a header.
        (taken,) = await self._ask(message.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        if taken.code != SMTPStatus.completed:
            raise aiosmtplib.SMTPDataError(*taken)

    async def begin_anew(self) -> bool:
        """Whether the server takes another mail after it has refused one."""
        return await self._goes_well(b"RSET\r\n", SMTPStatus.completed, SMTP_SECONDS)

    async def say_goodbye(self) -> None:
        await self._goes_well(b"QUIT\r\n", SMTPStatus.closing, GOODBYE_SECONDS)
        self.close()

    async def _goes_well(self, command: bytes, wanted: int, seconds: float) -> bool:
        if self.is_over:
            return False
        try:
            (reply,) = await self._ask(command, seconds=seconds)
        except (OSError, aiosmtplib.SMTPException):
            return False
        return reply.code == wanted and not self.is_over

    async def _ask(self, *commands: bytes, seconds: float = SMTP_SECONDS) -> list[Reply]:
        """The replies to commands that are said in one go. The conversation is over where one does not come."""
        if self.is_over:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        loop = asyncio.get_running_loop()
        self._wanted = len(commands)
        answer: asyncio.Future[list[Reply]] = loop.create_future()
        self._answer = answer
        self._transport.write(b"".join(commands))
        patience = loop.call_later(
            seconds, self._fail, aiosmtplib.SMTPReadTimeoutError, "Timed out waiting for server response"
        )
        try:
            return await answer
        except BaseException:
            # What comes later would be taken for the reply to something else.
            self.close()
            raise
        finally:
            patience.cancel()
            self._answer, self._replies, self._words, self._line = None, [], [], b""

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            # Nobody has asked: the server says that it is leaving.
            self.close()
            return
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            found = _LINE.fullmatch(line.rstrip())
            if found is None:
                self._fail(aiosmtplib.SMTPServerDisconnected, "The server does not speak SMTP")
                return
            self._words.append((found[3] or b"").decode("utf-8", "replace").strip())
            if found[2] != b"-":
                reply = Reply(int(found[1]), "\n".join(self._words))
                self._words = []
                self._take(reply)
        if len(self._line) + sum(map(len, self._words)) > LONGEST_REPLY:
            self._fail(aiosmtplib.SMTPServerDisconnected, "The server does not come to an end")

    def _take(self, reply: Reply) -> None:
        if self._answer is None or self._answer.done():
            self.close()  # nobody has asked for that much
            return
        self._replies.append(reply)
        if reply.code == SMTPStatus.domain_unavailable:
            # It leaves, and says nothing to the rest.
            self._replies += [reply] * (self._wanted - len(self._replies))
            self.close()
        if len(self._replies) == self._wanted:
            self._answer.set_result(self._replies)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(aiosmtplib.SMTPServerDisconnected, f"Connection lost: {exc}" if exc else "Connection lost")

    def eof_received(self) -> bool:
        self._fail(aiosmtplib.SMTPServerDisconnected, "Unexpected EOF received")
        return False

    def _fail(self, problem: Callable[[str], Exception], words: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(problem(words))


async def converse(client: aiosmtplib.SMTP) -> Conversation:
    """Connect, begin TLS and log in as the client is told, and learn what the server knows."""
    await client.connect()
    try:
        if client.is_ehlo_or_helo_needed:
            await _greet(client.ehlo, client.helo)
        return Conversation(client)
    except BaseException:
        client.close()
        raise


async def _greet(ehlo: Callable[[], Awaitable[object]], helo: Callable[[], Awaitable[object]]) -> None:
    try:
        await ehlo()
    except aiosmtplib.SMTPHeloError:
        await helo()


def _both_taken(begun: Reply, named: Reply) -> bool:
    return begun.code == SMTPStatus.completed and named.code in RECIPIENT_TAKEN


def _expect_taken(begun: Reply, named: Reply | None, sender: str, recipient: str) -> None:
    if begun.code != SMTPStatus.completed:
        raise aiosmtplib.SMTPSenderRefused(*begun, sender)
    if named is not None and named.code not in RECIPIENT_TAKEN:
        raise aiosmtplib.SMTPRecipientRefused(*named, recipient)


def _command(words: bytes, mailbox: str, options: bytes, *, utf8: bool) -> bytes:
    """Raises ValueError where an address would be read as more than one command, or is no address."""
    command = words + mailbox.encode("utf-8" if utf8 else "ascii") + options
    if _CONTROL.search(command):
        raise ValueError("an address has a control character in it")
    return command + b"\r\n"


@lru_cache(maxsize=1024)
def _mailbox(address: str) -> str:
    return quote_address(address)
