"""What a basket costs, worked out a second time: in decimals of the currency, as on paper, without our money code."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, localcontext

# Decimals by ISO 4217.
PLACES = {"JPY": 0, "KRW": 0, "USD": 2, "EUR": 2, "GBP": 2, "CHF": 2, "KWD": 3, "BHD": 3}
# Far more digits than any sum here has, so that nothing is rounded but where it is said.
DIGITS = 90
SURELY_EQUAL = Decimal(1).scaleb(-60)
NOTHING = Decimal(0)


@dataclass(frozen=True)
class Item:
    """shelves are what promotions know it by; a reduced item has the basket's reduced rate."""

    price: Decimal
    quantity: int
    taxable: bool = True
    shelves: frozenset[str] = frozenset()
    reduced: bool = False


@dataclass(frozen=True)
class Deal:
    """A promotion. value is in percent or in money; shelf '' means everything.

    least_worth and least_count are what the shelf's items must come to; most is how many units it is for.
    """

    kind: str
    value: Decimal = NOTHING
    shelf: str = ""
    rank: int = 0
    alone: bool = False
    least_worth: Decimal = NOTHING
    least_count: int = 1
    most: int | None = None
    buy: int = 1
    get: int = 1
    other_shelf: str | None = None


@dataclass(frozen=True)
class Basket:
    """Rates in percent; shipping is free where the goods are worth free_from. deals in the order of their age.

    Taxes that are levied together stand in rates. They are those of a region where the rest of its country has
    another, elsewhere; else those of the country.
    card and credit are what is on a gift card and what credit the buyer has.
    """

    currency: str
    items: tuple[Item, ...]
    rates: tuple[Decimal, ...]
    included: bool
    taxed_shipping: bool
    shipping: Decimal
    free_from: Decimal | None = None
    deals: tuple[Deal, ...] = ()
    elsewhere: Decimal | None = None
    reduced_rate: Decimal = NOTHING
    card: Decimal = NOTHING
    credit: Decimal = NOTHING


@dataclass(frozen=True)
class Cost:
    items: Decimal
    discount: Decimal
    shipping: Decimal
    tax: Decimal
    total: Decimal
    gift_card: Decimal
    store_credit: Decimal
    due: Decimal
    line_discounts: tuple[Decimal, ...]
    line_taxes: tuple[Decimal, ...]


def cost_of(basket: Basket) -> Cost:
    """Promotions one after another, shared by largest remainder, the earlier line first; tax by line, half up."""
    with localcontext() as context:
        context.prec = DIGITS
        coin = Decimal(1).scaleb(-PLACES[basket.currency])
        lines = [item.price * item.quantity for item in basket.items]
        worth = sum(lines, NOTHING)
        free = basket.free_from is not None and worth >= basket.free_from
        left, shipping = _reduced(basket, list(lines), NOTHING if free else basket.shipping, coin)
        whole_rate = sum(basket.rates, NOTHING)
        taxes = tuple(
            _tax(rest, basket.reduced_rate if item.reduced else whole_rate, basket, coin)
            if item.taxable
            else NOTHING
            for item, rest in zip(basket.items, left, strict=True)
        )
        tax = sum(taxes, NOTHING)
        if basket.taxed_shipping:
            tax += _tax(shipping, whole_rate, basket, coin)
        rest = sum(left, NOTHING)
        total = rest + shipping + (0 if basket.included else tax)
        shares = tuple(line - still for line, still in zip(lines, left, strict=True))
        return Cost(worth, worth - rest, shipping, tax, total, *_purses(total, basket), shares, taxes)


def _purses(total: Decimal, basket: Basket) -> tuple[Decimal, Decimal, Decimal]:
    """What the card pays, what credit pays of the rest, and what is still due: each purse is emptied or enough."""
    due, paid = total, []
    for purse in (basket.card, basket.credit):
        paid.append(min(purse, due))
        due -= paid[-1]
    return paid[0], paid[1], due


