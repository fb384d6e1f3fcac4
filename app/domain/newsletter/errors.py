"""What can go wrong with newsletter subscriptions."""

from typing import Final

from app.kit.errors import NotFound, declare

SUBSCRIPTION_NOT_FOUND: Final = declare(
    NotFound, "subscription_not_found", "No newsletter subscription is opened by this uuid."
)
CONFIRMATION_NOT_FOUND: Final = declare(
    NotFound,
    "confirmation_not_found",
    "This link to confirm a newsletter is too old, or a newer one was mailed; subscribe again.",
)


def subscription_not_found() -> NotFound:
    return NotFound(SUBSCRIPTION_NOT_FOUND, "There is no such subscription.")


def confirmation_not_found() -> NotFound:
    return NotFound(
        CONFIRMATION_NOT_FOUND, "This link is too old, or a newer one was mailed. Subscribe again."
    )
