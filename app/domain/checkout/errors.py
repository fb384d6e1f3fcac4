"""What can be wrong with a checkout, as shoppers are told."""

from typing import Final

from app.kit.errors import Conflict, Invalid, NotFound, declare

CHECKOUT_NOT_FOUND: Final = declare(NotFound, "checkout_not_found", "There is no checkout with this token.")
CHECKOUT_PAYING: Final = declare(
    Conflict, "checkout_paying", "The checkout is being paid; it can be changed again if that fails."
)
CHECKOUT_COMPLETED: Final = declare(Conflict, "checkout_completed", "The order of this checkout is placed.")
CHECKOUT_EXPIRED: Final = declare(Conflict, "checkout_expired", "The checkout was left alone for too long.")
CHECKOUT_INCOMPLETE: Final = declare(
    Invalid, "checkout_incomplete", "Something is still missing before paying; `errors` names it."
)
SHIPPING_OPTION: Final = declare(
    Invalid, "shipping_option_not_available", "This shipping option does not reach the address."
)
NO_SHIPPING: Final = declare(Invalid, "country_not_shipped", "The store does not ship to this place.")
TOTAL_CHANGED: Final = declare(
    Conflict,
    "total_changed",
    "The amount is not the total of the checkout, or not its currency; `totals` and `currency` say what they are.",
)


def checkout_not_found() -> NotFound:
    return NotFound(CHECKOUT_NOT_FOUND, "There is no such checkout.")
