"""Which states a checkout can be in, and which moves are allowed."""

from enum import StrEnum
from typing import Final


class CheckoutState(StrEnum):
    OPEN = "open"
    PRICED = "priced"  # address and shipping are chosen
    PAYING = "paying"  # lines and quote are frozen, stock is held
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


EDITABLE: Final = frozenset({CheckoutState.OPEN, CheckoutState.PRICED})
LIVE: Final = (CheckoutState.OPEN, CheckoutState.PRICED, CheckoutState.PAYING)

MOVES: Final[dict[CheckoutState, frozenset[CheckoutState]]] = {
    CheckoutState.OPEN: frozenset({CheckoutState.PRICED, CheckoutState.EXPIRED, CheckoutState.CANCELLED}),
    CheckoutState.PRICED: frozenset(
        {
            CheckoutState.OPEN,
            CheckoutState.PAYING,
            CheckoutState.COMPLETED,
            CheckoutState.EXPIRED,
            CheckoutState.CANCELLED,
        }
    ),
    CheckoutState.PAYING: frozenset({CheckoutState.PRICED, CheckoutState.COMPLETED}),
    CheckoutState.COMPLETED: frozenset(),
    CheckoutState.EXPIRED: frozenset(),
    CheckoutState.CANCELLED: frozenset(),
}


def may_move(old: str, new: CheckoutState) -> bool:
    return old == new or new in MOVES[CheckoutState(old)]
