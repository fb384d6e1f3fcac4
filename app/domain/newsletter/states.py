"""Which statuses a newsletter subscription can have, and which moves are allowed."""

from typing import Final

PENDING: Final = "pending"
SUBSCRIBED: Final = "subscribed"
UNSUBSCRIBED: Final = "unsubscribed"

MOVES: Final[dict[str, frozenset[str]]] = {
    PENDING: frozenset({SUBSCRIBED, UNSUBSCRIBED}),
    SUBSCRIBED: frozenset({UNSUBSCRIBED}),
    UNSUBSCRIBED: frozenset({PENDING, SUBSCRIBED}),
}


def may_move(old: str, new: str) -> bool:
    return new in MOVES[old]
