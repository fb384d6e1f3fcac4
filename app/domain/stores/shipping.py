"""Which ways to ship a store offers for a parcel to a place, what each costs, and when it arrives."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime

import msgspec

from app.domain.stores.delivery import arrival
from app.domain.stores.queries import ShippingChoice, StoreConfig


class Parcel(msgspec.Struct, frozen=True):
    """What is to be shipped: grams and number of items that need shipping, and what all goods cost."""

    grams: int
    items: int
    worth: int


class LiveRate(msgspec.Struct, frozen=True):
    """What a carrier asks for one of its services, in minor units of the store's currency."""

    carrier: str
    service: str
    price: int
    min_days: int | None = None
    max_days: int | None = None


class Shipping(msgspec.Struct, frozen=True):
    """A shipping option with its price for this basket. `earliest` and `latest` are the days of arrival.

    `pickup`: the goods are fetched at `location`, and no shipping address is needed.
    """

    id: int
    title: str
    price: int
    min_days: int | None
    max_days: int | None
    earliest: date | None = None
    latest: date | None = None
    pickup: bool = False
    location: str | None = None


def shipping_options(
    store: StoreConfig,
    parcel: Parcel,
    *,
    country: str | None,
    region: str | None,
    now: datetime,
    rates: Sequence[LiveRate] = (),
) -> tuple[Shipping, ...]:
    """The options that reach a place, and the pick-ups; without a country the pick-ups alone.

    An option of a carrier costs what the carrier asks, and what it is set up with where the carrier did not
    say, unless it is for live rates only.
    """
    zone = store.zone_of(country, region) if country else None
    asked = {(rate.carrier, rate.service): rate for rate in rates}
    return tuple(_options(store, [*(zone.options if zone else ()), *store.pickups], parcel, asked, now))


def _options(
    store: StoreConfig,
    choices: Sequence[ShippingChoice],
    parcel: Parcel,
    asked: dict[tuple[str, str], LiveRate],
    now: datetime,
) -> Iterator[Shipping]:
    for choice in choices:
        rate = asked.get((choice.carrier, choice.carrier_service or "")) if choice.carrier else None
        if not _fits(choice, parcel) or (choice.only_live and rate is None):
            continue
        least, most = choice.min_days, choice.max_days
        if rate and rate.min_days is not None:
            least, most = rate.min_days, rate.max_days
        yield Shipping(
            id=choice.id,
            title=choice.title,
            price=_cost(choice, parcel, rate),
            min_days=least,
            max_days=most,
            earliest=None if least is None else arrival(store.delivery, least, now=now),
            latest=None if most is None else arrival(store.delivery, most, now=now),
            pickup=choice.location is not None,
            location=choice.location,
        )


def _cost(choice: ShippingChoice, parcel: Parcel, rate: LiveRate | None) -> int:
    if choice.free_from is not None and parcel.worth >= choice.free_from:
        return 0
    if rate is not None:
        return rate.price
    return choice.price + choice.extra_item * max(0, parcel.items - 1)


def _fits(choice: ShippingChoice, parcel: Parcel) -> bool:
    bands = (
        (choice.min_weight_grams, parcel.grams, choice.max_weight_grams),
        (choice.min_price, parcel.worth, choice.max_price),
        (choice.min_items, parcel.items, choice.max_items),
    )
    return all(
        (least is None or value >= least) and (most is None or value < most) for least, value, most in bands
    )
