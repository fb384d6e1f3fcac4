"""What of a checkout is paid by gift card and store credit: put on, held while paying, turned into payments."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.carts.queries import CartView, load_cart
from app.domain.checkout.errors import checkout_not_found
from app.domain.checkout.models import Checkout
from app.domain.checkout.queries import CheckoutView, Priced, make_view, price_checkout, source_of
from app.domain.checkout.service import settle_state
from app.domain.giftcards.holds import Spent, hold_parts, spend_parts
from app.domain.giftcards.service import find_usable_card
from app.domain.giftcards.split import KINDS
from app.domain.ledger.service import payments_account
from app.domain.orders.models import Order
from app.domain.orders.writing import Paid
from app.domain.payments.errors import CURRENCY_NOT_TAKEN, PAYMENT_COVERED, PAYMENT_NOT_FREE
from app.domain.payments.service import new_mark, new_payment, start_payment
from app.domain.payments.states import PaymentState
from app.domain.stores.queries import StoreConfig
from app.kit.errors import Invalid

FREE: Final = "free_payment"


async def put_gift_card(
    session: AsyncSession, store: StoreConfig, checkout: Checkout, *, code: str | None, now: datetime
) -> CheckoutView:
    """Let a gift card pay what it can, in the place of another; None takes it off.

    Raises Invalid gift_card_not_usable. The caller holds the checkout's lock.
    """
    cart = await load_cart(session, store, checkout.cart_id)
    card = None
    if code is not None:
        currency = store.selling_in(cart.currency).currency
        card = await find_usable_card(session, store.id, code, currency=currency, now=now)
    checkout.gift_card_id = None if card is None else card.id
    return await _look_again(session, store, checkout, cart, now=now)


async def use_credit(
    session: AsyncSession,
    store: StoreConfig,
    checkout: Checkout,
    *,
    use: bool,
    customer_id: int,
    now: datetime,
) -> CheckoutView:
    """Let the credit of whoever is logged in pay what it can, or no more. The caller holds the checkout's lock.

    Raises NotFound where the checkout is not theirs. Its token alone spends nobody's credit: `reserve` asks again.
    """
    if checkout.customer_id != customer_id:
        raise checkout_not_found()
    checkout.use_store_credit = use
    cart = await load_cart(session, store, checkout.cart_id)
    return await _look_again(session, store, checkout, cart, now=now)


def check_spender(checkout: Checkout, priced: Priced, spender: Callable[[], int]) -> None:
    """Raise NotFound where credit would be spent by somebody else than whose it is; `spender` says who pays, or raises."""
    if priced.split.store_credit and spender() != checkout.customer_id:
        raise checkout_not_found()


async def _look_again(
    session: AsyncSession, store: StoreConfig, checkout: Checkout, cart: CartView, *, now: datetime
) -> CheckoutView:
    priced = await price_checkout(session, store, checkout, cart, now=now)
    settle_state(store, checkout, priced, now=now)
    return make_view(checkout, cart, priced)


def check_way(service: str, priced: Priced, takes: Callable[[int, str], bool] | None) -> None:
    """Raise Invalid where a total of 0, or one that is covered already, is to be paid in another way, or the
    other way round; and where the service does not take what is due (`takes`: so much of a currency).
    """
    if (service == FREE) != (priced.quote.total == 0):
        raise Invalid.at(
            "payment_type", PAYMENT_NOT_FREE, "A total of 0 is paid by free_payment, and nothing else is."
        )
    covering = priced.split.parts() if priced.due == 0 else {}
    if (service in KINDS or covering) and service not in covering:
        told = f"by {' or '.join(covering)}" if covering else "with a service, since something is left to pay"
        raise Invalid.at("payment_type", PAYMENT_COVERED, f"This checkout is paid {told}.")
    if takes is not None and not takes(priced.due, priced.quote.currency):
        raise Invalid.at(
            "payment_type",
            CURRENCY_NOT_TAKEN,
            f"This service does not take {priced.quote.currency}, or not exactly this sum of it.",
        )


async def hold_checkout_parts(
    session: AsyncSession, checkout: Checkout, priced: Priced, *, now: datetime
) -> bool:
    """Hold what gift card and credit pay; False, and nothing held, where somebody else was quicker."""
    return await hold_parts(
        session,
        checkout.store_id,
        source_of(checkout),
        priced.split,
        checkout_id=checkout.id,
        currency=priced.quote.currency,
        now=now,
    )


async def spend_checkout_parts(session: AsyncSession, checkout: Checkout) -> list[Spent]:
    """Take what is held of a gift card and of credit off them for good."""
    if not source_of(checkout):
        return []
    return await spend_parts(session, checkout.store_id, checkout_id=checkout.id)


def paid_of(spent: Sequence[Spent]) -> list[Paid]:
    """What of an order's total was spent so."""
    return [Paid(part.kind, payments_account(part.kind, part.source_id), part.amount) for part in spent]


async def write_parts(
    session: AsyncSession,
    checkout: Checkout,
    spent: Sequence[Spent],
    *,
    order_id: int,
    currency: str,
    now: datetime,
) -> None:
    """Write what was spent as payments of the order."""
    for part in spent:
        payment = new_payment(
            checkout.store_id,
            order_id=order_id,
            checkout_id=checkout.id,
            service=part.kind,
            amount=part.amount,
            currency=currency,
            now=now,
            source_id=part.source_id,
            at_once=PaymentState.CAPTURED,
        )
        await start_payment(session, payment, mark=new_mark())


async def take_parts(session: AsyncSession, checkout: Checkout, order: Order, *, now: datetime) -> list[Paid]:
    """Turn what is held of a gift card and of credit into payments of the order."""
    spent = await spend_checkout_parts(session, checkout)
    await write_parts(session, checkout, spent, order_id=order.id, currency=order.currency, now=now)
    return paid_of(spent)
