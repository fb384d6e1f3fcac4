"""What a basket costs, worked out a second time: in decimals of the currency, as on paper, without our money code."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, localcontext

# Decimals by ISO 4217.
PLACES = {"JPY": 0, "KRW": 0, "USD": 2, "EUR": 2, "GBP": 2, "CHF": 2, "KWD": 3, "BHD": 3}
# Far more digits than any sum here has, so that nothing is rounded but where it is said.
DIGITS = 90
SURELY_EQUAL = Decimal(1).scaleb(-60)


@dataclass(frozen=True)
class Item:
    price: Decimal
    quantity: int
    taxable: bool = True


@dataclass(frozen=True)
class Basket:
    """rate in percent; shipping is free where the goods are worth free_from."""

    currency: str
    items: tuple[Item, ...]
    rate: Decimal
    included: bool
    taxed_shipping: bool
    shipping: Decimal
    free_from: Decimal | None = None
    discount: Decimal = Decimal(0)


@dataclass(frozen=True)
class Cost:
    items: Decimal
    discount: Decimal
    shipping: Decimal
    tax: Decimal
    total: Decimal
    line_discounts: tuple[Decimal, ...]
    line_taxes: tuple[Decimal, ...]


def cost_of(basket: Basket) -> Cost:
    """Tax by line, half up; a discount by largest remainder, the earlier line first."""
    with localcontext() as context:
        context.prec = DIGITS
        coin = Decimal(1).scaleb(-PLACES[basket.currency])
        lines = [item.price * item.quantity for item in basket.items]
        worth = sum(lines, Decimal(0))
        discount = min(basket.discount, worth)
        shares = _shared(discount, lines, coin)
        taxes = tuple(
            _tax(line - share, basket, coin) if item.taxable else Decimal(0)
            for item, line, share in zip(basket.items, lines, shares, strict=True)
        )
        free = basket.free_from is not None and worth >= basket.free_from
        shipping = Decimal(0) if free else basket.shipping
        tax = sum(taxes, Decimal(0))
        if basket.taxed_shipping:
            tax += _tax(shipping, basket, coin)
        total = worth - discount + shipping + (0 if basket.included else tax)
        return Cost(worth, discount, shipping, tax, total, shares, taxes)


def _tax(value: Decimal, basket: Basket, coin: Decimal) -> Decimal:
    part = value * basket.rate / ((100 + basket.rate) if basket.included else 100)
    return part.quantize(coin, ROUND_HALF_UP)


def _shared(sum_: Decimal, lines: Sequence[Decimal], coin: Decimal) -> tuple[Decimal, ...]:
    worth = sum(lines, Decimal(0))
    if not worth:
        return tuple(Decimal(0) for _ in lines)
    ideal = [sum_ * line / worth for line in lines]
    shares = [part.quantize(coin, ROUND_DOWN) for part in ideal]
    missing = [(part - share).quantize(SURELY_EQUAL) for part, share in zip(ideal, shares, strict=True)]
    coins = int((sum_ - sum(shares, Decimal(0))) / coin)
    for index in sorted(range(len(lines)), key=lambda each: -missing[each])[:coins]:
        shares[index] += coin
    return tuple(shares)


def random_amount(dice: random.Random, currency: str, most: int) -> Decimal:
    """Small and large amounts alike often; most in minor units."""
    return Decimal(dice.randint(0, 10 ** dice.randint(1, len(str(most)) - 1))).scaleb(-PLACES[currency])


def random_basket(dice: random.Random, currency: str, *, most_lines: int = 12) -> Basket:
    def amount(most: int) -> Decimal:
        return random_amount(dice, currency, most)

    items = [
        Item(amount(10**8), dice.choice((1, 1, 2, 3, 7, 999)), dice.random() < 0.85)
        for _ in range(dice.randint(1, most_lines))
    ]
    # Lines that are alike share a discount whose last coins only the order of lines can decide.
    items += [dice.choice(items) for _ in range(dice.choice((0, 0, 2)))]
    return Basket(
        currency=currency,
        items=tuple(items),
        rate=Decimal(dice.choice((0, 500, 700, 725, 810, 825, 888, 1000, 1900, 2000, 2550))) / 100,
        included=dice.random() < 0.5,
        taxed_shipping=dice.random() < 0.5,
        shipping=amount(10**5),
        free_from=amount(10**7) if dice.random() < 0.3 else None,
        discount=amount(10**7) if dice.random() < 0.6 else Decimal(0),
    )
