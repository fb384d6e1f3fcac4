"""What an amount in one currency is in another, by a fixed rate and a rule for what prices look like."""

from decimal import Decimal
from typing import Final, Literal

import msgspec

from app.kit.money import MAX_MINOR, exponent, round_half_up

Rounding = Literal["nearest", "up", "down"]
MOST_RATE: Final = Decimal(10) ** 9


class Exchange(msgspec.Struct, frozen=True):
    """How minor units of one currency become minor units of `currency`: times numerator, by denominator.

    The result is a multiple of step, in minor units of `currency`.
    """

    currency: str
    numerator: int
    denominator: int
    step: int = 1
    rounding: Rounding = "nearest"

    def convert(self, amount: int) -> int:
        """The amount in the other currency. What costs something is never free there, however small it is."""
        if amount == 0:
            return 0
        value, size = amount * self.numerator, self.denominator * self.step
        match self.rounding:
            case "nearest":
                steps = round_half_up(value, size)
            case "up":
                steps = -(-value // size)
            case "down":
                steps = value // size
        return min(max(steps, 1) * self.step, MAX_MINOR)

    def back(self, currency: str) -> "Exchange":
        """The way back, by the same rate, to the nearest minor unit of the currency that amounts came from."""
        return Exchange(currency, self.denominator, self.numerator)


def exchange_at(
    rate: str, *, source: str, target: str, step: int = 1, rounding: Rounding = "nearest"
) -> Exchange:
    """The exchange by which one unit of source (10.00 USD is ten) is `rate` units of target, a decimal string."""
    ratio = Decimal(rate).scaleb(exponent(target) - exponent(source))
    numerator, denominator = ratio.as_integer_ratio()
    return Exchange(target, numerator, denominator, step, rounding)
