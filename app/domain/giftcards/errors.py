"""What can be wrong with gift cards and store credit, as shoppers and staff are told."""

from typing import Final

from app.kit.errors import Conflict, Invalid, NotFound, declare

GIFT_CARD_NOT_USABLE: Final = declare(
    Invalid,
    "gift_card_not_usable",
    "There is no such gift card, or nothing on it can be spent here: unknown, expired, switched off, empty and "
    "of another currency are all answered alike.",
)
GIFT_CARD_NOT_FOUND: Final = declare(NotFound, "gift_card_not_found", "There is no gift card of this number.")
GIFT_CARD_CODE: Final = declare(
    Invalid, "gift_card_code", "A named code is too short or too long, or another card has it already."
)
NO_CREDIT_ACCOUNT: Final = declare(
    Conflict, "no_credit_account", "Store credit belongs to an account, and there is none that is open."
)


def gift_card_not_usable() -> Invalid:
    """One answer for whatever is wrong, so that guessing says nothing."""
    return Invalid.at(
        "code",
        GIFT_CARD_NOT_USABLE,
        "This gift card cannot be used here. Look at its code, and how old it is.",
    )
