"""Which currencies a store can be asked for: its own, and those that it sells in beside it."""

from typing import Final

from app.domain.stores.queries import StoreConfig
from app.kit.errors import Invalid, declare

CURRENCY_NOT_OFFERED: Final = declare(
    Invalid,
    "currency_not_offered",
    "The shop does not sell in this currency; GET /options lists those it does.",
)


def check_currency(store: StoreConfig, currency: str | None) -> None:
    """Raise Invalid currency_not_offered for one that the store does not sell in; None is the store's own."""
    if currency is not None and not store.sells_in(currency):
        raise Invalid.at("currency", CURRENCY_NOT_OFFERED, f"The shop does not sell in {currency}.")
