"""What can be wrong with an order, as shoppers are told."""

from typing import Final

from app.kit.errors import NotFound, declare

ORDER_NOT_FOUND: Final = declare(NotFound, "order_not_found", "There is no such order for whoever asks.")
LINK_NOT_FOUND: Final = declare(
    NotFound, "link_not_found", "This link is not ours, was used before, or is too old."
)


def order_not_found() -> NotFound:
    return NotFound(ORDER_NOT_FOUND, "There is no such order.")
