"""What a decoder's or a driver's complaint means to the client: one place that turns each into an AppError.

Fields are named as a path from the body's root: `email`, `shipping_address.city`, `items[0].quantity`; a
value inside an object with free keys is `[...]`; an empty name is the body as a whole.
"""

import re

import msgspec
import structlog
from redis import exceptions as redis_errors
from sqlalchemy import exc as sqlalchemy_errors

from app.kit.errors import (
    CONFLICT,
    UNAVAILABLE,
    VALIDATION_FAILED,
    AppError,
    Conflict,
    FieldError,
    Invalid,
    Unavailable,
)

log = structlog.get_logger("storefront.faults")

_AT = re.compile(r" - at `(?:key in )?\$\.?(.*?)`$", re.DOTALL)
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(.*?)`$", re.DOTALL)
_BOUND = re.compile(r"Expected `\w+(?: \| null)?` (<=|>=|<|>) (-?[\d.e+]+)$")
_LENGTH = re.compile(r"Expected `(\w+)(?: \| null)?` of length (<=|>=|==) (\d+)$")
_TYPES = re.compile(r"Expected `(.+?)`, got `(.+?)`$")
_FORMAT = re.compile(r"Invalid (?:RFC3339 encoded )?(date|datetime|UUID)$")

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
    "uuid": "a UUID",
    "datetime": "a date and time",
    "date": "a date",
    "UploadFile": "a file",
}
_FORMATS = {
    "date": "a date, as 1990-02-03",
    "datetime": "a date and time with offset, as 1990-02-03T16:05:00+01:00",
    "UUID": "a UUID",
}
_BOUNDS = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than", "==": "exactly"}


def invalid_field(field: str, code: str, message: str) -> Invalid:
    """One fault of shape, in the form that every fault of shape has."""
    return Invalid(
        VALIDATION_FAILED, "Some fields cannot be accepted.", errors=(FieldError(field, code, message),)
    )


def invalid_shape(error: msgspec.ValidationError | str, prefix: str = "") -> Invalid:
    """Read msgspec's message: which field, what kind of fault, and a sentence for people."""
    text = str(error)
    place = _AT.search(text)
    path = place[1] if place else ""
    if place:
        text = text[: place.start()]
    code, message, name = _explain(text)
    path = ".".join(part for part in (prefix, path, name) if part)
    return invalid_field(path.replace(".[", "["), code, message)


def _explain(text: str) -> tuple[str, str, str]:  # noqa: PLR0911 - one row per kind of message
    if found := _FIELD.match(text):
        if found[1].startswith("missing"):
            return "required", "This field is needed.", found[2]
        return "unknown_field", "There is no such field.", found[2][:100]
    if found := _BOUND.match(text):
        code = "too_large" if found[1].startswith("<") else "too_small"
        return code, f"Must be {_BOUNDS[found[1]]} {found[2].removesuffix('.0')}.", ""
    if found := _LENGTH.match(text):
        return *_explain_length(found), ""
    if found := _TYPES.match(text):
        wanted = " or ".join(_WORDS.get(word, word) for word in found[1].split(" | "))
        return "wrong_type", f"Must be {wanted}.", ""
    if text.startswith("Invalid enum value"):
        return "unknown_choice", "Is not one of the possible values.", ""
    if found := _FORMAT.match(text):
        return "wrong_format", f"Must be {_FORMATS[found[1]]}.", ""
    if "matching regex" in text:
        return "wrong_format", "Does not have the right form.", ""
    if text == "Number out of range" or text.startswith("Integer value out of range"):
        return "too_large", "The number is too large.", ""
    return "wrong_format", f"{text.split(' - ', maxsplit=1)[0][:200]}.", ""


def _explain_length(found: re.Match[str]) -> tuple[str, str]:
    kind, bound, length = found.groups()
    code = "too_long" if bound == "<=" else "too_short"
    if (bound, length) == (">=", "1"):
        return code, "Must not be empty."
    return code, f"Must have {_BOUNDS[bound]} {length} {'entries' if kind == 'array' else 'characters'}."


# SQLSTATE (PostgreSQL, appendix A) of values that no bound at the edge has caught: the client's fault.
_CLIENT_VALUES = {
    "22000": "cannot be stored",
    "22001": "is too long",
    "22003": "is out of range",
    "22007": "is no date or time",
    "22008": "is out of range",
    "22021": "has characters that cannot be stored",
    "22P02": "has the wrong form",
    "22P05": "has characters that cannot be stored",
    "23502": "is missing",
    "23514": "is not allowed",
}
_CONFLICTS = {
    "23503": "refers to something that is not there",
    "23505": "exists already",
    "23P01": "overlaps",
}
# Another transaction or a time limit came in between; the same call can be repeated.
_BUSY = {"40001", "40P01", "55P03", "57014", "25P03", "25P04"}
_AWAY_CLASSES = ("08", "53", "57P", "58")
_AWAY = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.BusyLoadingError,
    ConnectionError,
    TimeoutError,
    sqlalchemy_errors.TimeoutError,
    sqlalchemy_errors.InterfaceError,
)


def translate(error: BaseException) -> AppError | None:  # noqa: PLR0911 - one row per kind of error
    """What a driver's error is to the client, or None where it is a fault of ours."""
    if isinstance(error, AppError):
        return error
    cause = error.orig if isinstance(error, sqlalchemy_errors.DBAPIError) and error.orig else error
    state = getattr(cause, "sqlstate", None) or ""
    if state in _CLIENT_VALUES:
        _note(cause, state)
        return Invalid(VALIDATION_FAILED, f"A value {_CLIENT_VALUES[state]}.")
    if state in _CONFLICTS:
        _note(cause, state)
        return Conflict(CONFLICT, f"What was sent {_CONFLICTS[state]}.")
    if state in _BUSY:
        return Unavailable(UNAVAILABLE, "The shop is busy with the same thing; please repeat.", retry_after=1)
    if state.startswith(_AWAY_CLASSES):
        return _away()
    if isinstance(error, sqlalchemy_errors.DBAPIError) and error.connection_invalidated:
        return _away()
    if isinstance(error, _AWAY) or isinstance(cause, _AWAY) or _is_closed_connection(cause):
        return _away()
    return None


def _is_closed_connection(cause: BaseException) -> bool:
    # asyncpg has one InterfaceError for a lost connection and for misuse; only its text tells them apart.
    return type(cause).__name__ == "InterfaceError" and any(
        words in str(cause) for words in ("connection is closed", "connection was closed", "pool is clos")
    )


def _away() -> Unavailable:
    return Unavailable(
        UNAVAILABLE, "The shop cannot answer this right now; please repeat in a moment.", retry_after=2
    )


def _note(cause: BaseException, state: str) -> None:
    # The edge should have said this better, so it is worth a line; never the values themselves.
    source = cause.__cause__ or cause
    log.warning(
        "refused by the database", sqlstate=state, constraint=getattr(source, "constraint_name", None)
    )
