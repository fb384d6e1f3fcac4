"""What changed about the things in a cart since they were put there: told with every answer, until it is over."""

from collections.abc import Iterator
from typing import Final

import msgspec

from app.domain.carts.queries import CartItem, CartView
from app.domain.promotions.quotes import Quote

PRICE_CHANGED: Final = "price_changed"
NOT_ENOUGH_STOCK: Final = "not_enough_stock"
NOT_ON_SALE: Final = "not_on_sale"
CURRENCY_CHANGED: Final = "currency_changed"


class Change(msgspec.Struct, frozen=True):
    """One thing that changed, and what it means for the line of variant_id; of the whole cart where that is None.

    `was` and `now` are prices of a unit, in minor units; `available` is how many there are to sell.
    """

    code: str
    message: str
    variant_id: int | None = None
    was: int | None = None
    now: int | None = None
    available: int | None = None


def changes_of(entry: CartItem, price: int) -> list[Change]:
    """What changed about one line: price, stock, or that it is not on sale any more.

    price is what a unit costs its buyer now, at the line's quantity.
    """
    return list(_changes(entry, price))


def cart_changes(cart: CartView) -> list[Change]:
    """What changed about a cart as a whole."""
    if cart.currency == cart.asked_currency:
        return []
    return [Change(CURRENCY_CHANGED, f"The shop no longer sells in {cart.asked_currency}.")]


def list_changes(cart: CartView, quote: Quote) -> list[Change]:
    """What changed about a cart and each of its lines, which cost what the quote says."""
    costs = {one.line.variant_id: one.line.price for one in quote.lines if not one.line.gift}
    of_lines = (_changes(entry, costs.get(entry.variant_id, entry.added_price)) for entry in cart.items)
    return [*cart_changes(cart), *(change for changes in of_lines for change in changes)]


def _changes(entry: CartItem, price: int) -> Iterator[Change]:
    item = entry.item
    if item is None or not item.on_sale:
        yield Change(NOT_ON_SALE, "This is no longer on sale.", entry.variant_id)
        return
    if price != entry.added_price:
        way = "went up" if price > entry.added_price else "went down"
        yield Change(
            PRICE_CHANGED,
            f"The price {way} since this was put into the cart.",
            entry.variant_id,
            was=entry.added_price,
            now=price,
        )
    available = item.available_units
    if available is not None and available < entry.quantity:
        yield Change(
            NOT_ENOUGH_STOCK,
            f"Only {available} left." if available else "Sold out.",
            entry.variant_id,
            available=available,
        )
