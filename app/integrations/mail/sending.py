"""How a mail leaves: over SMTP where a server is set, else as a file that can be read."""

import asyncio
import os
import re
import time
from email.utils import parseaddr
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import aiosmtplib
import anyio
from aiosmtplib.typing import SMTPStatus

from app.domain.stores.mail import Mail, Mailer
from app.integrations.mail.conversation import SMTP_SECONDS, Conversation, converse
from app.integrations.mail.messages import needs_utf8, write_message
from app.settings import Settings

# As many as mail servers let one client have.
MOST_CONNECTIONS: Final = 6
# For how long a mail may wait for a connection, and for the server to ask for its content, also where it hangs at each
# step: with the content, and what is said after a refusal, it is told well before its job is given up (a minute).
BEGIN_SECONDS: Final = 35.0
# A connection that rested for longer is ended: servers end theirs after minutes, most of them.
REST_SECONDS: Final = 10.0


class SmtpMailer:
    """Sends over SMTP: smtp:// upgrades to TLS where the server can, smtps:// is TLS from the start.

    A connection is kept for the next mail: greeting, TLS and login cost many times what a mail does. Mails that are
    sent side by side have one each, and wait for one where there are more of them than connections.
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        # Since when each has rested, the last one at the end.
        self._resting: list[tuple[Conversation, float]] = []
        self._ending: asyncio.Task[None] | None = None
        self._places = asyncio.Semaphore(MOST_CONNECTIONS)

    @property
    def server(self) -> str:
        """Host and port, for people."""
        return f"{self._parts.hostname or 'localhost'}:{self._port}"

    @property
    def _port(self) -> int:
        return self._parts.port or (465 if self._parts.scheme == "smtps" else 25)

    async def send(self, mail: Mail) -> None:
        message = write_message(mail)
        patience = asyncio.timeout(BEGIN_SECONDS)
        try:
            async with patience, self._places:
                conversation = await self._begin(mail)
                if patience.expired():  # of which Python 3.11's wait_for does not always let us hear
                    conversation.close()
                    raise aiosmtplib.SMTPTimeoutError("The mail server is too slow")
                # Cut off from here on, nobody would know whether the server has it.
                patience.reschedule(None)
                await self._give(conversation, message)
        except TimeoutError as problem:
            if patience.expired():
                raise aiosmtplib.SMTPTimeoutError("The mail server is too slow") from problem
            raise

    async def _give(self, conversation: Conversation, message: bytes) -> None:
        try:
            await conversation.give(message)
        except aiosmtplib.SMTPResponseException:
            await self._rest_if_fit(conversation)
            raise
        self._rest(conversation)

    async def _begin(self, mail: Mail) -> Conversation:
        """A connection at which the server waits for the content of the mail.

        One that has rested may have been ended by the server meanwhile. That shows before it has anything of the mail,
        so that another connection can be tried and no mail comes twice.
        """
        while self._resting:
            conversation, _ = self._resting.pop()
            try:
                return await self._offer(conversation, mail)
            except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError):
                continue
            except aiosmtplib.SMTPResponseException as refusal:
                if refusal.code != SMTPStatus.domain_unavailable:
                    raise
        return await self._offer(await converse(self._client()), mail)

    async def _offer(self, conversation: Conversation, mail: Mail) -> Conversation:
        utf8 = needs_utf8(mail)
        if utf8 and not conversation.takes_utf8:
            await conversation.say_goodbye()  # the next connection may know more
            raise aiosmtplib.SMTPNotSupported("the mail server takes no addresses beyond ASCII")
        try:
            await conversation.begin(_address(mail.sender), mail.to, utf8=utf8)
        except aiosmtplib.SMTPResponseException:
            await self._rest_if_fit(conversation)
            raise
        except ValueError:  # an address that is none, of which nothing was said
            self._rest(conversation)
            raise
        return conversation

    async def _rest_if_fit(self, conversation: Conversation) -> None:
        """Keep a connection at which a mail was refused, if it takes another one."""
        if await conversation.begin_anew():
            self._rest(conversation)
        else:
            conversation.close()

    def _rest(self, conversation: Conversation) -> None:
        self._resting.append((conversation, time.monotonic()))
        if self._ending is None:
            self._ending = asyncio.create_task(self._end_rested())

    async def _end_rested(self) -> None:
        while self._resting:
            await asyncio.sleep(REST_SECONDS)
            newest = time.monotonic() - REST_SECONDS
            while self._resting and self._resting[0][1] <= newest:
                await self._resting.pop(0)[0].say_goodbye()
        self._ending = None

    async def close(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        resting, self._resting = self._resting, []
        await asyncio.gather(*(conversation.say_goodbye() for conversation, _ in resting))

    async def greet(self) -> None:
        """Connect and log in as for a mail, and send none. Raises SMTPException or OSError as send does."""
        async with self._client():
            pass

    def _client(self) -> aiosmtplib.SMTP:
        parts = self._parts
        return aiosmtplib.SMTP(
            hostname=parts.hostname or "localhost",
            port=self._port,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            use_tls=parts.scheme == "smtps",
            timeout=SMTP_SECONDS,
        )


@lru_cache(maxsize=256)
def _address(sender: str) -> str:
    return parseaddr(sender)[1]


class FileMailer:
    """Writes .eml files; the same mail again replaces its file, so that a repeated job leaves one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, mail: Mail) -> None:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", mail.message_id.strip("<>"))[:150]
        content = write_message(mail)
        await anyio.to_thread.run_sync(self._write, name, content)

    async def close(self) -> None:
        """Nothing is kept open."""

    def _write(self, name: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        target = self._folder / f"{name}.eml"
        draft = target.with_suffix(f".{os.getpid()}.draft")
        draft.write_bytes(content)
        draft.replace(target)


def create_mailer(settings: Settings) -> Mailer:
    if settings.smtp_url:
        return SmtpMailer(settings.smtp_url)
    return FileMailer(settings.data_dir / "mails")
