"""Codes on carts and checkouts: put on, taken off, and why one is refused (contract rows B37, B38 and B65)."""

from typing import Annotated

import msgspec
from litestar import Response, delete, post, put
from litestar.params import FromPath, RequestBody

from app.api.caching import NO_STORE
from app.api.dependencies import GivenActor, GivenNow, GivenSession, GivenShop, GivenStore
from app.api.limits import Token
from app.api.openapi import EXAMPLE, QUERY
from app.api.openapi_security import CART
from app.api.rate_limits import LIMIT
from app.api.request import ShopRequest, read_query_or_body
from app.api.storefront.cart_shapes import StorefrontCart, show_cart
from app.api.storefront.carts import SOME_CART, which_cart
from app.api.storefront.checkouts import StorefrontCheckout, show_checkout
from app.api.transactions import transactional
from app.domain.carts.coupons import put_code
from app.domain.checkout.coupons import put_checkout_code
from app.domain.checkout.service import lock_editable
from app.domain.promotions.codes import LONGEST_CODE

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_CODE)]


class CartCode(msgspec.Struct, forbid_unknown_fields=True):
    """Without a `cart_uuid` the customer's cart is meant, or the one of a guest's cookie."""

    code: Code
    cart_uuid: Token | None = None


class NoCartCode(msgspec.Struct, forbid_unknown_fields=True):
    cart_uuid: Token | None = None


class CheckoutCode(msgspec.Struct, forbid_unknown_fields=True):
    coupon: Code
    checkout_token: Token | None = None


@post(
    "/cart/coupon",
    status_code=200,
    operation_id="putCartCoupon",
    summary="Put a code on the cart",
    tags=["Cart"],
    opt={LIMIT: "coupon", EXAMPLE: {"cart_uuid": SOME_CART, "code": "WELCOME10"}, CART: True},
)
@transactional
async def put_cart_coupon(
    request: ShopRequest,
    data: RequestBody[CartCode],
    session: GivenSession,
    shop: GivenShop,
    store: GivenStore,
    now: GivenNow,
    actor: GivenActor,
) -> Response[StorefrontCart]:
    """Puts a code on the cart in the place of another; upper and lower case are the same.

    The answer is the cart with its discounts, or a 422 `coupon_*` that says which condition fails. What a code
    is worth is worked out anew with each read; its uses are counted when an order is placed.
    """
    cart, quote = await put_code(
        session,
        store,
        uuid=which_cart(request, actor, data.cart_uuid),
        customer_id=actor.customer_id,
        code=data.code,
        now=now,
        keep_seconds=shop.settings.cart_seconds,
    )
    return Response(show_cart(cart, quote), headers=NO_STORE)


@delete(
    "/cart/coupon",
    status_code=200,
    operation_id="removeCartCoupon",
    summary="Take the code off the cart",
    tags=["Cart"],
    opt={LIMIT: "coupon", QUERY: NoCartCode, CART: True},
)
@transactional
async def remove_cart_coupon(
    request: ShopRequest,
    session: GivenSession,
    shop: GivenShop,
    store: GivenStore,
    now: GivenNow,
    actor: GivenActor,
) -> Response[StorefrontCart]:
    """Takes the code off the cart (`cart_uuid` in the query or body); twice is fine. The answer is the cart."""
    sent = await read_query_or_body(request, NoCartCode)
    cart, quote = await put_code(
        session,
        store,
        uuid=which_cart(request, actor, sent.cart_uuid),
        customer_id=actor.customer_id,
        code=None,
        now=now,
        keep_seconds=shop.settings.cart_seconds,
    )
    return Response(show_cart(cart, quote), headers=NO_STORE)


@put(
    "/checkout/{checkout_token:str}/coupon",
    operation_id="putCheckoutCoupon",
    summary="Put a code on the checkout",
    tags=["Checkout"],
    opt={LIMIT: "coupon", EXAMPLE: {"coupon": "WELCOME10"}},
)
@transactional
async def put_checkout_coupon(
    checkout_token: FromPath[str],
    data: RequestBody[CheckoutCode],
    session: GivenSession,
    shop: GivenShop,
    store: GivenStore,
    now: GivenNow,
) -> StorefrontCheckout:
    """Puts a code on the checkout and its cart; the totals follow. 422 `coupon_*` says which condition fails."""
    checkout = await lock_editable(
        session, store.id, checkout_token, now=now, keep_seconds=shop.settings.checkout_seconds
    )
    view = await put_checkout_code(session, store, checkout, code=data.coupon, now=now)
    return show_checkout(view, store, shop)


@delete(
    "/checkout/{checkout_token:str}/coupon",
    status_code=200,
    operation_id="removeCheckoutCoupon",
    summary="Take the code off the checkout",
    tags=["Checkout"],
    opt={LIMIT: "coupon"},
)
@transactional
async def remove_checkout_coupon(
    checkout_token: FromPath[str],
    session: GivenSession,
    shop: GivenShop,
    store: GivenStore,
    now: GivenNow,
) -> StorefrontCheckout:
    """Takes the code off the checkout and its cart; twice is fine."""
    checkout = await lock_editable(
        session, store.id, checkout_token, now=now, keep_seconds=shop.settings.checkout_seconds
    )
    view = await put_checkout_code(session, store, checkout, code=None, now=now)
    return show_checkout(view, store, shop)
