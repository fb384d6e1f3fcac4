"""What ends a checkout: its order has a place, and what was bought, used and held for it is no longer open."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.db.retries import OvertakenError
from app.db.session import as_json
from app.db.statements import STILL, Statement, note_written, version_of
from app.domain.carts.coupons import take_off_spent
from app.domain.carts.service import (
    lock_cart,
    take_out_bought,
    take_out_words,
    taken_out,
    taken_out_values,
)
from app.domain.checkout.freezing import units_of
from app.domain.checkout.models import Checkout
from app.domain.checkout.parts import FREE, paid_of, spend_checkout_parts, write_parts
from app.domain.checkout.queries import Priced, source_of
from app.domain.checkout.service import move_checkout
from app.domain.checkout.states import CheckoutState
from app.domain.inventory.errors import out_of_stock
from app.domain.inventory.service import sold, sold_values
from app.domain.orders.models import Order
from app.domain.orders.writing import NewOrder, Paid, place_order, placed_at_once, values_at_once
from app.domain.payments.service import new_mark, new_payment, started, started_values
from app.domain.payments.states import MANUAL, PaymentState
from app.domain.promotions.uses import keep_uses
from app.domain.stores.queries import StoreConfig

# Of those that a store offers, the ones that no service is called for.
AT_ONCE: Final = frozenset({FREE, MANUAL})

# The checkout, locked where it is still what the order was made of; nobody is waited for.
_BOUGHT: Final = f"""
    bought AS MATERIALIZED (
        SELECT id FROM checkouts WHERE id = :checkout_id AND (CAST(:version AS xid) IS NULL OR {STILL})
        FOR UPDATE SKIP LOCKED
    )
"""  # noqa: S608 - words of our own
_ENDED: Final = """
    ended AS (
        UPDATE checkouts SET state = :checkout_state, order_id = :order_id, currency = :currency,
            frozen = CAST(:frozen AS jsonb), held_until = NULL, updated_at = :now
        FROM sellable WHERE id = :checkout_id
    )
"""


def _at_once(*, charged: bool, again: bool) -> Statement:
    """Sell, place and take out in one, in the order of locks: checkout, stock by key, and what is written after it.

    Either all of it is done or nothing: `bought` says whether the checkout was as it was read, `short` of what there
    was too little. charged: there is an attempt to pay to write. again: an earlier one may have left the order pending;
    only then may `placed` be false where all else was done, and whoever sent this takes it back.
    """
    parts = (
        _BOUGHT,
        sold(once="bought"),
        placed_at_once(once="sellable", again=again),
        _ENDED,
        taken_out(once="sellable"),
        *((f"charged AS ({started(once='sellable')})",) if charged else ()),
    )
    return Statement(
        f"""
        WITH {", ".join(parts)}
        SELECT EXISTS (SELECT FROM bought) AS bought, ARRAY(SELECT variant_id FROM short) AS short,
            EXISTS (SELECT FROM placed) AS placed, {queue.RUNG}
        """  # noqa: S608 - parts of our own
    )


_AT_ONCE: Final = {
    (charged, again): _at_once(charged=charged, again=again)
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
    await _begin_with_cart(session, store, checkout, order)
    await take_out_bought(session, store.id, checkout.cart_id, order_id=order.id)
    await _end_uses(session, store, checkout, order, order_id=order.id, now=now)


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

    Its gift card, credit and promotions are held for it by now. The caller holds the checkout's lock, and that of its
    order where it has one; of a checkout that was only looked at nothing but this is written (`is_alone`). Raises
    Conflict out_of_stock, and OvertakenError where the checkout is another by now.
    """
    version = version_of(session, checkout)
    spent = await spend_checkout_parts(session, checkout)
    again = checkout.order_id is not None
    _move(checkout, now=now)
    checkout.order_id = order_id
    checkout.frozen = msgspec.to_builtins(priced)
    values = values_at_once(
        session,
        new,
        store_id=store.id,
        order_id=order_id,
        prefix=store.order_prefix,
        paid=paid_of(spent),
        now=now,
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
    values |= sold_values(demand) | taken_out_values(checkout.cart_id, units_of(new))
    values |= {
        "checkout_id": checkout.id,
        "version": version,
        "checkout_state": checkout.state,
        "frozen": as_json(checkout.frozen),
    }
    await _begin_with_cart(session, store, checkout, new)
    statement = _AT_ONCE[charged, again]
    done: Any = await (statement.row if version is None else statement.last)(session, **values)
    if not done["bought"]:
        raise OvertakenError
    if done["short"]:
        raise out_of_stock(done["short"])
    if not done["placed"]:
        raise ValueError(f"order {order_id} is pending no more")
    note_written(session, checkout)
    await write_parts(session, checkout, spent, order_id=order_id, currency=new.currency, now=now)
    await _end_uses(session, store, checkout, new, order_id=order_id, now=now)


def is_alone(checkout: Checkout, new: NewOrder) -> bool:
    """Whether `complete_at_once` is all that is written when the order of a checkout is placed."""
    said = new.note or new.attributes or new.discounts or new.coupon_code
    return checkout.order_id is None and not said and not source_of(checkout)


def _move(checkout: Checkout, *, now: datetime) -> None:
    if checkout.state == CheckoutState.OPEN:
        move_checkout(checkout, CheckoutState.PRICED, now=now)
    move_checkout(checkout, CheckoutState.COMPLETED, now=now)
    checkout.held_until = None


async def _begin_with_cart(
    session: AsyncSession, store: StoreConfig, checkout: Checkout, bought: Order | NewOrder
) -> None:
    """Take off the code that was used, and lock the cart before its lines where `_end_uses` is going to write it."""
    if bought.coupon_code is not None:
        await take_off_spent(session, store.id, checkout.cart_id, bought.coupon_code)
    if bought.note or bought.attributes:
        await lock_cart(session, store.id, checkout.cart_id)


async def _end_uses(
    session: AsyncSession,
    store: StoreConfig,
    checkout: Checkout,
    bought: Order | NewOrder,
    *,
    order_id: int,
    now: datetime,
) -> None:
    """Keep the uses that were held, and take what was said out of the cart."""
    if bought.note or bought.attributes:
        await take_out_words(session, store.id, checkout.cart_id, order_id=order_id)
    if bought.discounts:
        await keep_uses(session, store.id, checkout_id=checkout.id, now=now)
