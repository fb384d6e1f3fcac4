"""Which passwords are good enough, and what keeps them: only what a hasher made of them is ever stored."""

import unicodedata
from functools import cache
from typing import Final, Protocol

from app.domain.customers.errors import WEAK_PASSWORD
from app.kit.errors import VALIDATION_FAILED, FieldError, Invalid

LEAST: Final = 8
MOST: Final = 128


class PasswordHasher(Protocol):
    """Makes and checks digests of passwords, slowly on purpose. Raises Unavailable where too many wait."""

    async def hash(self, password: str) -> str: ...

    async def verify(self, digest: str | None, password: str) -> bool:
        """Whether the digest was made of this password; without a digest False, after the same work."""
        ...

    def is_outdated(self, digest: str) -> bool:
        """Whether a new digest of the same password would be a stronger one."""
        ...


def normal_form(password: str) -> str:
    """The password as it is hashed: the same letters, whichever keyboard composed them (RFC 8265, 4.2)."""
    return unicodedata.normalize("NFC", password)


def check_password(password: str, *, names: tuple[str, ...] = (), field: str = "password") -> str:
    """The password in its normal form. Raises Invalid naming `field`; `names` are what nobody need guess."""
    text = normal_form(password)
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in text):
        raise _refused(field, "invalid_text", "A password has no control characters.")
    if not LEAST <= len(text) <= MOST:
        raise _refused(
            field,
            "too_short" if len(text) < LEAST else "too_long",
            f"A password has {LEAST} to {MOST} characters.",
        )
    folded = text.casefold()
    if folded in common_passwords() or len(set(folded)) == 1:
        raise Invalid.at(field, WEAK_PASSWORD, "This password is among the first that everybody tries.")
    if folded in {name.casefold() for name in _names(names)}:
        raise Invalid.at(field, WEAK_PASSWORD, "The password must not be the account's name or address.")
    return text


def _names(names: tuple[str, ...]) -> set[str]:
    words = {part.strip() for name in names for part in (name, name.partition("@")[0], *name.split())}
    return words | {"".join(name.split()) for name in names}


@cache
def common_passwords() -> frozenset[str]:
    """The passwords that were seen most often in breaches, of those that are long enough to pass."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415 - its lists take memory and a moment

    return frozenset(word.casefold() for word in FREQUENCY_LISTS["passwords"] if len(word) >= LEAST)


def _refused(field: str, code: str, message: str) -> Invalid:
    return Invalid(
        VALIDATION_FAILED, "Some fields cannot be accepted.", errors=[FieldError(field, code, message)]
    )
