"""Which shipping options reach a place with a basket, and what they cost. Minor units."""

from collections.abc import Sequence
from datetime import datetime

from app.domain.promotions.quotes import Line
from app.domain.stores.queries import StoreConfig
from app.domain.stores.shipping import LiveRate, Parcel, Shipping, shipping_options


def shipping_choices(
    store: StoreConfig,
    lines: Sequence[Line],
    *,
    country: str | None,
    region: str | None,
    now: datetime,
    rates: Sequence[LiveRate] = (),
) -> tuple[Shipping, ...]:
    """The options that reach a place with this basket, free ones at price 0; empty where nothing ships."""
    shipped = [line for line in lines if line.requires_shipping]
    if not shipped:
        return ()
    parcel = Parcel(
        grams=sum(line.grams * line.quantity for line in shipped),
        items=sum(line.quantity for line in shipped),
        worth=sum(line.price * line.quantity for line in lines),
    )
    return shipping_options(store, parcel, country=country, region=region, now=now, rates=rates)
