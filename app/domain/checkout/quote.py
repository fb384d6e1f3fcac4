"""What a basket costs: lines, shipping and tax to one frozen quote, in integer minor units.

Tax is computed per line, rounded half up. Where prices include tax, the tax is part of the total;
else it is added. total = items - discount + shipping (+ tax where it is not included).
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from app.domain.stores.queries import StoreConfig
from app.domain.stores.shipping import LiveRate, Parcel, Shipping, shipping_options
from app.kit import money


class Line(msgspec.Struct, frozen=True):
    """A line of a basket as it stands in the cart and, frozen, in a checkout and an order."""

    variant_id: int
    product_id: int
    title: str
    variant_title: str
    sku: str | None
    image: str | None
    quantity: int
    price: int
    grams: int
    taxable: bool
    requires_shipping: bool


class QuotedLine(msgspec.Struct, frozen=True):
    """A line with what it costs: line_price before its discount, tax of what is left."""

    line: Line
    line_price: int
    discount: int
    tax: int
    tax_rate: int


class Quote(msgspec.Struct, frozen=True):
    """The price of a basket. Everything that is charged follows from it."""

    currency: str
    tax_included: bool
    lines: tuple[QuotedLine, ...]
    shipping_option: Shipping | None
    items: int
    discount: int
    shipping: int
    tax: int
    total: int


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


def make_quote(
    store: StoreConfig,
    lines: Sequence[Line],
    *,
    tax_rate: int,
    shipping_option: Shipping | None,
    discount: int = 0,
) -> Quote:
    """The quote of a basket at a place whose rate is given in basis points.

    A discount is shared among the lines in proportion to their price by largest remainder, so that the
    shares sum to it; it never exceeds the price of the lines.
    """
    prices = [line.price * line.quantity for line in lines]
    items = sum(prices)
    shares = money.allocate(min(discount, items), prices)
    taxed = money.tax_in if store.tax_included else money.share
    quoted = tuple(
        QuotedLine(
            line=line,
            line_price=price,
            discount=part,
            tax=taxed(price - part, tax_rate) if line.taxable else 0,
            tax_rate=tax_rate if line.taxable else 0,
        )
        for line, price, part in zip(lines, prices, shares, strict=True)
    )
    shipping = shipping_option.price if shipping_option else 0
    shipping_tax = taxed(shipping, tax_rate) if store.tax_shipping else 0
    tax = sum(line.tax for line in quoted) + shipping_tax
    reduced = sum(shares)
    return Quote(
        currency=store.currency,
        tax_included=store.tax_included,
        lines=quoted,
        shipping_option=shipping_option,
        items=items,
        discount=reduced,
        shipping=shipping,
        tax=tax,
        total=items - reduced + shipping + (0 if store.tax_included else tax),
    )