def _tax(value: Decimal, rate: Decimal, basket: Basket, coin: Decimal) -> Decimal:
    part = value * rate / ((100 + rate) if basket.included else 100)
    return part.quantize(coin, ROUND_HALF_UP)


def _reduced(
    basket: Basket, left: list[Decimal], shipping: Decimal, coin: Decimal
) -> tuple[list[Decimal], Decimal]:
    """What is left to pay of each line and of shipping."""
    taken = closed = False
    for deal in sorted(basket.deals, key=lambda one: -one.rank):
        found = [item for item in basket.items if _is_on(item, deal.shelf)]
        if sum(item.quantity for item in found) < deal.least_count:
            continue
        if sum((item.price * item.quantity for item in found), NOTHING) < deal.least_worth:
            continue
        if closed or (taken and deal.alone):
            continue
        if deal.kind == "free_shipping":
            if shipping == 0:
                continue
            shipping = NOTHING
        else:
            cut = _cut(deal, basket.items, left, coin)
            if not any(cut):
                continue
            left = [rest - part for rest, part in zip(left, cut, strict=True)]
        taken, closed = True, deal.alone
    return left, shipping


def _is_on(item: Item, shelf: str) -> bool:
    return not shelf or shelf in item.shelves


def _cut(deal: Deal, items: Sequence[Item], left: Sequence[Decimal], coin: Decimal) -> list[Decimal]:
    """What a deal takes off each line."""
    if deal.kind == "buy_x_get_y":
        chosen = _got(deal, items)
    else:
        on_shelf = ((index, item) for index, item in enumerate(items) if _is_on(item, deal.shelf))
        units = [(item.price, index) for index, item in on_shelf for _ in range(item.quantity)]
        chosen = sorted(units)[: deal.most]
    counts = [0] * len(items)
    for _, index in chosen:
        counts[index] += 1
    base = [
        (rest * count / item.quantity).quantize(coin, ROUND_HALF_UP)
        for rest, count, item in zip(left, counts, items, strict=True)
    ]
    whole = sum(base, NOTHING)
    match deal.kind:
        case "percent" | "buy_x_get_y":
            return _shared((whole * deal.value / 100).quantize(coin, ROUND_HALF_UP), base, coin)
        case "fixed_amount":
            return _shared(min(deal.value, whole), base, coin)
        case "fixed_price":
            return [
                max(NOTHING, worth - count * deal.value) for worth, count in zip(base, counts, strict=True)
            ]
        case unknown:
            raise ValueError(unknown)


