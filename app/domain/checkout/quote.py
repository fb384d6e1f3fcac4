"""Which shipping options reach a place with a basket, and what they cost. Minor units."""

from collections.abc import Sequence

from app.domain.promotions.quotes import Line, Shipping
from app.domain.stores.queries import ShippingChoice, StoreConfig


def shipping_choices(
    store: StoreConfig, lines: Sequence[Line], *, country: str, region: str | None
) -> tuple[Shipping, ...]:
    """The options that reach a place with this basket, free ones at price 0; empty where nothing ships."""
    zone = store.zone_of(country, region)
    shipped = [line for line in lines if line.requires_shipping]
    if zone is None or not shipped:
        return ()
    weight = sum(line.grams * line.quantity for line in shipped)
    worth = sum(line.price * line.quantity for line in lines)
    return tuple(
        Shipping(
            id=option.id,
            title=option.title,
            price=0 if option.free_from is not None and worth >= option.free_from else option.price,
            min_days=option.min_days,
            max_days=option.max_days,
        )
        for option in zone.options
        if _fits(option, weight, worth)
    )


def _fits(option: ShippingChoice, weight: int, worth: int) -> bool:
    return (
        (option.min_weight_grams is None or weight >= option.min_weight_grams)
        and (option.max_weight_grams is None or weight < option.max_weight_grams)
        and (option.min_price is None or worth >= option.min_price)
        and (option.max_price is None or worth < option.max_price)
    )
