"""What can go wrong by rule: a few kinds of error, each with a stable code, a sentence for people, and data.

The domain raises these; only the HTTP edge knows which status each kind becomes.
"""

# ruff: noqa: N818 - `raise NotFound(...)` says what is the case; the suffix would say it twice

import re
from collections.abc import Sequence
from typing import Any

import msgspec

_CODE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class FieldError(msgspec.Struct, frozen=True):
    """One fault in one field. `field` is written as `items[0].quantity`; empty means the whole body."""

    field: str
    code: str
    message: str


class AppError(Exception):
    """The base of every expected error.

    `code` is a stable snake_case word that clients may rely on; `message` is one sentence for people;
    `data` stands beside them in the answer (`available=3`), so nothing secret belongs in it.
    """

    def __init__(self, code: str, message: str, **data: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code!r}, {self.message!r})"


class NotFound(AppError):
    """There is no such thing, or not for whoever is asking: both look the same."""


class Invalid(AppError):
    """The request can be read but not accepted as it stands; `errors` says which fields are at fault."""

    def __init__(self, code: str, message: str, *, errors: Sequence[FieldError] = (), **data: Any) -> None:
        super().__init__(code, message, **data)
        self.errors = tuple(errors)

    @classmethod
    def at(cls, field: str, code: str, message: str, **data: Any) -> "Invalid":
        """One fault in one field, under one code both for the field and for the whole answer."""
        return cls(code, message, errors=(FieldError(field, code, message),), **data)


class Conflict(AppError):
    """The request was right, but the state of things has moved on."""


class Forbidden(AppError):
    """It is known who asks, and they may not."""


class Declined(AppError):
    """A payment was refused, or needs another step before it can go on."""


class Unavailable(AppError):
    """Something we depend on is away; the same call can be repeated after `retry_after` seconds."""

    def __init__(self, code: str, message: str, *, retry_after: int = 1, **data: Any) -> None:
        super().__init__(code, message, **data)
        self.retry_after = retry_after


class Unauthenticated(AppError):
    """It is not known who asks, or the proof was wrong.

    `ended` says that a login was shown, and that it is none or has ended; else none was shown.
    """

    def __init__(self, code: str, message: str, *, ended: bool = False, **data: Any) -> None:
        super().__init__(code, message, **data)
        self.ended = ended


class Code(msgspec.Struct, frozen=True):
    """A declared code: the kind that carries it and what it means to whoever reads the answer."""

    code: str
    kind: type[AppError]
    meaning: str


_declared: dict[str, Code] = {}


def declare(kind: type[AppError], code: str, meaning: str) -> str:
    """Declare a code once, beside the rule that raises it, and hand the word back for use.

    The page of error codes is made from what was declared. Declaring a code again with another kind or
    meaning raises ValueError: one word must not mean two things.
    """
    if not _CODE.fullmatch(code):
        raise ValueError(f"an error code is snake_case: {code!r}")
    entry = Code(code, kind, meaning)
    if _declared.setdefault(code, entry) != entry:
        raise ValueError(f"the error code {code!r} is declared twice")
    return code


def declared_codes() -> list[Code]:
    """List every declared code in alphabetical order."""
    return [_declared[code] for code in sorted(_declared)]


# The codes that belong to no single feature.
NOT_FOUND = declare(NotFound, "not_found", "There is nothing here, or it belongs to somebody else.")
VALIDATION_FAILED = declare(
    Invalid, "validation_failed", "Some fields cannot be accepted; `errors` names them one by one."
)
CONFLICT = declare(Conflict, "conflict", "Another request changed the same thing first; read it again.")
FORBIDDEN = declare(Forbidden, "forbidden", "Whoever is asking may not do this.")
UNAVAILABLE = declare(
    Unavailable, "unavailable", "Something the shop depends on is away; repeat after `Retry-After` seconds."
)
LOGIN_REQUIRED = declare(Unauthenticated, "login_required", "This call needs a login.")
SESSION_ENDED = declare(
    Unauthenticated,
    "session_ended",
    "The bearer of a call that can do without is none that is in force; log in anew, or leave it out.",
)
LOGIN_FAILED = declare(Unauthenticated, "login_failed", "The login was refused.")