def _got(deal: Deal, items: Sequence[Item]) -> list[tuple[Decimal, int]]:
    """The units that come reduced: try every number of bargains, and keep the one that gives the most units."""
    bought = [_is_on(item, deal.shelf) for item in items]
    given = bought if deal.other_shelf is None else [_is_on(item, deal.other_shelf) for item in items]

    def count(*, buy: bool, get: bool) -> int:
        return sum(
            item.quantity
            for item, is_bought, is_given in zip(items, bought, given, strict=True)
            if (is_bought, is_given) == (buy, get)
        )

    plain, extra, both = count(buy=True, get=False), count(buy=False, get=True), count(buy=True, get=True)
    best, from_both = 0, both
    for bargains in range((plain + both) // deal.buy + 1):
        spare = both - max(0, bargains * deal.buy - plain)
        got = min(bargains * deal.get, extra + spare)
        if got > best or (got == best and spare > from_both):
            best, from_both = got, spare
    if deal.most is not None:
        best = min(best, deal.most)
    return list(_cheapest(items, bought, given, best, from_both))


def _cheapest(
    items: Sequence[Item], bought: Sequence[bool], given: Sequence[bool], most: int, from_both: int
) -> Iterator[tuple[Decimal, int]]:
    units = sorted(
        (item.price, index) for index, item in enumerate(items) if given[index] for _ in range(item.quantity)
    )
    for price, index in units:
        if most == 0:
            return
        if bought[index]:
            if from_both == 0:
                continue
            from_both -= 1
        most -= 1
        yield price, index


def _shared(sum_: Decimal, lines: Sequence[Decimal], coin: Decimal) -> list[Decimal]:
    worth = sum(lines, NOTHING)
    if not worth:
        return [NOTHING for _ in lines]
    ideal = [sum_ * line / worth for line in lines]
    shares = [part.quantize(coin, ROUND_DOWN) for part in ideal]
    missing = [(part - share).quantize(SURELY_EQUAL) for part, share in zip(ideal, shares, strict=True)]
    coins = int((sum_ - sum(shares, NOTHING)) / coin)
    for index in sorted(range(len(lines)), key=lambda each: -missing[each])[:coins]:
        shares[index] += coin
    return shares


SHELVES = ("A", "B", "C")
# As laws have them: those of whole percents, New Jersey's, Minnesota's, Quebec's; and finest of all, any.
RATES = ("0", "5", "7", "7.25", "8.1", "8.25", "8.88", "10", "19", "20", "25.5", "6.625", "6.875", "9.975")
KINDS = ("percent", "fixed_amount", "fixed_price", "free_shipping", "buy_x_get_y")


def random_amount(dice: random.Random, currency: str, most: int) -> Decimal:
    """Small and large amounts alike often; most in minor units."""
    return Decimal(dice.randint(0, 10 ** dice.randint(1, len(str(most)) - 1))).scaleb(-PLACES[currency])


def random_rate(dice: random.Random) -> Decimal:
    """A tax rate in percent."""
    return (
        Decimal(dice.choice(RATES)) if dice.random() < 0.8 else Decimal(dice.randint(0, 300_000)).scaleb(-4)
    )


def random_deal(dice: random.Random, currency: str) -> Deal:
    kind = dice.choice(KINDS)
    percent = Decimal(dice.choice((500, 1000, 1250, 1500, 3333, 5000, 10000))) / 100
    return Deal(
        kind=kind,
        value=percent if kind in ("percent", "buy_x_get_y") else random_amount(dice, currency, 10**7),
        shelf=dice.choice(("", "", *SHELVES)),
        rank=dice.choice((0, 0, 1, 5)),
        alone=dice.random() < 0.15,
        least_worth=random_amount(dice, currency, 10**6) if dice.random() < 0.3 else NOTHING,
        least_count=dice.choice((1, 1, 2, 5)),
        most=dice.choice((None, None, 1, 3, 10)),
        buy=dice.choice((1, 2, 3)),
        get=dice.choice((1, 1, 2)),
        other_shelf=dice.choice((None, *SHELVES)),
    )


def random_basket(dice: random.Random, currency: str, *, most_lines: int = 12) -> Basket:
    def amount(most: int) -> Decimal:
        return random_amount(dice, currency, most)

    items = [
        Item(
            amount(10**8),
            dice.choice((1, 1, 2, 3, 7, 999)),
            dice.random() < 0.85,
            frozenset(shelf for shelf in SHELVES if dice.random() < 0.4),
            dice.random() < 0.25,
        )
        for _ in range(dice.randint(1, most_lines))
    ]
    # Lines that are alike share a discount whose last coins only the order of lines can decide.
    items += [dice.choice(items) for _ in range(dice.choice((0, 0, 2)))]
    regional = dice.random() < 0.4
    return Basket(
        currency=currency,
        items=tuple(items),
        rates=tuple(random_rate(dice) for _ in range(dice.choice((1, 1, 2, 3)))),
        included=dice.random() < 0.5,
        taxed_shipping=dice.random() < 0.5,
        shipping=amount(10**5),
        free_from=amount(10**7) if dice.random() < 0.3 else None,
        deals=tuple(random_deal(dice, currency) for _ in range(dice.choice((0, 1, 1, 2, 3, 5)))),
        elsewhere=random_rate(dice) if regional else None,
        reduced_rate=random_rate(dice),
        card=amount(10**9) if dice.random() < 0.5 else NOTHING,
        credit=amount(10**9) if dice.random() < 0.5 else NOTHING,
    )
