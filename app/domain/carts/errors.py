"""What can be wrong with a cart."""

from typing import Final

from app.kit.errors import Invalid, NotFound, declare

CART_NOT_FOUND: Final = declare(NotFound, "cart_not_found", "There is no cart with this uuid.")
VARIANT_NOT_FOUND: Final = declare(Invalid, "variant_not_found", "There is no such variant on sale.")
QUANTITY_TOO_LARGE: Final = declare(Invalid, "quantity_too_large", "A line holds at most 999 units.")
CART_FULL: Final = declare(Invalid, "cart_full", "A cart holds at most 200 different variants.")
CART_EMPTY: Final = declare(Invalid, "cart_empty", "The cart is empty.")
ITEMS_UNAVAILABLE: Final = declare(
    Invalid, "items_unavailable", "Some items are no longer on sale; `items` names them."
)


def cart_not_found() -> NotFound:
    return NotFound(CART_NOT_FOUND, "There is no such cart.")
