"""What is read of checkouts: the row, and beside it the basket priced now or, while paying, as frozen."""

from datetime import datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.carts.models import Cart
from app.domain.carts.queries import CartView, load_cart
from app.domain.checkout.carriers import rates_for
from app.domain.checkout.errors import checkout_not_found
from app.domain.checkout.models import Checkout
from app.domain.checkout.quote import Line, Quote, make_quote, shipping_choices
from app.domain.checkout.states import EDITABLE, LIVE, CheckoutState
from app.domain.orders.models import Order
from app.domain.stores.queries import StoreConfig
from app.domain.stores.shipping import Shipping


class CheckoutView(msgspec.Struct, frozen=True):
    """A checkout as it is shown. missing names items that are no longer on sale."""

    checkout: Checkout
    state: CheckoutState
    cart_uuid: str
    quote: Quote
    choices: tuple[Shipping, ...]
    missing: tuple[int, ...]
    order_name: str | None


class Priced(msgspec.Struct, frozen=True):
    """A basket priced for a checkout as it stands."""

    quote: Quote
    choices: tuple[Shipping, ...]
    missing: tuple[int, ...]


async def get_checkout(session: AsyncSession, store_id: int, token: str) -> Checkout:
    """The checkout of a token. Raises NotFound checkout_not_found."""
    found = await session.scalar(
        select(Checkout).where(Checkout.store_id == store_id, Checkout.token == token)
    )
    if found is None:
        raise checkout_not_found()
    return found


async def get_checkout_by_id(session: AsyncSession, store_id: int, checkout_id: int) -> Checkout:
    """The checkout of an id. Raises NotFound checkout_not_found."""
    found = await session.scalar(
        select(Checkout).where(Checkout.store_id == store_id, Checkout.id == checkout_id)
    )
    if found is None:
        raise checkout_not_found()
    return found


async def lock_checkout(session: AsyncSession, store_id: int, token: str) -> Checkout:
    """The checkout of a token, locked until the transaction ends. Raises NotFound checkout_not_found."""
    found = await session.scalar(
        select(Checkout)
        .where(Checkout.store_id == store_id, Checkout.token == token)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise checkout_not_found()
    return found


async def lock_live_checkout(session: AsyncSession, store_id: int, cart_id: int) -> Checkout | None:
    """The one checkout of a cart that has not ended, locked; None where there is none."""
    return await session.scalar(
        select(Checkout)
        .where(Checkout.store_id == store_id, Checkout.cart_id == cart_id, Checkout.state.in_(LIVE))
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def lock_checkout_by_id(session: AsyncSession, store_id: int, checkout_id: int) -> Checkout:
    """The checkout of an id, locked until the transaction ends. Raises NotFound checkout_not_found."""
    found = await session.scalar(
        select(Checkout)
        .where(Checkout.store_id == store_id, Checkout.id == checkout_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise checkout_not_found()
    return found


def lines_of(cart: CartView) -> tuple[tuple[Line, ...], tuple[int, ...]]:
    """The lines of a cart that can be bought, and the variant ids of those that cannot."""
    lines, missing = [], []
    for entry in cart.items:
        item = entry.item
        if item is None or not item.on_sale:
            missing.append(entry.variant_id)
            continue
        lines.append(
            Line(
                variant_id=item.variant_id,
                product_id=item.product_id,
                title=item.title,
                variant_title=item.variant_title,
                sku=item.sku or None,
                image=item.image,
                quantity=entry.quantity,
                price=item.price,
                grams=round(item.grams),
                taxable=item.taxable,
                requires_shipping=item.requires_shipping,
            )
        )
    return tuple(lines), tuple(missing)


def price(store: StoreConfig, checkout: Checkout, cart: CartView, *, now: datetime) -> Priced:
    """Price a cart for a checkout: its address decides on tax and on the options that reach it."""
    lines, missing = lines_of(cart)
    address = checkout.shipping_address or checkout.billing_address
    country = address["country_code"] if address else None
    region = address.get("province") if address else None
    goes_to = checkout.shipping_address
    choices = shipping_choices(
        store,
        lines,
        country=goes_to["country_code"] if goes_to else None,
        region=goes_to.get("province") if goes_to else None,
        now=now,
        rates=rates_for(checkout.rates, store, lines, goes_to),
    )
    chosen = next((choice for choice in choices if choice.id == checkout.shipping_option_id), None)
    rate = store.tax_rate(country, region) if country else 0
    quote = make_quote(store, lines, tax_rate=rate, shipping_option=chosen)
    return Priced(quote=quote, choices=choices, missing=missing)


async def view_checkout(
    session: AsyncSession, store: StoreConfig, checkout: Checkout, *, now: datetime
) -> CheckoutView:
    """A checkout with its basket: priced now, or as frozen from reserve to settle and ever after."""
    if checkout.frozen is not None and checkout.state not in EDITABLE:
        priced = msgspec.convert(checkout.frozen, Priced)
        cart_uuid = str(
            await session.scalar(
                select(Cart.uuid).where(Cart.store_id == store.id, Cart.id == checkout.cart_id)
            )
        )
    else:
        cart = await load_cart(session, store.id, checkout.cart_id)
        priced, cart_uuid = price(store, checkout, cart, now=now), str(cart.uuid)
    order_name = None
    if checkout.state == CheckoutState.COMPLETED:
        order_name = await session.scalar(
            select(Order.name).where(Order.store_id == store.id, Order.id == checkout.order_id)
        )
    expired = checkout.state in EDITABLE and checkout.expires_at <= now
    return CheckoutView(
        checkout=checkout,
        state=CheckoutState.EXPIRED if expired else CheckoutState(checkout.state),
        cart_uuid=cart_uuid,
        quote=priced.quote,
        choices=priced.choices,
        missing=priced.missing,
        order_name=order_name,
    )


def make_view(checkout: Checkout, cart: CartView, priced: Priced) -> CheckoutView:
    """The view of a checkout that was just changed."""
    return CheckoutView(
        checkout=checkout,
        state=CheckoutState(checkout.state),
        cart_uuid=str(cart.uuid),
        quote=priced.quote,
        choices=priced.choices,
        missing=priced.missing,
        order_name=None,
    )
