"""What can be wrong with stock."""

from typing import Final

from app.kit.errors import Conflict, Invalid, declare

NOT_ENOUGH_STOCK: Final = declare(
    Invalid, "not_enough_stock", "There are fewer units than asked for; `available` says how many."
)
OUT_OF_STOCK: Final = declare(
    Conflict, "out_of_stock", "Some items of the checkout can no longer be had; `items` names them."
)
