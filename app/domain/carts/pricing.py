"""What a cart costs as it stands: its lines at this buyer's prices, with what is offered on them."""

from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.reads import Reads
from app.domain.carts.queries import CartView
from app.domain.promotions.offers import NO_OFFERS, Offers
from app.domain.promotions.pricing import make_quote
from app.domain.promotions.queries import Ask, line_of, list_offers, read_offers
from app.domain.promotions.quotes import Line, Place, Quote
from app.domain.stores.queries import StoreConfig


class Basket(msgspec.Struct, frozen=True):
    """The lines of a cart that can be bought, and the variant ids of those that cannot."""

    lines: tuple[Line, ...]
    missing: tuple[int, ...]


def basket_of(cart: CartView, offers: Offers) -> Basket:
    """The cart's lines at what a unit costs this buyer at that quantity."""
    lines, missing = [], []
    for entry in cart.items:
        item = entry.item
        if item is None or not item.on_sale:
            missing.append(entry.variant_id)
            continue
        price = item.price_for(entry.quantity, offers.buyer.groups)
        lines.append(line_of(item, quantity=entry.quantity, price=price))
    return Basket(tuple(lines), tuple(missing))


def ask_for(cart: CartView, *, customer_id: int | None, email: str | None, now: datetime) -> Ask:
    """What has to be known to price a cart for a buyer; a cart of a customer is bought by nobody else."""
    on_sale = [entry for entry in cart.items if entry.item is not None and entry.item.on_sale]
    return Ask(
        product_ids=sorted({entry.item.product_id for entry in on_sale if entry.item is not None}),
        held={entry.variant_id: entry.quantity for entry in on_sale},
        code=cart.coupon_code,
        customer_id=cart.customer_id or customer_id,
        email=email,
        now=now,
    )


def _has_offers(store: StoreConfig, cart: CartView) -> bool:
    """Whether asking can change the price. A code is asked about however fresh the store's settings are."""
    return (store.has_offers and bool(cart.items)) or cart.coupon_code is not None


def quote_cart(store: StoreConfig, cart: CartView, offers: Offers, *, place: Place | None = None) -> Quote:
    """The cart's quote before anything is known of shipping; without a place there is no tax in it."""
    return make_quote(store, basket_of(cart, offers).lines, place=place, shipping_option=None, offers=offers)


async def read_cart_quote(
    reads: Reads, store: StoreConfig, cart: CartView, *, customer_id: int | None, now: datetime
) -> Quote:
    """The cart's quote, outside any transaction."""
    offers = NO_OFFERS
    if _has_offers(store, cart):
        ask = ask_for(cart, customer_id=customer_id, email=None, now=now)
        offers = await read_offers(reads, store.id, ask)
    return quote_cart(store, cart, offers)


async def list_cart_offers(
    session: AsyncSession,
    store: StoreConfig,
    cart: CartView,
    *,
    customer_id: int | None,
    email: str | None = None,
    now: datetime,
) -> Offers:
    """What is offered on a cart, inside a transaction."""
    if not _has_offers(store, cart):
        return NO_OFFERS
    return await list_offers(session, store.id, ask_for(cart, customer_id=customer_id, email=email, now=now))
