"""Which states a payment attempt can be in, and which moves are allowed."""

from enum import StrEnum
from typing import Final

# Paid outside of any service, as by bank transfer or on delivery: people say that the money is there.
MANUAL: Final = "manual"


class PaymentState(StrEnum):
    STARTED = "started"  # the row is there, the service may or may not have been called
    ACTION_NEEDED = "action_needed"  # the shopper has a step to do at the service
    UNKNOWN = "unknown"  # the service was called and its answer is not known
    PENDING = "pending"  # to be paid outside: on delivery, by invoice
    AUTHORIZED = "authorized"  # the service holds the money and has not taken it
    CAPTURED = "captured"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    LATE = "late"  # money that was not asked for any more, or of another sum: recorded, to be sent back


UNFINISHED: Final = (PaymentState.STARTED, PaymentState.ACTION_NEEDED, PaymentState.UNKNOWN)
LIVE: Final = (*UNFINISHED, PaymentState.PENDING, PaymentState.AUTHORIZED, PaymentState.CAPTURED)

MOVES: Final[dict[PaymentState, frozenset[PaymentState]]] = {
    PaymentState.STARTED: frozenset(
        {
            PaymentState.ACTION_NEEDED,
            PaymentState.UNKNOWN,
            PaymentState.PENDING,
            PaymentState.AUTHORIZED,
            PaymentState.CAPTURED,
            PaymentState.DECLINED,
            PaymentState.CANCELLED,
            PaymentState.LATE,
        }
    ),
    PaymentState.ACTION_NEEDED: frozenset(
        {
            PaymentState.UNKNOWN,
            PaymentState.AUTHORIZED,
            PaymentState.CAPTURED,
            PaymentState.DECLINED,
            PaymentState.CANCELLED,
            PaymentState.LATE,
        }
    ),
    PaymentState.UNKNOWN: frozenset(
        {
            PaymentState.ACTION_NEEDED,
            PaymentState.AUTHORIZED,
            PaymentState.CAPTURED,
            PaymentState.DECLINED,
            PaymentState.CANCELLED,
            PaymentState.LATE,
        }
    ),
    PaymentState.PENDING: frozenset({PaymentState.CAPTURED, PaymentState.CANCELLED}),
    PaymentState.AUTHORIZED: frozenset({PaymentState.CAPTURED, PaymentState.CANCELLED, PaymentState.LATE}),
    # A capture after the attempt was given up is real money all the same.
    PaymentState.DECLINED: frozenset({PaymentState.LATE}),
    PaymentState.CANCELLED: frozenset({PaymentState.LATE}),
    PaymentState.CAPTURED: frozenset(),
    PaymentState.LATE: frozenset(),
}


def may_move(old: str, new: PaymentState) -> bool:
    return new in MOVES[PaymentState(old)]


# How far a dispute has come, in the words of its service; one that is not known yet lies before its end.
_DISPUTE_STEPS: Final = {
    # PayPal's words; Stripe's stand below.
    "open": 0,
    "waiting_for_buyer_response": 2,
    "waiting_for_seller_response": 2,
    "resolved": 5,
    "resolved_buyer_favour": 5,
    "resolved_with_payout": 5,
    "canceled_by_buyer": 5,
    "accepted": 5,
    "denied": 5,
    "resolved_seller_favour": 6,  # also after an appeal
    "warning_needs_response": 0,
    "warning_under_review": 1,
    "needs_response": 2,
    "under_review": 3,
    "warning_closed": 5,
    "prevented": 5,
    "lost": 5,
    "won": 6,  # also after it was lost: banks correct themselves
}


def is_further(old: str, new: str) -> bool:
    """Whether a dispute's status comes after another one. What is heard of late never takes it back."""
    return _DISPUTE_STEPS.get(new, 4) > _DISPUTE_STEPS.get(old, 4)
