"""The code of a checkout is its cart's: putting one on is refused with the reason where it does not count."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.carts.coupons import check_coupon, with_code, write_code
from app.domain.carts.queries import load_cart
from app.domain.checkout.models import Checkout
from app.domain.checkout.queries import CheckoutView, make_view, price_checkout
from app.domain.checkout.service import settle_state
from app.domain.stores.queries import StoreConfig


async def put_checkout_code(
    session: AsyncSession, store: StoreConfig, checkout: Checkout, *, code: str | None, now: datetime
) -> CheckoutView:
    """Put a code on the cart of a checkout that may be changed, or take it off with None.

    Raises Invalid coupon_*. The caller holds the checkout's lock; the cart is locked after it.
    """
    cart = with_code(await load_cart(session, store, checkout.cart_id), code)
    priced = await price_checkout(session, store, checkout, cart, now=now)
    check_coupon(priced.quote, "coupon")
    coupon = priced.quote.coupon
    await write_code(session, store.id, checkout.cart_id, coupon.code if coupon else None)
    settle_state(store, checkout, priced, now=now)
    return make_view(checkout, cart, priced)
