"""How a mail leaves: over SMTP where a server is set, else as a file that can be read."""

import os
import re
from email.message import EmailMessage
from email.policy import SMTP as CRLF
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import aiosmtplib
import anyio

from app.domain.stores.mail import Mail, Mailer
from app.kit.clock import utc_now
from app.settings import Settings

SMTP_SECONDS: Final = 10.0


def build_message(mail: Mail) -> EmailMessage:
    """The mail as RFC 5322 has it, text first and HTML beside it."""
    message = EmailMessage(policy=CRLF)
    message["From"] = mail.sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = utc_now()
    message["Message-ID"] = mail.message_id
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    # Last: what begins with Content- would be taken for the part's own.
    for name, value in mail.headers.items():
        message[name] = value
    return message


class SmtpMailer:
    """Sends over SMTP: smtp:// upgrades to TLS where the server can, smtps:// is TLS from the start."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)

    @property
    def server(self) -> str:
        """Host and port, for people."""
        return f"{self._parts.hostname or 'localhost'}:{self._port}"

    @property
    def _port(self) -> int:
        return self._parts.port or (465 if self._parts.scheme == "smtps" else 25)

    async def send(self, mail: Mail) -> None:
        async with self._client() as client:
            await client.send_message(build_message(mail))

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


class FileMailer:
    """Writes .eml files; the same mail again replaces its file, so that a repeated job leaves one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, mail: Mail) -> None:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", mail.message_id.strip("<>"))[:150]
        content = build_message(mail).as_bytes()
        await anyio.to_thread.run_sync(self._write, name, content)

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
