"""What is priced and what comes of it: lines, places and frozen quotes, in integer minor units."""

from typing import NamedTuple

import msgspec

from app.domain.stores.shipping import Shipping


class Place(NamedTuple):
    """Where a basket goes, by ISO 3166: it decides on tax, shipping and some promotions."""

    country: str
    region: str | None


class Line(msgspec.Struct, frozen=True):
    """A line of a basket as it stands in the cart and, frozen, in a checkout and an order.

    price is what a unit costs this buyer at this quantity. A gift is a line of its own: price 0, worth
    something. What stands for money (gift_card) earns no discount.
    """

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
    tax_class: str = ""
    gift_card: bool = False
    gift: bool = False
    worth: int = 0


class LineDiscount(msgspec.Struct, frozen=True):
    """What one promotion takes off one line."""

    promotion_id: int
    title: str
    code: str | None
    amount: int


class QuotedLine(msgspec.Struct, frozen=True):
    """A line with what it costs: line_price before its discount, tax of what is left.

    tax_rate is in parts per million, like all rates of taxes.
    """

    line: Line
    line_price: int
    discount: int
    tax: int
    tax_rate: int
    discounts: tuple[LineDiscount, ...] = ()


class Applied(msgspec.Struct, frozen=True):
    """A promotion that a basket earned, and what it took off lines and shipping together.

    limited: it may be used so many times only, and each use is counted when the order is placed.
    """

    promotion_id: int
    coupon_id: int | None
    code: str | None
    title: str
    kind: str
    value: int
    amount: int
    limited: bool
    gift_variant_id: int | None = None


class Refusal(msgspec.Struct, frozen=True):
    """Why a coupon does not count. missing: how many minor units or items it wants more."""

    code: str
    message: str
    missing: int | None = None


class CouponState(msgspec.Struct, frozen=True):
    """The code that a basket carries and what it takes off, or why it does not."""

    code: str
    discount: int
    refusal: Refusal | None = None


class Quote(msgspec.Struct, frozen=True):
    """The price of a basket. Everything that is charged follows from it.

    total = items - discount + shipping (+ tax where it is not included); shipping is what is left to pay
    of the chosen option's price after shipping_discount.
    """

    currency: str
    tax_included: bool
    lines: tuple[QuotedLine, ...]
    shipping_option: Shipping | None
    items: int
    discount: int
    shipping: int
    tax: int
    total: int
    shipping_discount: int = 0
    applied: tuple[Applied, ...] = ()
    coupon: CouponState | None = None

    def net(self, quoted: QuotedLine) -> int:
        """What a line of this quote costs after its discount, without tax."""
        return quoted.line_price - quoted.discount - (quoted.tax if self.tax_included else 0)

    def gross(self, quoted: QuotedLine) -> int:
        """What a line of this quote costs after its discount, with tax."""
        return self.net(quoted) + quoted.tax
