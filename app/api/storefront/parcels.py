"""Parcels as buyers see them: where each is, and what is in it."""

import msgspec

from app.domain.orders.queries import ParcelView
from app.kit.clock import isoformat


class ParcelEvent(msgspec.Struct):
    at: str
    text: str
    place: str


class StorefrontParcel(msgspec.Struct, kw_only=True):
    """A parcel on its way; `number` and `url` are the carrier's, null where it gave none."""

    carrier: str
    number: str | None
    url: str | None
    status: str
    events: list[ParcelEvent]


class PackedLine(msgspec.Struct):
    """Units of a line of the order, by the line's `id`."""

    id: int
    quantity: int


class PackedParcel(StorefrontParcel, kw_only=True):
    items: list[PackedLine]


class StorefrontFulfilment(msgspec.Struct):
    status: str
    parcels: list[PackedParcel]


class StorefrontTracking(msgspec.Struct):
    parcels: list[StorefrontParcel]


def _events(parcel: ParcelView) -> list[ParcelEvent]:
    return [ParcelEvent(isoformat(event.at), event.text, event.place) for event in parcel.events]


def show_parcel(parcel: ParcelView) -> StorefrontParcel:
    return StorefrontParcel(
        carrier=parcel.carrier,
        number=parcel.number,
        url=parcel.url,
        status=parcel.status,
        events=_events(parcel),
    )


def show_packed(parcel: ParcelView) -> PackedParcel:
    return PackedParcel(
        carrier=parcel.carrier,
        number=parcel.number,
        url=parcel.url,
        status=parcel.status,
        events=_events(parcel),
        items=[PackedLine(line.line_id, line.quantity) for line in parcel.lines],
    )
