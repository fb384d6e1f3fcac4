"""The storefront API: shoppers, their single-page shop, mobile app and checkout page."""

from typing import Any

from app.api.storefront.carts import CartController
from app.api.storefront.checkouts import CheckoutController
from app.api.storefront.options import options
from app.api.storefront.orders import OrderController


def storefront_handlers() -> list[Any]:
    """Everything under /storefront/v1."""
    return [CartController, CheckoutController, OrderController, options]
