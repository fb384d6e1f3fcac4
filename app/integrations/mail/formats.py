"""How a mail writes money, moments, spans of time and names."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale
from babel.dates import format_date, format_time, get_timezone_name
from babel.numbers import format_currency
from babel.units import format_unit

from app.domain.stores.queries import PaymentChoice
from app.kit.money import to_decimal_text

MOST_OF_A_NAME: Final = 60
MOST_KEPT: Final = 4096  # of each filter, 100 bytes each
_ADDRESS: Final = re.compile(r"[/@<>]|www\.|\.[a-z]{2,}\b", re.IGNORECASE)
# CLDR's currencySpacing, which Babel leaves out: a code stands apart from its number.
_LETTER_THEN_DIGIT: Final = re.compile(r"(?<=[A-Z])(?=\d)")
_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60))


def one_line(value: str) -> str:
    """The text without control characters and line breaks: fit for a header, and for one line."""
    if value.isprintable():
        return " ".join(value.split())
    plain = "".join(" " if unicodedata.category(sign) in ("Cc", "Zl", "Zp") else sign for sign in value)
    return " ".join(plain.split())


def person(name: str | None) -> str:
    """A name as a mail may greet with it, else nothing.

    Whoever signs up with another's address writes the name, and our mail server would deliver it: so it
    must be short, and nothing that a mail program could make a link of.
    """
    plain = one_line(name or "")
    return "" if len(plain) > MOST_OF_A_NAME or _ADDRESS.search(plain) else plain


def service_title(name: str, services: Iterable[PaymentChoice]) -> str:
    """What buyers know a payment service by; one that the store has no more by its own name."""
    return next((one.title for one in services if one.name == name), name.capitalize())


def _zone(name: str | None) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def create_filters(locale: Locale) -> dict[str, Callable[..., str]]:
    """The filters of templates in one locale. What they wrote is kept: text and HTML say the same sums, and so do
    the mails of a shop.
    """

    @lru_cache(maxsize=MOST_KEPT)
    def money(minor: int, currency: str) -> str:
        # Digits are those of ISO 4217, which the text has: CLDR would round some currencies.
        amount = Decimal(to_decimal_text(minor, currency))
        written = format_currency(amount, currency, locale=locale, decimal_quantization=False)
        return _LETTER_THEN_DIGIT.sub("\N{NO-BREAK SPACE}", written)

    def moment(at: datetime, time_zone: str | None = None) -> str:
        local = at.astimezone(_zone(time_zone))
        zone = get_timezone_name(local, width="short", locale=locale)
        return f"{format_date(local, 'long', locale)}, {format_time(local, 'short', locale=locale)} {zone}"

    @lru_cache(maxsize=MOST_KEPT)
    def span(seconds: int) -> str:
        """In the largest unit that says it exactly, and never more than it is: "2 days", "90 minutes"."""
        unit, size = next(
            ((unit, size) for unit, size in _UNITS if seconds >= size and seconds % size == 0),
            ("minute", 60) if seconds >= 60 else ("second", 1),
        )
        return format_unit(seconds // size, f"duration-{unit}", length="long", locale=locale)

    return {"money": money, "moment": moment, "span": span, "person": person, "service_title": service_title}
