"""What a buyer was shown of a checkout, and what is another by the time they pay: said before any money moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from app.domain.checkout.models import Checkout
from app.domain.promotions.quotes import Quote, QuotedLine
from app.kit.errors import Conflict

ADDED: Final = "added"
REMOVED: Final = "removed"
PRICE_CHANGED: Final = "price_changed"
QUANTITY_CHANGED: Final = "quantity_changed"


class Seen(msgspec.Struct, frozen=True):
    """Quantity and price of a unit by variant, as text since it is kept as JSON."""

    currency: str
    lines: dict[str, tuple[int, int]]


class LineChange(msgspec.Struct, frozen=True):
    """One thing about a line that is not what was shown: `was` and `now` are units, or the price of one."""

    variant_id: int
    code: str
    was: int
    now: int


def note_seen(checkout: Checkout, quote: Quote) -> None:
    """Remember what the answer of this call shows."""
    lines = {str(variant): list(held) for variant, held in _held(quote).items()}
    seen = {"currency": quote.currency, "lines": lines}
    if checkout.seen != seen:
        checkout.seen = seen


def what_changed(checkout: Checkout, quote: Quote) -> list[LineChange]:
    """How the lines of a quote differ from what was shown last; nothing where that is not known.

    What was shown in another currency is compared by its units: of its price there is nothing to say.
    """
    if checkout.seen is None:
        return []
    seen = msgspec.convert(checkout.seen, Seen, strict=False)
    found = _differences({int(variant): held for variant, held in seen.lines.items()}, _held(quote))
    same = seen.currency == quote.currency
    return [change for change in found if same or change.code != PRICE_CHANGED]


def _held(quote: Quote) -> dict[int, tuple[int, int]]:
    """Units and price by variant. What is given is no part of what was asked for."""
    return {
        one.line.variant_id: (one.line.quantity, one.line.price) for one in quote.lines if not one.line.gift
    }


def _differences(
    before: dict[int, tuple[int, int]], after: dict[int, tuple[int, int]]
) -> Iterator[LineChange]:
    for variant in sorted(before.keys() | after.keys()):
        units, price = before.get(variant, (0, 0))
        now_units, now_price = after.get(variant, (0, 0))
        if units != now_units:
            code = ADDED if not units else REMOVED if not now_units else QUANTITY_CHANGED
            yield LineChange(variant, code, units, now_units)
        if units and now_units and price != now_price:
            yield LineChange(variant, PRICE_CHANGED, price, now_price)


def quote_facts(checkout: Checkout, quote: Quote) -> dict[str, Any]:
    """What a refusal before paying says of the new quote: its lines, and what of them was shown otherwise."""
    return {
        "currency": quote.currency,
        "lines": [_shown(one) for one in quote.lines],
        "changes": msgspec.to_builtins(what_changed(checkout, quote)),
    }


@contextmanager
def saying(checkout: Checkout, quote: Quote) -> Iterator[None]:
    """Let a refusal say the facts of this quote as well."""
    try:
        yield
    except Conflict as conflict:
        conflict.data = {**quote_facts(checkout, quote), **conflict.data}
        raise


def _shown(one: QuotedLine) -> dict[str, Any]:
    return {
        "variant_id": one.line.variant_id,
        "title": one.line.title,
        "quantity": one.line.quantity,
        "price": one.line.price,
        "line_price": one.line_price,
        "total_discount": one.discount,
        "tax": one.tax,
        "gift": one.line.gift,
    }
