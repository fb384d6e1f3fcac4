"""How a checkout begins: a cart has one that is open, whoever asks for it and however often."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.session import as_json
from app.db.statements import Statement, row_of, write_changed
from app.domain.carts.queries import CartView, load_cart_of
from app.domain.checkout.errors import CHECKOUT_PAYING
from app.domain.checkout.models import Checkout
from app.domain.checkout.queries import (
    CheckoutView,
    lock_live_checkout,
    make_view,
    price_checkout,
    view_checkout,
)
from app.domain.checkout.seen import note_seen
from app.domain.checkout.service import fault_of, move_checkout
from app.domain.checkout.states import EDITABLE, CheckoutState
from app.domain.stores.queries import StoreConfig
from app.kit.errors import CONFLICT, Conflict
from app.kit.ids import new_token

# The key says that a cart has no other one open; in a race the loser finds the winner's.
_INSERT: Final = Statement(
    """
    INSERT INTO checkouts
        (store_id, token, cart_id, customer_id, state, currency, identity, seen, updated_at, expires_at)
    VALUES (:store_id, :token, :cart_id, :customer_id, :state, :currency, :identity, :seen, :updated_at, :expires_at)
    ON CONFLICT (store_id, cart_id) WHERE state IN ('open', 'priced', 'paying') DO NOTHING
    RETURNING id
    """
)


_EMPTY: Final = dict.fromkeys(column.name for column in Checkout.__table__.columns)


async def open_checkout(
    session: AsyncSession,
    store: StoreConfig,
    *,
    cart_uuid: UUID,
    customer_id: int | None,
    identity: str | None,
    now: datetime,
    keep_seconds: int,
) -> CheckoutView:
    """Make a checkout of a cart, or answer the one that it has open; two at once get the same.

    It is the customer's who opens it, also where the cart is still a guest's: the order is then found among theirs,
    at the prices that the cart showed them. What a customer left open on a guest's cart, nobody else goes on with, and
    no customer with what a guest has typed there: whoever typed it brings the checkout's token along to the login.
    Raises NotFound cart_not_found, Invalid cart_empty or items_unavailable, Conflict checkout_paying for another's.
    Locks the open checkout; one that was just made is nobody else's yet, and no part of the session.
    """
    cart = await load_cart_of(session, store, uuid=cart_uuid, customer_id=customer_id, now=now)
    fault = fault_of(cart)
    begun = {
        "store_id": store.id,
        "token": new_token(),
        "cart_id": cart.id,
        "customer_id": cart.customer_id or customer_id,
        "state": CheckoutState.OPEN,
        "currency": cart.currency,
        "identity": identity,
        "billing_same_as_shipping": True,
        "consents": [],
        "use_store_credit": False,
        "updated_at": now,
        "expires_at": now + timedelta(seconds=keep_seconds),
    }
    fresh = row_of(Checkout, {**_EMPTY, **begun})
    if fault is None:
        view = make_view(fresh, cart, await price_checkout(session, store, fresh, cart, now=now))
        if await _insert(session, fresh):
            return view
    live = await lock_live_checkout(session, store.id, cart.id)
    if live is not None:
        expired = live.expires_at <= now
        if live.state == CheckoutState.PAYING or not (expired or _is_anothers(live, cart, customer_id)):
            return await _look_again(session, store, live, cart, customer_id, now=now)
        move_checkout(live, CheckoutState.EXPIRED if expired else CheckoutState.CANCELLED, now=now)
        await session.flush()
    if fault is not None:
        raise fault
    if await _insert(session, fresh):
        return view
    # Another call made it between our look and our insert, and has committed.
    live = await lock_live_checkout(session, store.id, cart.id)
    if live is None:
        raise Conflict(CONFLICT, "Another call changed this cart's checkout. Try again.")
    return await _look_again(session, store, live, cart, customer_id, now=now)


def _is_anothers(live: Checkout, cart: CartView, customer_id: int | None) -> bool:
    """Whether a checkout says something of somebody who is not known to be the caller."""
    if live.customer_id is not None:
        return live.customer_id != customer_id
    personal = (live.email, live.shipping_address, live.billing_address, live.gift_card_id)
    return customer_id is not None and cart.customer_id is None and any(personal)


async def _insert(session: AsyncSession, fresh: Checkout) -> bool:
    """Write a checkout; False where its cart has one that is open."""
    made = await _INSERT.last(
        session,
        store_id=fresh.store_id,
        token=fresh.token,
        cart_id=fresh.cart_id,
        customer_id=fresh.customer_id,
        state=fresh.state,
        currency=fresh.currency,
        identity=fresh.identity,
        seen=as_json(fresh.seen),
        updated_at=fresh.updated_at,
        expires_at=fresh.expires_at,
    )
    if made is None:
        return False
    fresh.id = made["id"]
    return True


async def _look_again(
    session: AsyncSession,
    store: StoreConfig,
    live: Checkout,
    cart: CartView,
    customer_id: int | None,
    *,
    now: datetime,
) -> CheckoutView:
    """The checkout that is open, the caller's from now on; another's says nothing of them."""
    if _is_anothers(live, cart, customer_id):
        if live.state == CheckoutState.PAYING:
            raise Conflict(CHECKOUT_PAYING, "The checkout is being paid.")
        raise Conflict(CONFLICT, "Another call changed this cart's checkout. Try again.")
    if live.state not in EDITABLE:
        return await view_checkout(session, store, live, now=now)
    live.customer_id = customer_id
    view = await view_checkout(session, store, live, now=now)
    note_seen(live, view.quote)
    await write_changed(session, live)  # whoever puts a code on reads it anew
    return view
