"""What is read of checkouts: the row, and beside it the basket priced now or, while paying, as frozen."""

from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.statements import Load, only_checked
from app.domain.carts.changes import Change, list_changes
from app.domain.carts.models import Cart
from app.domain.carts.pricing import basket_of, list_cart_offers
from app.domain.carts.queries import CartView, load_cart
from app.domain.checkout.carriers import rates_for
from app.domain.checkout.errors import checkout_not_found
from app.domain.checkout.models import Checkout
from app.domain.checkout.quote import shipping_choices
from app.domain.checkout.seen import note_seen
from app.domain.checkout.states import EDITABLE, CheckoutState
from app.domain.giftcards.holds import Source, read_balances
from app.domain.giftcards.split import Balances, Split, split_total
from app.domain.orders.models import Order
from app.domain.promotions.offers import Offers
from app.domain.promotions.pricing import make_quote
from app.domain.promotions.quotes import Place, Quote
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
    split: Split = Split()
    note: str | None = None
    changes: tuple[Change, ...] = ()


class Priced(msgspec.Struct, frozen=True):
    """A basket priced for a checkout as it stands, and what a gift card and store credit pay of it."""

    quote: Quote
    choices: tuple[Shipping, ...]
    missing: tuple[int, ...]
    split: Split = Split()

    @property
    def due(self) -> int:
        """What is left to be paid at a service, in minor units."""
        return self.quote.total - self.split.covered


def source_of(checkout: Checkout) -> Source:
    """What a checkout draws on beside a service."""
    return Source(checkout.gift_card_id, checkout.customer_id if checkout.use_store_credit else None)


_TOKENS: Final = "store_id = :store_id AND token = :token"
_IDS: Final = f"id = :id AND {only_checked('store_id')} = :store_id"
_GET: Final = Load(Checkout, _TOKENS, looks=True)
_GET_BY_ID: Final = Load(Checkout, _IDS, looks=True)
_LOCK: Final = Load(Checkout, f"{_TOKENS} FOR UPDATE")
_LOCK_BY_ID: Final = Load(Checkout, f"{_IDS} FOR UPDATE")
_LOCK_LIVE: Final = Load(
    Checkout,
    "store_id = :store_id AND cart_id = :cart_id AND state IN ('open', 'priced', 'paying') FOR UPDATE",
)


def _found(checkout: Checkout | None) -> Checkout:
    if checkout is None:
        raise checkout_not_found()
    return checkout


async def get_checkout(session: AsyncSession, store_id: int, token: str) -> Checkout:
    """The checkout of a token. Raises NotFound checkout_not_found."""
    return _found(await _GET.first(session, store_id=store_id, token=token))


async def get_checkout_by_id(session: AsyncSession, store_id: int, checkout_id: int) -> Checkout:
    """The checkout of an id. Raises NotFound checkout_not_found."""
    return _found(await _GET_BY_ID.first(session, store_id=store_id, id=checkout_id))


async def lock_checkout(session: AsyncSession, store_id: int, token: str) -> Checkout:
    """The checkout of a token, locked until the transaction ends. Raises NotFound checkout_not_found."""
    return _found(await _LOCK.first(session, store_id=store_id, token=token))


async def lock_live_checkout(session: AsyncSession, store_id: int, cart_id: int) -> Checkout | None:
    """The one checkout of a cart that has not ended, locked; None where there is none."""
    return await _LOCK_LIVE.first(session, store_id=store_id, cart_id=cart_id)


async def lock_checkout_by_id(session: AsyncSession, store_id: int, checkout_id: int) -> Checkout:
    """The checkout of an id, locked until the transaction ends. Raises NotFound checkout_not_found."""
    return _found(await _LOCK_BY_ID.first(session, store_id=store_id, id=checkout_id))


def price(
    store: StoreConfig,
    checkout: Checkout,
    cart: CartView,
    offers: Offers,
    balances: Balances,
    *,
    now: datetime,
) -> Priced:
    """Price a cart for a checkout: its address decides on tax and on the options that reach it."""
    store = store.selling_in(cart.currency)
    basket = basket_of(cart, offers)
    address = checkout.shipping_address or checkout.billing_address
    place = Place(address["country_code"], address.get("province")) if address else None
    goes_to = checkout.shipping_address
    choices = shipping_choices(
        store,
        basket.lines,
        country=goes_to["country_code"] if goes_to else None,
        region=goes_to.get("province") if goes_to else None,
        now=now,
        rates=rates_for(checkout.rates, store, basket.lines, goes_to),
    )
    chosen = next((choice for choice in choices if choice.id == checkout.shipping_option_id), None)
    quote = make_quote(store, basket.lines, place=place, shipping_option=chosen, offers=offers)
    return Priced(
        quote=quote, choices=choices, missing=basket.missing, split=split_total(quote.total, balances)
    )


async def list_checkout_offers(
    session: AsyncSession, store: StoreConfig, checkout: Checkout, cart: CartView, *, now: datetime
) -> Offers:
    """What is offered to the buyer of a checkout on its cart."""
    return await list_cart_offers(
        session, store, cart, customer_id=checkout.customer_id, email=checkout.email, now=now
    )


async def list_checkout_balances(
    session: AsyncSession, store: StoreConfig, checkout: Checkout, cart: CartView, *, now: datetime
) -> Balances:
    """What the gift card and the credit of a checkout have to spend now, in the currency of its cart."""
    currency = store.selling_in(cart.currency).currency
    return await read_balances(session, store.id, source_of(checkout), currency=currency, now=now)


async def price_checkout(
    session: AsyncSession, store: StoreConfig, checkout: Checkout, cart: CartView, *, now: datetime
) -> Priced:
    """Price a cart for a checkout with what is offered on it, and with what there is to spend, now."""
    offers = await list_checkout_offers(session, store, checkout, cart, now=now)
    balances = await list_checkout_balances(session, store, checkout, cart, now=now)
    return price(store, checkout, cart, offers, balances, now=now)


async def view_checkout(
    session: AsyncSession, store: StoreConfig, checkout: Checkout, *, now: datetime
) -> CheckoutView:
    """A checkout with its basket: priced now, or as frozen from reserve to settle and ever after."""
    note: str | None = None
    changes: tuple[Change, ...] = ()
    if checkout.frozen is not None and checkout.state not in EDITABLE:
        priced = msgspec.convert(checkout.frozen, Priced)
        bought = (
            await session.execute(
                select(Cart.uuid, Order.note)
                .outerjoin(Order, (Order.store_id == store.id) & (Order.id == checkout.order_id))
                .where(Cart.store_id == store.id, Cart.id == checkout.cart_id)
            )
        ).one()
        cart_uuid, note = str(bought.uuid), bought.note
    else:
        cart = await load_cart(session, store, checkout.cart_id)
        priced, cart_uuid = await price_checkout(session, store, checkout, cart, now=now), str(cart.uuid)
        note, changes = cart.note, tuple(list_changes(cart, priced.quote))
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
        split=priced.split,
        note=note,
        changes=changes,
    )


def make_view(checkout: Checkout, cart: CartView, priced: Priced) -> CheckoutView:
    """The view of a checkout that was just changed; what it shows is remembered."""
    note_seen(checkout, priced.quote)
    return CheckoutView(
        checkout=checkout,
        state=CheckoutState(checkout.state),
        cart_uuid=str(cart.uuid),
        quote=priced.quote,
        choices=priced.choices,
        missing=priced.missing,
        order_name=None,
        split=priced.split,
        note=cart.note,
        changes=tuple(list_changes(cart, priced.quote)),
    )
