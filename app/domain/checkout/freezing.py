"""What an order keeps of the checkout that it came from: lines and sums as they were quoted."""

from typing import Any

import msgspec

from app.domain.carts.queries import CartView
from app.domain.checkout.models import Checkout
from app.domain.orders.writing import NewLine, NewOrder
from app.domain.promotions.quotes import Quote


def demand_of(quote: Quote) -> dict[int, int]:
    """How many units of each variant a quote is for, however many lines they stand on."""
    demand: dict[int, int] = {}
    for quoted in quote.lines:
        line = quoted.line
        demand[line.variant_id] = demand.get(line.variant_id, 0) + line.quantity
    return demand


def units_of(new: NewOrder) -> dict[int, int]:
    """How many units of each variant an order takes out of its cart: gifts were never in it."""
    units: dict[int, int] = {}
    for line in new.lines:
        if not line.gift:
            units[line.variant_id] = units.get(line.variant_id, 0) + line.quantity
    return units


def new_order(checkout: Checkout, cart: CartView, quote: Quote, additional_fields: Any) -> NewOrder:
    """The order of a checkout as this quote has it."""
    return NewOrder(
        checkout_id=checkout.id,
        checkout_token=checkout.token,
        customer_id=checkout.customer_id,
        email=checkout.email or "",
        currency=quote.currency,
        tax_included=quote.tax_included,
        items_total=quote.items,
        discount_total=quote.discount,
        shipping_total=quote.shipping,
        tax_total=quote.tax,
        total=quote.total,
        shipping_address=checkout.shipping_address,
        billing_address=checkout.billing_address or checkout.shipping_address,
        shipping_option=msgspec.to_builtins(quote.shipping_option),
        coupon_code=next((entry.code for entry in quote.applied if entry.code is not None), None),
        discounts=msgspec.to_builtins(quote.applied),
        additional_fields=additional_fields,
        note=cart.note,
        attributes=cart.attributes,
        consents=checkout.consents,
        lines=tuple(
            NewLine(
                position=position,
                variant_id=quoted.line.variant_id,
                product_id=quoted.line.product_id,
                title=quoted.line.title,
                variant_title=quoted.line.variant_title,
                sku=quoted.line.sku,
                image=quoted.line.image,
                quantity=quoted.line.quantity,
                price=quoted.line.price,
                line_price=quoted.line_price,
                discount=quoted.discount,
                tax=quoted.tax,
                tax_rate=quoted.tax_rate,
                grams=quoted.line.grams,
                requires_shipping=quoted.line.requires_shipping,
                discounts=msgspec.to_builtins(quoted.discounts),
                gift=quoted.line.gift,
            )
            for position, quoted in enumerate(quote.lines, 1)
        ),
    )
