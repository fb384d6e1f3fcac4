"""What may be done with a checkout before it is paid."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.statements import write_changed
from app.domain.carts.errors import CART_EMPTY, ITEMS_UNAVAILABLE
from app.domain.carts.queries import CartView, load_cart
from app.domain.carts.words import write_note
from app.domain.checkout.consents import missing_consents, write_consents
from app.domain.checkout.errors import (
    CHECKOUT_COMPLETED,
    CHECKOUT_EXPIRED,
    CHECKOUT_INCOMPLETE,
    CHECKOUT_PAYING,
    NO_SHIPPING,
    SHIPPING_OPTION,
)
from app.domain.checkout.locking import take_with_cart
from app.domain.checkout.models import Checkout
from app.domain.checkout.queries import (
    CheckoutView,
    Priced,
    lock_checkout,
    make_view,
    price_checkout,
)
from app.domain.checkout.states import EDITABLE, CheckoutState, may_move
from app.domain.inventory.errors import out_of_stock
from app.domain.promotions.quotes import Quote
from app.domain.stores.queries import StoreConfig
from app.kit.errors import Conflict, FieldError, Invalid


def move_checkout(checkout: Checkout, new: CheckoutState, *, now: datetime) -> None:
    """Write a state; the only place that does. An impossible move is a bug and raises ValueError."""
    if not may_move(checkout.state, new):
        raise ValueError(f"a checkout cannot go from {checkout.state} to {new}")
    checkout.state = new
    checkout.updated_at = now


def fault_of(cart: CartView) -> Invalid | None:
    """Why a cart cannot be bought: cart_empty, or items_unavailable with `items`."""
    if not cart.items:
        return Invalid(CART_EMPTY, "The cart is empty.")
    missing = [entry for entry in cart.items if entry.item is None or not entry.item.on_sale]
    if missing:
        return Invalid(
            ITEMS_UNAVAILABLE,
            "Some items are no longer on sale. Take them out of the cart to go on.",
            items=[{"variant_id": entry.variant_id} for entry in missing],
        )
    return None


def check_basket(cart: CartView) -> None:
    """Raise Invalid where a cart cannot be bought, as fault_of says."""
    fault = fault_of(cart)
    if fault is not None:
        raise fault


def check_stock(cart: CartView) -> None:
    """Raise Conflict out_of_stock where the stock as it was read is short already.

    A courtesy that spares whoever is too late the work of a reservation; what guards is the reservation.
    """
    short = {
        entry.variant_id: entry.item.available_units
        for entry in cart.items
        if entry.item is not None
        and entry.item.available_units is not None
        and entry.item.available_units < entry.quantity
    }
    if short:
        conflict = out_of_stock(short)
        conflict.data["items"] = [
            {"variant_id": variant, "available": units} for variant, units in sorted(short.items())
        ]
        raise conflict


def check_editable(checkout: Checkout, *, now: datetime) -> None:
    """Raise Conflict where a checkout cannot be changed any more, or not now."""
    if checkout.state == CheckoutState.PAYING:
        raise Conflict(CHECKOUT_PAYING, "The checkout is being paid.")
    if checkout.state == CheckoutState.COMPLETED:
        raise Conflict(
            CHECKOUT_COMPLETED, "The order of this checkout is placed.", order_id=checkout.order_id
        )
    if checkout.state not in EDITABLE or checkout.expires_at <= now:
        raise Conflict(CHECKOUT_EXPIRED, "This checkout has ended. Make a new one from the cart.")


async def lock_editable(
    session: AsyncSession, store_id: int, token: str, *, now: datetime, keep_seconds: int
) -> Checkout:
    """The checkout, locked for a change that also keeps it alive. Raises NotFound and Conflict."""
    checkout = await lock_checkout(session, store_id, token)
    _keep_alive(checkout, now=now, keep_seconds=keep_seconds)
    return checkout


async def take_editable_with_cart(
    session: AsyncSession, store: StoreConfig, token: str, *, now: datetime, keep_seconds: int
) -> tuple[Checkout, CartView]:
    """As lock_editable, with the cart as it is then; only looked at where no transaction has begun."""
    checkout, cart = await take_with_cart(session, store, token)
    _keep_alive(checkout, now=now, keep_seconds=keep_seconds)
    return checkout, cart


def _keep_alive(checkout: Checkout, *, now: datetime, keep_seconds: int) -> None:
    check_editable(checkout, now=now)
    checkout.updated_at = now
    checkout.expires_at = now + timedelta(seconds=keep_seconds)


async def set_customer(
    session: AsyncSession,
    store: StoreConfig,
    checkout: Checkout,
    cart: CartView,
    *,
    email: str,
    shipping_address: Mapping[str, Any] | None,
    billing_address: Mapping[str, Any] | None,
    subscribe: bool,
    facts: Mapping[str, str | None],
    consents: Mapping[str, bool] | None = None,
    note: str | UnsetType | None = UNSET,
    now: datetime,
) -> CheckoutView:
    """Write who buys what is in the cart and where it goes; billing_address None means the same as shipping.

    shipping_address None is for what is fetched or needs no shipping; then there is a billing address.
    The note is the cart's. `facts` are identity, time_zone and detected_country, as the page tells them. The shipping option
    stays where it still reaches the address. Raises Invalid country_not_shipped, or checkout_incomplete where
    the goods must go somewhere.
    """
    checkout.email = email
    checkout.shipping_address = None if shipping_address is None else dict(shipping_address)
    checkout.billing_address = None if billing_address is None else dict(billing_address)
    checkout.billing_same_as_shipping = billing_address is None
    checkout.subscribe = subscribe
    for name, value in facts.items():
        if value is not None:
            setattr(checkout, name, value)
    write_consents(store, checkout, consents or {}, now=now)
    if note is not UNSET:
        await write_note(session, store.id, checkout.cart_id, note)
        cart = await load_cart(session, store, checkout.cart_id)
    priced = await price_checkout(session, store, checkout, cart, now=now)
    if needs_shipping(priced.quote) and not priced.choices:
        if shipping_address is None:
            raise Invalid(CHECKOUT_INCOMPLETE, "Something is still missing.", errors=[NO_ADDRESS])
        country = shipping_address["country"]
        raise Invalid(
            NO_SHIPPING,
            f"We do not ship this to {country}.",
            errors=[
                FieldError("shipping_address.country", NO_SHIPPING, f"We do not ship this to {country}.")
            ],
        )
    settle_state(store, checkout, priced, now=now)
    view = make_view(checkout, cart, priced)
    await write_changed(session, checkout)
    return view


async def choose_shipping(
    session: AsyncSession,
    store: StoreConfig,
    checkout: Checkout,
    cart: CartView,
    *,
    option_id: int,
    now: datetime,
) -> CheckoutView:
    """Pick a shipping option. Raises Invalid shipping_option_not_available."""
    checkout.shipping_option_id = option_id
    priced = await price_checkout(session, store, checkout, cart, now=now)
    if priced.quote.shipping_option is None:
        raise Invalid.at(
            "shipping_option_id",
            SHIPPING_OPTION,
            "This option does not reach the address."
            if checkout.shipping_address
            else "Give the shipping address first.",
        )
    settle_state(store, checkout, priced, now=now)
    view = make_view(checkout, cart, priced)
    await write_changed(session, checkout)
    return view


def needs_shipping(quote: Quote) -> bool:
    return any(quoted.line.requires_shipping for quoted in quote.lines)


NO_ADDRESS: Final = FieldError("shipping_address", "required", "Say where the order goes.")


def _needs_no_address(checkout: Checkout, priced: Priced) -> bool:
    """Whether the billing address is enough: for what is fetched, and for what needs no shipping."""
    chosen = priced.quote.shipping_option
    fetched = chosen is not None and chosen.pickup
    return checkout.billing_address is not None and (fetched or not needs_shipping(priced.quote))


def what_is_missing(store: StoreConfig, checkout: Checkout, priced: Priced) -> list[FieldError]:
    """What must still be given before paying."""
    faults = []
    if not checkout.email:
        faults.append(FieldError("email", "required", "Say whom the order is for."))
    if not checkout.shipping_address and not _needs_no_address(checkout, priced):
        faults.append(NO_ADDRESS)
    elif needs_shipping(priced.quote) and priced.quote.shipping_option is None:
        faults.append(FieldError("shipping_option_id", "required", "Choose how the order is shipped."))
    return [*faults, *missing_consents(store, checkout)]


def settle_state(store: StoreConfig, checkout: Checkout, priced: Priced, *, now: datetime) -> None:
    """Let the state say whether everything for paying is there."""
    ready = not what_is_missing(store, checkout, priced)
    move_checkout(checkout, CheckoutState.PRICED if ready else CheckoutState.OPEN, now=now)
