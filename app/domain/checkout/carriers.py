"""What carriers are asked about a parcel, and for which parcel an answer counts.

What a carrier said is kept with the checkout, together with a mark of the parcel that it was said of. So the
shopper pays what was shown, and a basket or address that changed since never has another parcel's price.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from app.domain.promotions.quotes import Line
from app.domain.stores.queries import StoreConfig
from app.domain.stores.shipping import LiveRate


class ParcelItem(msgspec.Struct, frozen=True):
    """A line of the parcel: weight and price of one item."""

    sku: str | None
    quantity: int
    grams: int
    price: int


class Destination(msgspec.Struct, frozen=True):
    """Where it goes. Country is ISO 3166-1, region ISO 3166-2 or None. Nobody's name, street or mail address."""

    country: str
    region: str | None
    city: str
    zip: str


class ParcelOffer(msgspec.Struct, frozen=True):
    """What a carrier is asked about. Prices in minor units of the currency."""

    store: str
    currency: str
    destination: Destination
    items: tuple[ParcelItem, ...]
    grams: int

    @property
    def mark(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


class CarrierRate(msgspec.Struct, frozen=True):
    """What a carrier answers for one of its services: a price in minor units of the currency that was asked for."""

    service: str
    price: int
    min_days: int | None = None
    max_days: int | None = None


class CarrierSilentError(Exception):
    """No answer, or none that can be used; the message is for the log."""


class Carrier(Protocol):
    """Whom to ask for live rates. Raises CarrierSilentError, and takes no longer than its time limit."""

    async def rates(self, parcel: ParcelOffer) -> Sequence[CarrierRate]: ...

    async def close(self) -> None: ...


class KeptRates(msgspec.Struct, frozen=True):
    """What carriers said of the parcel of a mark."""

    mark: str
    until: datetime
    rates: tuple[LiveRate, ...]


def offer_of(
    store: StoreConfig, lines: Sequence[Line], address: Mapping[str, Any] | None
) -> tuple[ParcelOffer, frozenset[str]] | None:
    """The parcel, and the carriers whose options could take it; None where nobody is to be asked."""
    shipped = [line for line in lines if line.requires_shipping]
    if address is None or not shipped:
        return None
    zone = store.zone_of(address["country_code"], address.get("province"))
    names = frozenset(choice.carrier for choice in zone.options if choice.carrier) if zone else frozenset()
    if not names:
        return None
    offer = ParcelOffer(
        store=store.code,
        currency=store.currency,
        destination=Destination(
            country=address["country_code"],
            region=address.get("province"),
            city=str(address.get("city") or ""),
            zip=str(address.get("zip") or ""),
        ),
        items=tuple(ParcelItem(line.sku, line.quantity, line.grams, line.price) for line in shipped),
        grams=sum(line.grams * line.quantity for line in shipped),
    )
    return offer, names


def rates_for(
    kept: Mapping[str, Any] | None,
    store: StoreConfig,
    lines: Sequence[Line],
    address: Mapping[str, Any] | None,
) -> tuple[LiveRate, ...]:
    """What was said of this very parcel; nothing where it is another one by now."""
    if kept is None:
        return ()
    asked = offer_of(store, lines, address)
    found = msgspec.convert(kept, KeptRates)
    return found.rates if asked and asked[0].mark == found.mark else ()
