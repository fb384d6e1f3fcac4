"""How an amount of ours is written for PayPal: as a decimal text, whole where PayPal takes no decimals.

From https://developer.paypal.com/docs/api/reference/currency-codes/: the currencies it takes, and those three
of which it takes no decimals, though ISO 4217 gives HUF and TWD two.
"""

import re
from typing import Final

from app.kit.money import MoneyError, exponent, to_decimal_text, to_minor

_TAKEN: Final = frozenset(
    {
        "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY",
        "MXN", "MYR", "NOK", "NZD", "PHP", "PLN", "RUB", "SEK", "SGD", "THB", "TWD", "USD",
    }
)  # fmt: skip
_WHOLE: Final = frozenset({"HUF", "JPY", "TWD"})
_PLAIN: Final = re.compile(r"\d{1,15}(\.\d{1,4})?", re.ASCII)


def is_taken(currency: str) -> bool:
    """Whether PayPal takes a currency at all."""
    return currency in _TAKEN


def to_paypal(minor: int, currency: str) -> str | None:
    """The amount in PayPal's words; None where PayPal cannot take exactly this much."""
    if not is_taken(currency) or minor <= 0:
        return None
    if currency not in _WHOLE:
        return to_decimal_text(minor, currency)
    whole, rest = divmod(minor, int("1" + "0" * exponent(currency)))
    return None if rest else str(whole)


def from_paypal(value: str, currency: str) -> int | None:
    """Our minor units of an amount in PayPal's words; None where they cannot say it."""
    if not is_taken(currency) or not _PLAIN.fullmatch(value):
        return None
    try:
        return to_minor(value, currency) or None
    except MoneyError:
        return None
