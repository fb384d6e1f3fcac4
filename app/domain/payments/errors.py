"""What can go wrong in paying, as shoppers are told."""

from typing import Final

from app.kit.errors import Conflict, Declined, Forbidden, Invalid, NotFound, declare

PAYMENT_DECLINED: Final = declare(Declined, "payment_declined", "The payment service refused this payment.")
SECOND_STEP: Final = declare(
    Declined,
    "second_step_required",
    "The payment needs a step by the shopper; what the page needs stands beside the code.",
)
SERVICE_NOT_FOUND: Final = declare(NotFound, "payment_service_not_found", "The store has no such service.")
PAYMENT_NOT_FREE: Final = declare(
    Invalid, "payment_not_free", "free_payment is for a total of 0 only, and a total of 0 for it only."
)
PAYMENT_COVERED: Final = declare(
    Invalid,
    "payment_covered",
    "gift_card and store_credit are for a checkout that they pay wholly, where `due` is 0, and nothing else is.",
)
CURRENCY_NOT_TAKEN: Final = declare(
    Invalid,
    "currency_not_taken",
    "The payment service does not take this currency, or not exactly this sum of it.",
)
NO_PAYMENT: Final = declare(Conflict, "no_payment_started", "No payment with this service was started.")
BAD_SIGNATURE: Final = declare(Forbidden, "bad_signature", "The signature does not fit, or is too old.")
METHOD_NOT_FOUND: Final = declare(
    NotFound, "payment_method_not_found", "The customer has no such saved means of payment at this service."
)
CANNOT_SAVE: Final = declare(Invalid, "cannot_save", "This service keeps no means of payment.")
NOT_PAID_OUTSIDE: Final = declare(
    Conflict, "not_paid_outside", "The order is none that is paid outside of the shop's services."
)
PAYMENT_TOO_LARGE: Final = declare(
    Conflict, "payment_too_large", "More than is still owed for the order; `left` says how much that is."
)
RECEIPT_DIFFERS: Final = declare(
    Conflict,
    "receipt_differs",
    "A payment with this reference was booked with another amount; `amount` says which.",
)
REFUND_TOO_LARGE: Final = declare(
    Conflict, "refund_too_large", "More than is left of what was paid; `left` says how much that is."
)


def method_not_found() -> NotFound:
    return NotFound(METHOD_NOT_FOUND, "There is no such means of payment.")
