"""What a mail is, what writes one, and what sends one."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from app.domain.stores.queries import StoreConfig


class Mail(msgspec.Struct, frozen=True):
    """A mail to one person. message_id makes a repeated sending recognisable; headers are further ones."""

    to: str
    sender: str
    subject: str
    text: str
    html: str
    message_id: str
    headers: dict[str, str] = {}


class Unsubscribe(msgspec.Struct, frozen=True):
    """How a newsletter ends: a page for people, and the address that mail programs POST to (RFC 8058)."""

    page: str
    one_click: str


class MailWriter(Protocol):
    """Writes mails from templates; `app/integrations/mail/examples.py` shows the values that each one takes."""

    def render(
        self,
        name: str,
        *,
        store: StoreConfig,
        language: str | None,
        to: str,
        key: str,
        values: Mapping[str, Any],
        unsubscribe: Unsubscribe | None = None,
    ) -> Mail:
        """The mail of that name in the first language of `language` that there is, else in the store's.

        `language` is as `kit.languages.wanted_languages` keeps it. The same name and key make the same
        message id: a job passes its own id, so that a repeat is known for one.
        """
        ...


class Mailer(Protocol):
    """Hands a mail to a server, or raises: then the job that sends it is tried again later."""

    async def send(self, mail: Mail) -> None: ...

    async def close(self) -> None:
        """End what was kept open for the next mail."""
        ...
