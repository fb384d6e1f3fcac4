"""What the code of a gift card looks like, and how one that was typed is compared. Only its digest is kept."""

from typing import Final
from unicodedata import category

from app.kit.codes import draw_code, fold_code
from app.kit.ids import digest

LONGEST_CODE: Final = 64
# A named code opens money to whoever guesses it.
SHORTEST_CODE: Final = 12
_GROUPS: Final = 4
_GROUP: Final = 4


def new_code() -> str:
    """Sixteen characters in groups of four: 78 bits."""
    return "-".join(draw_code(_GROUP) for _ in range(_GROUPS))


def plain_code(code: str) -> str:
    """A code without what only helps to read it: hyphens and spaces mean nothing, nor does upper case."""
    return "".join(letter for letter in fold_code(code) if category(letter) != "Pd" and not letter.isspace())


def code_digest(code: str) -> bytes:
    """What is stored of a code, and looked for."""
    return digest(plain_code(code))


def last_four(code: str) -> str:
    """What of a code is shown, so that people tell their cards apart."""
    return plain_code(code)[-4:].upper()
