"""Which statuses an order can have, and which moves are allowed."""

from typing import Final

MOVES: Final[dict[str, frozenset[str]]] = {
    "pending": frozenset({"open", "cancelled"}),
    "open": frozenset({"completed", "cancelled"}),
    "completed": frozenset(),
    "cancelled": frozenset(),
}


def may_move(old: str, new: str) -> bool:
    return new in MOVES[old]
