"""Where a page of a list begins: behind the last row of the page before, by what the list is ordered by.

So a far page costs what the first one costs, and rows that come in meanwhile make none repeat or vanish. A
cursor is plain text that only its own order can read; it opens nothing.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec

from app.kit.errors import VALIDATION_FAILED, FieldError, Invalid

MOST_LETTERS: Final = 2000
_MOST_ID: Final = 2**63 - 1
_POSITION: Final = re.compile(r"-?[0-9]{1,19}")


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The order, whether it goes down, and the sort key and id of the last row."""

    order: str
    down: bool
    key: str | int
    id: int


def write_cursor(order: str, *, down: bool, key: Any, row_id: int) -> str | None:
    """The cursor behind this row; None where its key is too long for an address."""
    plain = key.isoformat() if isinstance(key, datetime) else str(key) if isinstance(key, Decimal) else key
    return _write(order, down, plain, row_id)


# The last rows of pages are the same again and again.
@lru_cache(maxsize=1024)
def _write(order: str, down: bool, key: str | int, row_id: int) -> str | None:
    raw = msgspec.json.encode(Cursor(order, down, key, row_id))
    written = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return written if len(written) <= MOST_LETTERS else None


def read_cursor(written: str, order: str, *, down: bool, keys: Mapping[str, type]) -> tuple[Any, int]:
    """The sort key and the id behind which a page begins. Raises Invalid naming `after`."""
    try:
        raw = base64.b64decode(written + "=" * (-len(written) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(raw, type=Cursor)
        key: Any = msgspec.convert(cursor.key, keys[order], strict=keys[order] is int)
    except (msgspec.MsgspecError, binascii.Error, UnicodeError, ValueError):
        raise _refused() from None
    # Leniently, a number would pass for a time.
    sound = isinstance(cursor.key, int) == (keys[order] is int)
    sound = sound and (not isinstance(key, datetime) or key.tzinfo is not None)
    sound = sound and not (isinstance(key, int) and abs(key) > _MOST_ID)
    sound = sound and not (isinstance(key, Decimal) and not (key.is_finite() and abs(key) < 100))
    sound = sound and not (isinstance(key, str) and "\x00" in key)
    if not sound or (cursor.order, cursor.down) != (order, down) or not 0 < cursor.id <= _MOST_ID:
        raise _refused()
    return key, cursor.id


def write_place(position: int, words: str) -> str:
    """The key of a row on a shelf: its position, and the words that order those of the same one."""
    return f"{position} {words}"


def read_place(key: str) -> tuple[int, str]:
    """What write_place has written. Raises Invalid naming `after`."""
    position, _, words = key.partition(" ")
    if not _POSITION.fullmatch(position) or abs(int(position)) > _MOST_ID:
        raise _refused()
    return int(position), words


def _refused() -> Invalid:
    message = "Take `after` from a page's own links, with everything else as it was."
    return Invalid(
        VALIDATION_FAILED,
        "Some fields cannot be accepted.",
        errors=(FieldError("after", "invalid_cursor", message),),
    )
