"""How money is counted: integers in minor units, one way to round and one way to share out.

Minor units follow ISO 4217: the exponent of JPY is 0, of USD 2, of KWD 3.
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from babel.numbers import get_currency_precision, list_currencies

BASIS_POINTS: Final = 10_000  # of promotions and shares: 1,000 is 10 %
PARTS_PER_MILLION: Final = 1_000_000  # of tax rates, which laws write finer: 66,250 is 6.625 %
MAX_PERCENT: Final = 1_000  # far above any share: more is a slip of the pen
MAX_TAX_PERCENT: Final = 100  # and 997.5 is one for 9.975
MAX_MINOR: Final = 10**14  # keeps every product of a price and a quantity inside 64 bits

# CLDR gives display digits, which differ from ISO 4217's exponent for a few currencies in use.
_ISO_EXPONENTS: Final = {
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0,
    "RWF": 0, "UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
    "AFN": 2, "ALL": 2, "COP": 2, "CRC": 2, "HUF": 2, "IDR": 2, "IRR": 2, "KPW": 2, "LAK": 2,
    "LBP": 2, "MGA": 2, "MMK": 2, "MRU": 2, "PKR": 2, "RSD": 2, "SLE": 2, "SOS": 2, "SYP": 2,
    "TWD": 2, "TZS": 2, "UZS": 2, "YER": 2, "CZK": 2, "NOK": 2, "SEK": 2, "GYD": 2, "CLF": 4, "UYW": 4,
}  # fmt: skip


class MoneyError(ValueError):
    """A text is no amount of this currency."""


def is_currency(code: str) -> bool:
    return code in list_currencies()


def exponent(currency: str) -> int:
    """Decimals of the currency by ISO 4217."""
    known = _ISO_EXPONENTS.get(currency)
    return get_currency_precision(currency) if known is None else known


def to_minor(text: str, currency: str) -> int:
    """Exact minor units of a plain decimal such as "12.50"; more decimals than the currency has are refused."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise MoneyError(f"{text!r} is no amount") from None
    if not value.is_finite():
        raise MoneyError(f"{text!r} is no amount")
    scaled = value.scaleb(exponent(currency))
    if scaled != scaled.to_integral_value():
        raise MoneyError(f"{currency} has {exponent(currency)} decimals, {text!r} has more")
    if abs(scaled) > MAX_MINOR:
        raise MoneyError(f"{text!r} is too large")
    return int(scaled)


def to_decimal_text(minor: int, currency: str) -> str:
    """The plain decimal of an amount: 1250 USD is "12.50"."""
    return f"{Decimal(minor).scaleb(-exponent(currency)):f}"


def to_text(minor: int, currency: str) -> str:
    """An amount for people who keep a shop, the same in every language: 1250 USD is "12.50 USD"."""
    return f"{to_decimal_text(minor, currency)} {currency}"


def round_half_up(numerator: int, denominator: int) -> int:
    """The nearest whole number to numerator / denominator, halves away from zero; exact at any size."""
    if denominator <= 0:
        raise ValueError("the denominator must be positive")
    sign = -1 if numerator < 0 else 1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))


def share(amount: int, basis_points: int) -> int:
    """That part of an amount, rounded half up."""
    return round_half_up(amount * basis_points, BASIS_POINTS)


def tax_on(net: int, rate: int) -> int:
    """The tax that is added to a net amount at a rate in parts per million, rounded half up."""
    return round_half_up(net * rate, PARTS_PER_MILLION)


def tax_in(gross: int, rate: int) -> int:
    """The tax contained in a gross amount at a rate in parts per million, rounded half up."""
    return round_half_up(gross * rate, PARTS_PER_MILLION + rate)


def allocate(amount: int, weights: Sequence[int]) -> list[int]:
    """Share an amount in proportion to weights; the parts always sum to the amount.

    Largest remainder, ties to the earlier part. With no weight at all everything goes to the first.
    """
    if not weights:
        if amount:
            raise ValueError("an amount cannot be shared among nobody")
        return []
    if min(weights) < 0:
        raise ValueError("weights must not be negative")
    total = sum(weights)
    if total == 0:
        return [amount, *([0] * (len(weights) - 1))]
    size = abs(amount)
    parts = [size * weight // total for weight in weights]
    remainders = [size * weight % total for weight in weights]
    left = size - sum(parts)
    if left:
        # Sorting keeps the order of equals, backwards too: the earlier part comes first.
        for index in sorted(range(len(weights)), key=remainders.__getitem__, reverse=True)[:left]:
            parts[index] += 1
    return parts if amount >= 0 else [-part for part in parts]


def percent_to_basis_points(text: str) -> int:
    """Basis points of a percentage such as "7.25"; finer than 0.01 % is refused."""
    return _percent(text, decimals=2, most=MAX_PERCENT)


def percent_to_parts_per_million(text: str) -> int:
    """Parts per million of a tax rate in percent such as "6.625"; finer than 0.0001 %, or more than 100 %, is refused."""
    return _percent(text, decimals=4, most=MAX_TAX_PERCENT)


def to_percent_text(parts_per_million: int) -> str:
    """The plain percentage of a tax rate: 66250 is "6.625"."""
    whole, rest = divmod(parts_per_million, PARTS_PER_MILLION // 100)
    return f"{whole}.{rest:04}".rstrip("0").removesuffix(".")


def _percent(text: str, *, decimals: int, most: int) -> int:
    """A percentage between 0 and `most` in units of its last decimal."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise MoneyError(f"{text!r} is no percentage") from None
    if not value.is_finite():
        raise MoneyError(f"{text!r} is no percentage")
    if not 0 <= value <= most:
        raise MoneyError(f"{text!r} is not between 0 and {most} percent")
    finest = Decimal(1).scaleb(-decimals)
    kept = value.quantize(finest)
    # Compared with what was written and not multiplied first: a product is rounded to the digits of the context.
    if kept != value:
        raise MoneyError(f"{text!r} is finer than {finest} percent")
    return int(kept.scaleb(decimals))
