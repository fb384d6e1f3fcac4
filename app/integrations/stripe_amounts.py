"""How an amount of ours is written for Stripe, whose minor units are not ISO 4217's everywhere.

From https://docs.stripe.com/currencies: some currencies without decimals here or there, ISK in hundredths
though it has none, and three decimals of which the last must be 0.
"""

from typing import Final

from app.kit.money import exponent

_NO_DECIMALS: Final = frozenset(
    {
        "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA",
        "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF",
    }
)  # fmt: skip
_THREE_DECIMALS: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
_WHOLE_HUNDREDS: Final = frozenset({"ISK"})
# Stripe lists UGX as having no decimals and has asked for hundredths too; a guess could be a hundredfold charge.
_UNCLEAR: Final = frozenset({"UGX"})


def to_stripe(minor: int, currency: str) -> int | None:
    """The amount in Stripe's units; None where Stripe cannot take exactly this much."""
    if currency in _UNCLEAR:
        return None
    shift = _decimals(currency) - exponent(currency)
    if shift >= 0:
        amount = minor * _power(shift)
    else:
        amount, rest = divmod(minor, _power(-shift))
        if rest:
            return None
    if currency in _THREE_DECIMALS and amount % 10:
        return None
    if currency in _WHOLE_HUNDREDS and amount % 100:
        return None
    return amount


def from_stripe(amount: int, currency: str) -> int | None:
    """Our minor units of an amount in Stripe's; None where they cannot say it."""
    shift = exponent(currency) - _decimals(currency)
    if shift >= 0:
        return amount * _power(shift)
    minor, rest = divmod(amount, _power(-shift))
    return None if rest else minor


def _decimals(currency: str) -> int:
    if currency in _NO_DECIMALS:
        return 0
    return 3 if currency in _THREE_DECIMALS else 2


def _power(decimals: int) -> int:
    return int("1" + "0" * decimals)
