"""How coupon codes and mail addresses are compared, and how codes are made in bulk."""

from typing import Final

from app.kit.codes import draw_code, fold_code
from app.kit.ids import digest
from app.kit.places import email_key

LONGEST_CODE: Final = 64
_DOTS_MEAN_NOTHING: Final = frozenset({"gmail.com", "googlemail.com"})


code_key: Final = fold_code


def new_codes(count: int, *, prefix: str = "", length: int = 10) -> list[str]:
    """So many different codes that nobody can guess from one another."""
    made: set[str] = set()
    while len(made) < count:
        made.add(prefix + draw_code(length))
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
