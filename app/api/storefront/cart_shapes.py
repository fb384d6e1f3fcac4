"""How a cart is shown: its lines at prices of today, what is taken off them, and what changed since they were added."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final

import msgspec

from app.api.storefront.discounts import (
    StorefrontApplied,
    StorefrontCoupon,
    StorefrontDiscount,
    StorefrontGift,
    show_applied,
    show_coupon,
    show_gifts,
    show_line_discounts,
)
from app.api.storefront.upsells import StorefrontUpsell, show_upsell
from app.domain.carts.changes import Change, cart_changes, changes_of
from app.domain.carts.merging import Capped
from app.domain.carts.queries import CartItem, CartView
from app.domain.catalogue.sale_items import SaleItem
from app.domain.promotions.quotes import Quote, QuotedLine
from app.kit.money import round_half_up

MOST_ATTRIBUTES = 50
# What goes with each product, by its id.
Beside = Mapping[int, Sequence[SaleItem]]
NOTHING_BESIDE: Final[Beside] = {}


class CartAttribute(msgspec.Struct, forbid_unknown_fields=True):
    """One thing that a cart says beside its note, under a name of the page's own."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    value: Annotated[str, msgspec.Meta(max_length=1000)]


class StorefrontWarning(msgspec.Struct):
    """What changed since a thing was added: `price_changed` with `was` and `now`, `not_enough_stock` with
    `available`, `not_on_sale`; or, of the whole cart, `currency_changed`, without a variant.
    """

    code: str
    message: str
    variant_id: int | None
    was: int | None
    now: int | None
    available: int | None


class StorefrontCartLine(msgspec.Struct, kw_only=True):
    """A line with today's price. Money in minor units of the cart's currency.

    `added_price` is what a unit of so many cost this buyer when the line was made; `warnings` say what changed since.
    `related_products` comes with `expand=related_products`: by variant id what goes with the thing and can be had now.
    """

    id: int
    properties: None = None
    quantity: int
    variant_id: int
    key: None = None
    title: str
    price: int
    original_price: int
    discounted_price: int
    line_price: int
    original_line_price: int
    total_discount: int
    discounts: list[StorefrontDiscount]
    sku: str
    grams: int
    taxable: bool
    product_id: int | None
    gift_card: bool
    url: str
    image: str | None
    handle: str
    requires_shipping: bool
    product_type: str
    product_title: str
    product_description: str
    variant_title: str
    variant_options: dict[str, str]
    product_options: dict[str, list[str]]
    related_products: dict[str, StorefrontUpsell]
    available: bool
    added_price: int
    compare_at_price: int | None
    warnings: list[StorefrontWarning]
    cart_uuid: str


class StorefrontCart(msgspec.Struct, kw_only=True):
    """A cart; `token` is its uuid, null while there is none.

    `original_total_price` is what its lines cost without discounts, `total_price` with them. `discounts` are the
    promotions that it has, `gifts` what is added to its order for nothing. `warnings` has those of all lines.
    """

    token: str | None
    note: str | None = None
    attributes: list[CartAttribute]
    currency: str
    original_total_price: int
    total_price: int
    total_discount: int
    total_weight: int
    item_count: int
    items: list[StorefrontCartLine]
    coupon: StorefrontCoupon | None = None
    discounts: list[StorefrontApplied]
    gifts: list[StorefrontGift]
    warnings: list[StorefrontWarning]


class MergedCart(StorefrontCart, kw_only=True):
    """The customer's cart. `capped` names what the two carts held more of than one line or cart can hold, or
    than there is; `waits` says that the guest's cart is being paid, and was left as it is.
    """

    capped: list[Capped]
    waits: bool


def show_line(
    entry: CartItem, cart_uuid: str, found: QuotedLine | None, beside: Beside = NOTHING_BESIDE
) -> StorefrontCartLine:
    """A line as shoppers see it, with its price in the cart's quote; None where nothing is offered on it.

    What is gone from sale stays visible with available false.
    """
    item = entry.item
    full_price = item.price_for(entry.quantity) if item else entry.added_price
    price = found.line.price if found else full_price
    full = price * entry.quantity
    discount = found.discount if found else 0
    return StorefrontCartLine(
        id=entry.id,
        quantity=entry.quantity,
        variant_id=entry.variant_id,
        title=item.title if item else entry.added_title,
        price=price,
        original_price=price,
        discounted_price=round_half_up(full - discount, entry.quantity),
        line_price=full - discount,
        original_line_price=full,
        total_discount=discount,
        discounts=show_line_discounts(found.discounts) if found else [],
        sku=item.sku if item else "",
        grams=round(item.grams) if item else 0,
        taxable=item.taxable if item else False,
        product_id=item.product_id if item else None,
        gift_card=item.gift_card if item else False,
        url=item.url if item else "",
        image=item.image if item else None,
        handle=item.handle if item else "",
        requires_shipping=item.requires_shipping if item else False,
        product_type=item.product_type if item else "",
        product_title=item.product_title if item else "",
        product_description=item.product_description if item else "",
        variant_title=item.variant_title if item else "",
        variant_options=item.variant_options if item else {},
        product_options=item.product_options if item else {},
        related_products={
            str(one.variant_id): show_upsell(one) for one in (beside.get(item.product_id, ()) if item else ())
        },
        available=item is not None
        and item.on_sale
        and (item.available_units is None or item.available_units >= entry.quantity),
        added_price=entry.added_price,
        compare_at_price=item.compare_at_price if item else None,
        warnings=show_warnings(changes_of(entry, price)),
        cart_uuid=cart_uuid,
    )


def show_warnings(changes: Iterable[Change]) -> list[StorefrontWarning]:
    return [StorefrontWarning(**msgspec.structs.asdict(change)) for change in changes]


def show_cart(cart: CartView, quote: Quote, beside: Beside = NOTHING_BESIDE) -> StorefrontCart:
    by_variant = {one.line.variant_id: one for one in quote.lines if not one.line.gift}
    lines = [
        show_line(entry, str(cart.uuid), by_variant.get(entry.variant_id), beside) for entry in cart.items
    ]
    full = sum(line.original_line_price for line in lines)
    total = sum(line.line_price for line in lines)
    of_lines = [warning for line in lines for warning in line.warnings]
    return StorefrontCart(
        token=str(cart.uuid),
        note=cart.note,
        attributes=[CartAttribute(**attribute) for attribute in cart.attributes],
        currency=cart.currency,
        original_total_price=full,
        total_price=total,
        total_discount=full - total,
        total_weight=sum(line.grams * line.quantity for line in lines),
        item_count=sum(line.quantity for line in lines),
        items=lines,
        coupon=show_coupon(quote.coupon),
        discounts=show_applied(quote.applied),
        gifts=show_gifts(quote.lines, quote.applied),
        warnings=show_warnings(cart_changes(cart)) + of_lines,
    )


def empty_cart(currency: str) -> StorefrontCart:
    """What is shown where there is no cart yet."""
    return StorefrontCart(
        token=None,
        attributes=[],
        currency=currency,
        original_total_price=0,
        total_price=0,
        total_discount=0,
        total_weight=0,
        item_count=0,
        items=[],
        discounts=[],
        gifts=[],
        warnings=[],
    )


def line_in(quote: Quote | None, variant_id: int) -> QuotedLine | None:
    """The line of a variant in a quote that may be none."""
    lines = quote.lines if quote else ()
    return next((one for one in lines if one.line.variant_id == variant_id and not one.line.gift), None)
