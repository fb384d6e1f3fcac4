"""What can be wrong with stock."""

from collections.abc import Iterable
from typing import Final

from app.kit.errors import Conflict, Invalid, declare

NOT_ENOUGH_STOCK: Final = declare(
    Invalid, "not_enough_stock", "There are fewer units than asked for; `available` says how many."
)
OUT_OF_STOCK: Final = declare(
    Conflict, "out_of_stock", "Some items of the checkout can no longer be had; `items` names them."
)


def out_of_stock(variants: Iterable[int]) -> Conflict:
    """The refusal that names what cannot be had any more."""
    return Conflict(
        OUT_OF_STOCK,
        "Some items can no longer be had.",
        items=[{"variant_id": variant_id} for variant_id in sorted(variants)],
    )
