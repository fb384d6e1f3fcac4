"""Codes that people read out and type: what they are drawn from, and which spellings are the same code."""

import secrets
import unicodedata
from typing import Final

# Nothing that is mistaken for another when it is read out or typed: no I, L, O, U, 0 or 1.
ALPHABET: Final = "ABCDEFGHJKMNPQRSTVWXYZ23456789"


def draw_code(length: int) -> str:
    """So many letters and digits that nobody can guess: 4.9 bits each."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def fold_code(code: str) -> str:
    """A code as it is compared: upper and lower case, wide letters and spaces around it are all the same."""
    return unicodedata.normalize("NFKC", code).strip().casefold()
