"""What a mail is, and what sends one."""

from typing import Protocol

import msgspec


class Mail(msgspec.Struct, frozen=True):
    """A mail to one person. message_id makes a repeated sending recognisable."""

    to: str
    sender: str
    subject: str
    text: str
    html: str
    message_id: str


class Mailer(Protocol):
    """Hands a mail to a server, or raises: then the job that sends it is tried again later."""

    async def send(self, mail: Mail) -> None: ...
