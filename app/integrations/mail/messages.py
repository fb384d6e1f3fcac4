"""A mail as it travels (RFC 5322, RFC 2045): its headers, then the text, and the HTML beside it.

The standard library's EmailMessage parses each header into its parts and out again, which takes longer than all the
rest of a mail. Here it is asked about headers that are not plain, and remembered for those that are always the same.
"""

import re
from binascii import b2a_qp
from email.policy import SMTP as CRLF
from email.utils import format_datetime
from functools import lru_cache
from secrets import token_hex
from typing import Final

from app.domain.stores.mail import Mail
from app.kit.clock import utc_now

LONGEST_LINE: Final = 998  # RFC 5322, 2.1.1, without the line's end
USUAL_LINE: Final = 78
_UTF8: Final = CRLF.clone(utf8=True)

# What is a header's text as it stands: an address alone; printable ASCII with single spaces, and no encoded word.
_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9.-]+"
)
_WORDS: Final = re.compile(r"(?!.*=\?)[!-~]+(?: [!-~]+)*")


def write_message(mail: Mail) -> bytes:
    """The mail as bytes. Raises ValueError where a header has a line break in it."""
    # An address beyond ASCII needs a server that takes such headers; all others get them encoded.
    utf8 = needs_utf8(mail)
    boundary = f"=_{token_hex(16)}"  # "=_" is in no quoted-printable text, and nobody guesses the rest
    head = b"".join(
        (
            _header("From", mail.sender, utf8=utf8),
            _plain_header("To", mail.to, _ADDRESS, utf8=utf8),
            _plain_header("Subject", mail.subject, _WORDS, utf8=utf8),
            f"Date: {format_datetime(utc_now())}\r\n".encode(),
            _plain_header("Message-ID", mail.message_id, _WORDS, utf8=utf8),
            b"MIME-Version: 1.0\r\n",
            f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n'.encode(),
            *(_plain_header(name, value, _WORDS, utf8=utf8) for name, value in mail.headers.items()),
        )
    )
    mark = f"\r\n--{boundary}".encode()
    parts = (_part("plain", mail.text), _part("html", mail.html))
    return b"".join((head, *(mark + b"\r\n" + part for part in parts), mark, b"--\r\n"))


def needs_utf8(mail: Mail) -> bool:
    """Whether a server must know SMTPUTF8 (RFC 6531) to take the mail: one of its addresses is not ASCII."""
    return not (mail.to.isascii() and mail.sender.rpartition("<")[2].isascii())


def _part(kind: str, words: str) -> bytes:
    """A part of text with its headers: as it stands where every way takes it so, else quoted-printable."""
    content = words.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n").encode()
    if content.isascii() and max(map(len, content.split(b"\r\n"))) <= LONGEST_LINE:
        coding = b"7bit"
    else:
        coding, content = b"quoted-printable", b2a_qp(content)
    named = f'Content-Type: text/{kind}; charset="utf-8"\r\n'.encode()
    return named + b"Content-Transfer-Encoding: " + coding + b"\r\n\r\n" + content


def _plain_header(name: str, value: str, plain: re.Pattern[str], *, utf8: bool) -> bytes:
    if len(name) + len(value) + 2 <= USUAL_LINE and plain.fullmatch(value):
        return f"{name}: {value}\r\n".encode()
    return _fold(name, value, utf8=utf8)


@lru_cache(maxsize=256)
def _header(name: str, value: str, *, utf8: bool) -> bytes:
    return _fold(name, value, utf8=utf8)


def _fold(name: str, value: str, *, utf8: bool) -> bytes:
    """A header as the standard library writes it: folded, and encoded where it must be."""
    policy = _UTF8 if utf8 else CRLF
    folded: str = policy.fold(*policy.header_store_parse(name, value))
    return folded.encode("utf-8" if utf8 else "ascii")
