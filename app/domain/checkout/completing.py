"""What ends a checkout: its order has a place, and what was bought, used and held for it is no longer open."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.session import as_json
from app.db.statements import note_written
from app.domain.carts.coupons import take_off_spent
from app.domain.carts.service import take_out_bought
from app.domain.checkout.models import Checkout
from app.domain.checkout.parts import FREE, paid_of, spend_checkout_parts, write_parts
from app.domain.checkout.queries import Priced
from app.domain.checkout.service import move_checkout
from app.domain.checkout.states import CheckoutState
from app.domain.inventory.service import sell_stock
from app.domain.orders.models import Order
from app.domain.orders.writing import NewOrder, Paid, place_order, placed_at_once, values_at_once
from app.domain.payments.service import STARTED, new_mark, new_payment, started_values
from app.domain.payments.states import MANUAL, PaymentState
from app.domain.promotions.uses import keep_uses
from app.domain.stores.queries import StoreConfig

# Of those that a store offers, the ones that no service is called for.
AT_ONCE: Final = frozenset({FREE, MANUAL})

_ENDED: Final = """
    ended AS (
        UPDATE checkouts SET state = :checkout_state, order_id = :order_id, currency = :currency,
            frozen = CAST(:frozen AS jsonb), held_until = NULL, updated_at = :now
        WHERE id = :checkout_id
    )
"""
_CHARGED: Final = f"charged AS ({STARTED})"
# By whether there is an attempt of its own to write, and whether an earlier one may have left the order pending.
_AT_ONCE: Final = {
    (charged, again): placed_at_once(_ENDED, *([_CHARGED] if charged else ()), again=again)
    for charged in (True, False)
    for again in (True, False)
}


async def complete(
    session: AsyncSession,
    store: StoreConfig,
    checkout: Checkout,
    order: Order,
    *,
    paid: Sequence[Paid],
    now: datetime,
) -> None:
    """Place the pending order of a checkout that was paid. The caller holds the locks of both."""
    await place_order(session, order, prefix=store.order_prefix, paid=paid, now=now)
    _move(checkout, now=now)
    await _take_out(session, store, checkout, order, order_id=order.id, now=now)


async def complete_at_once(
    session: AsyncSession,
    store: StoreConfig,
    checkout: Checkout,
    new: NewOrder,
    priced: Priced,
    *,
    order_id: int,
    service: str,
    demand: dict[int, int],
    now: datetime,
) -> None:
    """Sell what a checkout is for and write its order as placed, where nobody has to be asked for money.

    Its gift card, credit and promotions are held for it by now; the stock is sold before the number is drawn. The
    caller holds the checkout's lock, and that of its order where it has one. Raises Conflict out_of_stock.
    """
    await sell_stock(session, store.id, order_id=order_id, demand=demand, now=now)
    spent = await spend_checkout_parts(session, checkout)
    again = checkout.order_id is not None
    _move(checkout, now=now)
    checkout.order_id = order_id
    checkout.frozen = msgspec.to_builtins(priced)
    values = values_at_once(
        new, store_id=store.id, order_id=order_id, prefix=store.order_prefix, paid=paid_of(spent), now=now
    )
    charged = service in AT_ONCE
    if charged:
        payment = new_payment(
            store.id,
            order_id=order_id,
            checkout_id=checkout.id,
            service=service,
            amount=priced.due,
            currency=new.currency,
            at_once=PaymentState.CAPTURED if service == FREE else PaymentState.PENDING,
            now=now,
        )
        values |= started_values(payment, mark=new_mark())
    values |= {
        "checkout_id": checkout.id,
        "checkout_state": checkout.state,
        "frozen": as_json(checkout.frozen),
    }
    await _AT_ONCE[charged, again].one(session, **values)
    note_written(session, checkout)
    await write_parts(session, checkout, spent, order_id=order_id, currency=new.currency, now=now)
    await _take_out(session, store, checkout, new, order_id=order_id, now=now)


def _move(checkout: Checkout, *, now: datetime) -> None:
    if checkout.state == CheckoutState.OPEN:
        move_checkout(checkout, CheckoutState.PRICED, now=now)
    move_checkout(checkout, CheckoutState.COMPLETED, now=now)
    checkout.held_until = None


async def _take_out(
    session: AsyncSession,
    store: StoreConfig,
    checkout: Checkout,
    bought: Order | NewOrder,
    *,
    order_id: int,
    now: datetime,
) -> None:
    """Take what was bought out of its cart, and the code that was used; uses that were held are kept."""
    said = bool(bought.note or bought.attributes)
    await take_out_bought(session, store.id, checkout.cart_id, order_id=order_id, said=said)
    if bought.discounts:
        await keep_uses(session, store.id, checkout_id=checkout.id, now=now)
    if bought.coupon_code is not None:
        await take_off_spent(session, store.id, checkout.cart_id, bought.coupon_code)
