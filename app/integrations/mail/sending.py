"""How a mail leaves: over SMTP where a server is set, else as a file that can be read."""

import asyncio
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parseaddr
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import aiosmtplib
import anyio
from aiosmtplib.typing import SMTPStatus

from app.domain.stores.mail import Mail, Mailer
from app.integrations.mail.messages import needs_utf8, write_message
from app.settings import Settings

SMTP_SECONDS: Final = 10.0
# A connection that rested for longer is ended: servers end theirs after minutes, most of them.
REST_SECONDS: Final = 10.0
GOODBYE_SECONDS: Final = 1.0


class SmtpMailer:
    """Sends over SMTP: smtp:// upgrades to TLS where the server can, smtps:// is TLS from the start.

    A connection is kept for the next mail: greeting, TLS and login cost many times what a mail does. Mails that are
    sent side by side have one each.
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        # Since when each has rested, the last one at the end.
        self._resting: list[tuple[aiosmtplib.SMTP, float]] = []
        self._ending: asyncio.Task[None] | None = None

    @property
    def server(self) -> str:
        """Host and port, for people."""
        return f"{self._parts.hostname or 'localhost'}:{self._port}"

    @property
    def _port(self) -> int:
        return self._parts.port or (465 if self._parts.scheme == "smtps" else 25)

    async def send(self, mail: Mail) -> None:
        message = write_message(mail)
        options = ["SMTPUTF8"] if needs_utf8(mail) else []
        client = await self._begin(_address(mail.sender), options)
        try:
            await client.rcpt(mail.to, encoding="utf-8" if options else "ascii")
            await client.data(message)
        except aiosmtplib.SMTPResponseException:
            if await _is_fit_again(client):
                self._rest(client)
            raise
        except BaseException:
            # Cut off, or told to stop: how much of the mail the server has is not known.
            client.close()
            raise
        self._rest(client)

    async def _begin(self, sender: str, options: list[str]) -> aiosmtplib.SMTP:
        """A connection at which a mail has begun.

        One that has rested may have been ended by the server meanwhile. That shows at the first command, when the
        server has nothing of the mail, so that another connection can be tried and no mail comes twice.
        """
        while self._resting:
            client, _ = self._resting.pop()
            try:
                return await _offer(client, sender, options)
            except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError):
                continue
            except aiosmtplib.SMTPResponseException as refusal:
                if refusal.code != SMTPStatus.domain_unavailable:
                    raise
        client = self._client()
        await client.connect()
        return await _offer(client, sender, options)

    def _rest(self, client: aiosmtplib.SMTP) -> None:
        self._resting.append((client, time.monotonic()))
        if self._ending is None:
            self._ending = asyncio.create_task(self._end_rested())

    async def _end_rested(self) -> None:
        while self._resting:
            await asyncio.sleep(REST_SECONDS)
            newest = time.monotonic() - REST_SECONDS
            while self._resting and self._resting[0][1] <= newest:
                await _say_goodbye(self._resting.pop(0)[0])
        self._ending = None

    async def close(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        resting, self._resting = self._resting, []
        await asyncio.gather(*(_say_goodbye(client) for client, _ in resting))

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


@contextmanager
def _closed_on_failure(client: aiosmtplib.SMTP) -> Iterator[None]:
    try:
        yield
    except BaseException:
        client.close()
        raise


async def _offer(client: aiosmtplib.SMTP, sender: str, options: list[str]) -> aiosmtplib.SMTP:
    with _closed_on_failure(client):
        if options:
            await client.ehlo()
            if not client.supports_extension("smtputf8"):
                raise aiosmtplib.SMTPNotSupported("the mail server takes no addresses beyond ASCII")
        await client.mail(sender, options=options, encoding="utf-8" if options else "ascii")
    return client


async def _is_fit_again(client: aiosmtplib.SMTP) -> bool:
    """Whether a connection at which a mail was refused takes another one."""
    try:
        with _closed_on_failure(client):
            await client.rset()
    except (OSError, aiosmtplib.SMTPException):
        return False
    return True


async def _say_goodbye(client: aiosmtplib.SMTP) -> None:
    try:
        await client.quit(timeout=GOODBYE_SECONDS)
    except (OSError, aiosmtplib.SMTPException):
        pass  # gone without one
    finally:
        client.close()


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
