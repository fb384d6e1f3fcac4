"""Why a coupon is refused, as shoppers are told and as programs can tell apart."""

from typing import Final

from app.domain.promotions.quotes import Refusal
from app.kit.errors import Invalid, NotFound, declare

COUPON_NOT_FOUND: Final = declare(Invalid, "coupon_not_found", "There is no such coupon.")
COUPON_NOT_STARTED: Final = declare(Invalid, "coupon_not_started", "The coupon does not count yet.")
COUPON_EXPIRED: Final = declare(Invalid, "coupon_expired", "The coupon's time is over.")
COUPON_USED_UP: Final = declare(
    Invalid, "coupon_used_up", "The coupon was used as often as it may be; one use may come back."
)
COUPON_ALREADY_USED: Final = declare(
    Invalid, "coupon_already_used", "This customer has used the coupon as often as one customer may."
)
COUPON_LOGIN_REQUIRED: Final = declare(
    Invalid, "coupon_login_required", "The coupon is for certain customers, so it needs a login."
)
COUPON_NOT_FOR_CUSTOMER: Final = declare(
    Invalid, "coupon_not_for_customer", "The coupon is for other customers."
)
COUPON_FIRST_ORDER_ONLY: Final = declare(
    Invalid, "coupon_first_order_only", "The coupon is for a customer's first order."
)
COUPON_NOT_IN_COUNTRY: Final = declare(
    Invalid, "coupon_not_in_country", "The coupon is for orders to other countries."
)
COUPON_NO_ITEMS: Final = declare(
    Invalid, "coupon_no_matching_items", "Nothing in the cart is what the coupon is for."
)
COUPON_MINIMUM_QUANTITY: Final = declare(
    Invalid, "coupon_minimum_quantity", "The coupon wants more items; `missing` says how many."
)
COUPON_MINIMUM_PURCHASE: Final = declare(
    Invalid, "coupon_minimum_purchase", "The coupon wants a larger purchase; `missing` says how much more."
)
COUPON_NOT_COMBINABLE: Final = declare(
    Invalid, "coupon_not_combinable", "The coupon cannot be combined with a discount that the cart has."
)
COUPON_NO_GIFT: Final = declare(Invalid, "coupon_gift_unavailable", "The coupon's gift cannot be sent now.")
COUPON_NO_EFFECT: Final = declare(
    Invalid, "coupon_without_effect", "The coupon takes nothing off this cart, and is not used for it."
)
GIFT_NOT_EARNED: Final = declare(
    NotFound, "gift_not_earned", "A cart of this price earns no gift at the moment."
)

_MESSAGES: Final = {
    COUPON_NOT_FOUND: "There is no such coupon.",
    COUPON_NOT_STARTED: "This coupon does not count yet.",
    COUPON_EXPIRED: "This coupon is over.",
    COUPON_USED_UP: "This coupon is used up.",
    COUPON_ALREADY_USED: "You have used this coupon already.",
    COUPON_LOGIN_REQUIRED: "Log in to use this coupon.",
    COUPON_NOT_FOR_CUSTOMER: "This coupon is for other customers.",
    COUPON_FIRST_ORDER_ONLY: "This coupon is for a first order.",
    COUPON_NOT_IN_COUNTRY: "This coupon is not for orders to this country.",
    COUPON_NO_ITEMS: "Nothing in the cart is what this coupon is for.",
    COUPON_MINIMUM_QUANTITY: "This coupon wants more items in the cart.",
    COUPON_MINIMUM_PURCHASE: "This coupon wants a larger purchase.",
    COUPON_NOT_COMBINABLE: "This coupon cannot be combined with the other discount.",
    COUPON_NO_GIFT: "The gift of this coupon cannot be sent now.",
    COUPON_NO_EFFECT: "This coupon takes nothing off this cart.",
}


def refusal(code: str, *, missing: int | None = None) -> Refusal:
    return Refusal(code, _MESSAGES[code], missing)


def coupon_refused(field: str, why: Refusal) -> Invalid:
    """The refusal as an answer to whoever sent the code in this field."""
    data = {} if why.missing is None else {"missing": why.missing}
    return Invalid.at(field, why.code, why.message, **data)
