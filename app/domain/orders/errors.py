"""What can be wrong with an order, as shoppers are told."""

from typing import Final

from app.kit.errors import Conflict, Invalid, NotFound, declare

ORDER_NOT_FOUND: Final = declare(NotFound, "order_not_found", "There is no such order for whoever asks.")
LINK_NOT_FOUND: Final = declare(
    NotFound, "link_not_found", "This link is not ours, was used before, or is too old."
)
ORDER_CANCELLED: Final = declare(Conflict, "order_cancelled", "The order was cancelled.")
ORDER_SHIPPED: Final = declare(
    Conflict, "order_shipped", "Something of the order is on its way, so it cannot be cancelled."
)
CANCELLATION_DECIDED: Final = declare(
    Conflict, "cancellation_decided", "The shop has decided on the wish to cancel this order."
)
CANCELLATION_WAITS: Final = declare(
    Conflict, "cancellation_waits", "Its buyer wants to cancel the order, and nobody has decided on that."
)
UNKNOWN_REASON: Final = declare(
    Invalid, "unknown_reason", "The reason is none of `order_cancellation_reasons` in GET /options."
)
NOTHING_TO_SHIP: Final = declare(
    Invalid, "nothing_to_ship", "There are not that many units of the line that are still to be shipped."
)
NOTHING_TO_REFUND: Final = declare(
    Invalid, "nothing_to_refund", "There are not that many units of the line that are still to be paid back."
)
BAD_TRACKING: Final = declare(Invalid, "bad_tracking", "A tracking link is an address with http or https.")


def order_not_found() -> NotFound:
    return NotFound(ORDER_NOT_FOUND, "There is no such order.")
