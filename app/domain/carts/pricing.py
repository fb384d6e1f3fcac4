"""What a cart costs as it stands: its lines at this buyer's prices, with what is offered on them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.reads import Reads
from app.domain.carts.queries import CartView, shown_currency
from app.domain.catalogue.sale_items import UnitPrice, prices_in
from app.domain.promotions.offers import NO_OFFERS, Offers
from app.domain.promotions.pricing import make_quote
from app.domain.promotions.queries import Ask, line_of, list_offers, read_offers
from app.domain.promotions.quotes import Line, Place, Quote
from app.domain.stores.queries import StoreConfig
from app.kit.exchange import Exchange


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
    return make_quote(
        store.selling_in(cart.currency),
        basket_of(cart, offers).lines,
        place=place,
        shipping_option=None,
        offers=offers,
    )


async def read_cart_quote(
    reads: Reads, store: StoreConfig, cart: CartView, *, customer_id: int | None, now: datetime
) -> Quote:
    """The cart's quote, outside any transaction."""
    offers = NO_OFFERS
    if _has_offers(store, cart):
        ask = ask_for(cart, customer_id=customer_id, email=None, now=now)
        offers = await read_offers(reads, store.selling_in(cart.currency), ask)
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
    ask = ask_for(cart, customer_id=customer_id, email=email, now=now)
    return await list_offers(session, store.selling_in(cart.currency), ask)


class _LeanLine(msgspec.Struct, frozen=True, array_like=True):
    """What a discount depends on, and nothing that is only shown."""

    variant_id: int
    product_id: int
    quantity: int
    price: int
    requires_shipping: bool
    gift_card: bool
    unit_prices: tuple[UnitPrice, ...]


# A cart of two hundred lines is priced with each line that is added: what the lines look like would cost more
# to read than everything else together.
_LEAN: Final = text(
    """
    SELECT c.customer_id, c.coupon_code, c.currency, (
        SELECT CAST(coalesce(json_agg(json_build_array(
            v.id, v.product_id, l.quantity, v.price, v.requires_shipping, p.gift_card, coalesce((
                SELECT json_agg(json_build_object(
                    'price', u.price, 'minimum', u.minimum, 'group', u.customer_group, 'currency', u.currency
                ))
                FROM unit_prices u WHERE u.store_id = v.store_id AND u.variant_id = v.id
            ), '[]')
        ) ORDER BY l.id), '[]') AS text)
        FROM cart_lines l
        JOIN variants v ON v.store_id = l.store_id AND v.id = l.variant_id
        JOIN products p ON p.store_id = v.store_id AND p.id = v.product_id AND p.listed
        WHERE l.cart_id = c.id
    ) AS lines
    FROM carts c WHERE c.store_id = :store_id AND c.uuid = :uuid
    """
).bindparams(bindparam("uuid", type_=Uuid))
_lean_lines: Final = msgspec.json.Decoder(list[_LeanLine])


async def quote_lean(
    session: AsyncSession, store: StoreConfig, *, uuid: UUID, customer_id: int | None, now: datetime
) -> Quote | None:
    """The quote of a cart for the discounts on its lines, inside the transaction that changed it; titles and
    the like are left out. None where nothing is offered. Two statements however many lines and promotions.
    """
    if not store.has_offers:
        return None
    row = (await session.execute(_LEAN, {"store_id": store.id, "uuid": uuid})).one()
    lean = _lean_lines.decode(row.lines)
    ask = Ask(
        product_ids=sorted({line.product_id for line in lean}),
        held={line.variant_id: line.quantity for line in lean},
        code=row.coupon_code,
        customer_id=row.customer_id or customer_id,
        email=None,
        now=now,
    )
    store = store.selling_in(shown_currency(store, row.currency))
    offers = await list_offers(session, store, ask)
    lines = _lines(lean, offers, store.exchange)
    return make_quote(store, lines, place=None, shipping_option=None, offers=offers)


def _lines(lean: Sequence[_LeanLine], offers: Offers, exchange: Exchange | None) -> list[Line]:
    return [
        Line(
            variant_id=line.variant_id,
            product_id=line.product_id,
            title="",
            variant_title="",
            sku=None,
            image=None,
            quantity=line.quantity,
            price=prices_in(exchange, line.price, line.unit_prices).best(line.quantity, offers.buyer.groups),
            grams=0,
            taxable=False,
            requires_shipping=line.requires_shipping,
            gift_card=line.gift_card,
        )
        for line in lean
    ]
