"""How coupon codes and mail addresses are compared, and how codes are made in bulk."""

import secrets
import unicodedata
from typing import Final

from app.kit.ids import digest
from app.kit.places import email_key

LONGEST_CODE: Final = 64
# Nothing that is mistaken for another when it is read out or typed: no I, L, O, U, 0 or 1.
_ALPHABET: Final = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
_DOTS_MEAN_NOTHING: Final = frozenset({"gmail.com", "googlemail.com"})


def code_key(code: str) -> str:
    """A code as it is compared: upper and lower case, wide letters and spaces around it are all the same."""
    return unicodedata.normalize("NFKC", code).strip().casefold()


def new_codes(count: int, *, prefix: str = "", length: int = 10) -> list[str]:
    """So many different codes that nobody can guess from one another."""
    made: set[str] = set()
    while len(made) < count:
        made.add(prefix + "".join(secrets.choice(_ALPHABET) for _ in range(length)))
    return sorted(made)


def mail_digest(email: str | None) -> bytes | None:
    """Who a mail address is for the limits of coupons: what follows a + reaches the same person."""
    if not email:
        return None
    local, _, domain = (email_key(email) or email.strip().casefold()).rpartition("@")
    local = local.partition("+")[0] or local
    if domain in _DOTS_MEAN_NOTHING:
        local, domain = local.replace(".", ""), "gmail.com"
    return digest(f"{local}@{domain}")
