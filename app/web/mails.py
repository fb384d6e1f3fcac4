"""What the development page shows of the mails that were written to files, and how their HTML is kept harmless."""

import email
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default as modern
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Response, get
from litestar.params import FromPath

from app.kit.clock import isoformat
from app.kit.errors import NOT_FOUND, NotFound

SHOWN: Final = 100

# The HTML runs nothing and fetches nothing; a click on a link may lead the whole page there, as in a mail
# program. `frame-ancestors` is what lets our own page, and no other, show it in a frame.
MAIL_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-top-navigation-by-user-activation"
)


class MailSummary(msgspec.Struct):
    name: str
    subject: str
    to: str
    sender: str
    at: str


class MailContent(MailSummary):
    text: str
    has_html: bool


class MailList(msgspec.Struct):
    """Newest first; `over_smtp` tells that mails leave by SMTP and no files are written."""

    items: list[MailSummary]
    over_smtp: bool


def _read(path: Path) -> EmailMessage:
    return email.message_from_bytes(path.read_bytes(), policy=modern)


def _newest(folder: Path) -> Iterator[Path]:
    found = [path for path in folder.glob("*.eml") if path.is_file()]
    yield from sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)[:SHOWN]


def _find(folder: Path, name: str) -> Path:
    """A mail by its file's name. Only names that a listing of the folder gives are looked at."""
    for path in folder.glob("*.eml"):
        if path.name == name and path.is_file():
            return path
    raise NotFound(NOT_FOUND, "There is no mail of this name.")


def _summary(path: Path, message: EmailMessage) -> dict[str, str]:
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return {
        "name": path.name,
        "subject": str(message["Subject"] or ""),
        "to": str(message["To"] or ""),
        "sender": str(message["From"] or ""),
        "at": isoformat(written),
    }


def _part(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body(preferencelist=(kind,))
    return None if part is None else str(part.get_content())


def mail_handlers(folder: Path, *, over_smtp: bool) -> list[Any]:
    @get("/dev/mails", include_in_schema=False, sync_to_thread=True)
    def mails() -> MailList:
        items = [MailSummary(**_summary(path, _read(path))) for path in _newest(folder)]
        return MailList(items=items, over_smtp=over_smtp)

    @get("/dev/mails/{name:str}", include_in_schema=False, sync_to_thread=True)
    def mail(name: FromPath[str]) -> MailContent:
        path = _find(folder, name)
        message = _read(path)
        return MailContent(
            **_summary(path, message),
            text=_part(message, "plain") or "",
            has_html=_part(message, "html") is not None,
        )

    @get("/dev/mails/{name:str}/html", include_in_schema=False, sync_to_thread=True)
    def mail_html(name: FromPath[str]) -> Response[str]:
        html = _part(_read(_find(folder, name)), "html")
        if html is None:
            raise NotFound(NOT_FOUND, "This mail has no HTML.")
        return Response(
            # Links open the page around the frame; the base stands before whatever the mail brings.
            f'<!doctype html><base target="_top">{html}',
            media_type="text/html",
            headers={"Content-Security-Policy": MAIL_POLICY},
        )

    return [mails, mail, mail_html]
