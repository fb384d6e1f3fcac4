"""How much a promotion takes off each line, of what earlier promotions have left of it.

Where only some units of a line are meant, they stand for that part of what is left of it, rounded half up.
The cheapest units come first, and of equal ones the earlier line's.
"""

from collections.abc import Sequence

from app.domain.promotions.offers import Promotion
from app.domain.promotions.quotes import Line
from app.kit import money


def parts_of(
    promotion: Promotion,
    lines: Sequence[Line],
    left: Sequence[int],
    *,
    meant: Sequence[bool],
    given: Sequence[bool],
) -> list[int]:
    """What a promotion takes off each line, in minor units; never more than what is left of it.

    meant says which lines it is for, given which of them buy_x_get_y reduces. A percentage and a fixed amount
    are taken off the sum and shared by largest remainder; a fixed price is each unit's own.
    """
    match promotion.kind:
        case "percent":
            base = _base(promotion, lines, left, meant)
            return money.allocate(money.share(sum(base), promotion.value), base)
        case "fixed_amount":
            base = _base(promotion, lines, left, meant)
            return money.allocate(min(promotion.value, sum(base)), base)
        case "fixed_price":
            units = _some(lines, meant, promotion.limit_items)
            base = _worth(units, lines, left)
            return [max(0, worth - promotion.value * count) for worth, count in zip(base, units, strict=True)]
        case "buy_x_get_y":
            base = _worth(_got(promotion, lines, meant, given), lines, left)
            return money.allocate(money.share(sum(base), promotion.value), base)
        case "free_shipping" | "gift":
            return [0] * len(lines)


def _base(
    promotion: Promotion, lines: Sequence[Line], left: Sequence[int], meant: Sequence[bool]
) -> list[int]:
    """What is left of the units that are meant, by line."""
    if promotion.limit_items is None:
        return [rest if yes else 0 for yes, rest in zip(meant, left, strict=True)]
    return _worth(_some(lines, meant, promotion.limit_items), lines, left)


def _worth(units: Sequence[int], lines: Sequence[Line], left: Sequence[int]) -> list[int]:
    return [
        rest if count == line.quantity else money.round_half_up(rest * count, line.quantity)
        for count, line, rest in zip(units, lines, left, strict=True)
    ]


def _cheapest_first(lines: Sequence[Line]) -> list[int]:
    return sorted(range(len(lines)), key=lambda index: (lines[index].price, index))


def _some(lines: Sequence[Line], meant: Sequence[bool], most: int | None) -> list[int]:
    """How many units of each line are meant: all of them, or the cheapest so many."""
    if most is None:
        return [line.quantity if yes else 0 for line, yes in zip(lines, meant, strict=True)]
    units = [0] * len(lines)
    for index in _cheapest_first(lines):
        if meant[index]:
            units[index] = min(most, lines[index].quantity)
            most -= units[index]
    return units


def _got(
    promotion: Promotion, lines: Sequence[Line], bought: Sequence[bool], given: Sequence[bool]
) -> list[int]:
    """How many units of each line come reduced: as many as the rest pays for, and no unit counts twice."""
    only_bought = sum(
        line.quantity for line, buy, get in zip(lines, bought, given, strict=True) if buy and not get
    )
    only_given = sum(
        line.quantity for line, buy, get in zip(lines, bought, given, strict=True) if get and not buy
    )
    both = sum(line.quantity for line, buy, get in zip(lines, bought, given, strict=True) if buy and get)
    most, from_both = _best(promotion, only_bought, only_given, both)
    if promotion.limit_items is not None:
        most = min(most, promotion.limit_items)
    units = [0] * len(lines)
    for index in _cheapest_first(lines):
        if given[index]:
            room = min(most, from_both) if bought[index] else most
            units[index] = min(room, lines[index].quantity)
            most -= units[index]
            from_both -= units[index] if bought[index] else 0
    return units


def _best(promotion: Promotion, only_bought: int, only_given: int, both: int) -> tuple[int, int]:
    """The most units that can be got, and how many of them may be of lines that are also bought.

    With each further set more may be got but fewer are left to get, so the best number of sets lies where
    the two meet.
    """
    buy, get = promotion.buy_quantity, promotion.get_quantity
    if buy < 1 or get < 1:
        return 0, 0
    sets_at_most = (only_bought + both) // buy

    def outcome(sets: int) -> tuple[int, int]:
        free_of_both = both - max(0, buy * sets - only_bought)
        return min(get * sets, only_given + free_of_both), free_of_both

    meet = ((only_given + both) // get, (only_given + both + only_bought) // (buy + get))
    tries = {min(max(0, sets + step), sets_at_most) for sets in meet for step in (0, 1)}
    return max((outcome(sets) for sets in tries), key=lambda found: (found[0], found[1]))
