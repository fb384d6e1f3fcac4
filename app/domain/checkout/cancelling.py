"""How an order ends before anything of it was shipped: its buyer asks, the shop decides, and all goes back.

Money by a refund through its service, what a gift card or credit paid, stock and uses of coupons at once, each
exactly once: the order's lock and its status stand before all of it. Locks are taken as in placing: checkout,
order, payment, gift card, store credit, promotion, coupon, stock.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.domain.checkout.queries import lock_checkout_by_id
from app.domain.checkout.refunds import give_back
from app.domain.giftcards.split import GIFT_CARD, STORE_CREDIT
from app.domain.inventory.service import return_stock
from app.domain.ledger.service import post_entries
from app.domain.orders.errors import (
    CANCELLATION_DECIDED,
    ORDER_CANCELLED,
    ORDER_SHIPPED,
    UNKNOWN_REASON,
    order_not_found,
)
from app.domain.orders.models import Order, OrderCancellation, OrderLine
from app.domain.orders.refunding import count_by_variant, share_lines, take_back_units
from app.domain.orders.service import COUNT_SOLD, lock_order, note_event
from app.domain.orders.shipping import drop_unshipped
from app.domain.payments.authorizations import void_later
from app.domain.payments.errors import REFUND_TOO_LARGE
from app.domain.payments.models import Payment, RefundOrder
from app.domain.payments.refunds import count_refundable
from app.domain.payments.service import move_payment
from app.domain.payments.states import PaymentState
from app.domain.promotions.uses import give_back_uses
from app.domain.stores.queries import StoreConfig
from app.kit.errors import Conflict, Invalid
from app.kit.money import to_text

CANCELLED: Final = "orders.cancelled"
# What a buyer paid as money comes back as money first; what was the shop's own paper, last.
_GOES_BACK: Final = {STORE_CREDIT: 1, GIFT_CARD: 2}


async def ask_to_cancel(
    session: AsyncSession, store: StoreConfig, order_id: int, *, reason: str, note: str, now: datetime
) -> None:
    """Keep a buyer's wish to cancel, or grant it at once where the store does. Repeating it changes nothing.

    Raises Invalid unknown_reason, and Conflict order_shipped and cancellation_decided.
    """
    if reason not in store.cancellation_reasons:
        raise Invalid.at("reason", UNKNOWN_REASON, "Choose one of the reasons that the store offers.")
    if store.orders.cancel_at_once:
        await cancel_order(session, store.id, order_id, reason=reason, note=note, now=now)
        return
    order = await lock_order(session, store.id, order_id)
    wish = await _find_wish(session, order)
    if wish is not None and wish.status == "refused":
        raise Conflict(CANCELLATION_DECIDED, "The shop has decided not to cancel this order.")
    if order.status == "cancelled" or wish is not None:
        return
    await _check_unshipped(session, order)
    session.add(
        OrderCancellation(
            store_id=store.id,
            order_id=order.id,
            status="requested",
            reason=reason,
            note=note,
            requested_at=now,
        )
    )
    await note_event(session, order, "cancellation_requested", reason, now=now)
    await session.flush()


async def withdraw_wish(session: AsyncSession, store_id: int, order_id: int, *, now: datetime) -> None:
    """Take a wish to cancel back that nobody has decided on; without one nothing happens.

    Raises Conflict cancellation_decided. Locks the order.
    """
    order = await lock_order(session, store_id, order_id)
    wish = await _find_wish(session, order)
    if wish is None:
        return
    if wish.status != "requested":
        raise Conflict(CANCELLATION_DECIDED, "The shop has decided on this wish already.")
    await session.delete(wish)
    await note_event(session, order, "cancellation_withdrawn", "", now=now)
    await session.flush()


async def refuse_wish(
    session: AsyncSession, store_id: int, order_id: int, *, note: str, now: datetime
) -> bool:
    """Let an order stand that its buyer wants to cancel; False where nobody waits for that. Locks the order."""
    order = await lock_order(session, store_id, order_id)
    wish = await _find_wish(session, order)
    if wish is None or wish.status != "requested":
        return False
    wish.status, wish.decided_at = "refused", now
    await note_event(session, order, "cancellation_refused", note, now=now)
    await session.flush()
    return True


async def cancel_order(
    session: AsyncSession,
    store_id: int,
    order_id: int,
    *,
    reason: str,
    note: str,
    now: datetime,
    to_credit: bool = False,
) -> bool:
    """Cancel an order of which nothing is shipped: refund, stock, coupon uses, mail. False where it was before.

    What was captured is ordered back from its service and booked once that has said so; what was not paid yet
    is no longer owed. With `to_credit` the buyer's account has all of it as store credit. Raises Conflict
    order_shipped and no_credit_account. Locks everything that an order's placing locks.
    """
    checkout_id = await session.scalar(
        select(Order.checkout_id).where(
            Order.store_id == store_id, Order.id == order_id, Order.status != "pending"
        )
    )
    if checkout_id is None:
        raise order_not_found()
    await lock_checkout_by_id(session, store_id, checkout_id)
    order = await lock_order(session, store_id, order_id)
    if order.status == "cancelled":
        return False
    await _check_unshipped(session, order)
    order.status = "cancelled"
    await note_event(session, order, "cancelled", reason, now=now)
    await _keep_decision(session, order, reason=reason, note=note, now=now)
    await _give_money_back(session, order, reason=reason, to_credit=to_credit, now=now)
    await give_back_uses(session, store_id, checkout_id=checkout_id, now=now)
    await return_stock(session, store_id, order_id=order_id, now=now)
    for kind in (CANCELLED, COUNT_SOLD):
        await queue.enqueue(
            session,
            store_id=store_id,
            kind=kind,
            dedupe_key=f"order-{order_id}-cancelled",
            payload={"order_id": order_id},
            run_at=now,
        )
    await session.flush()
    return True


async def refund_order(
    session: AsyncSession,
    store_id: int,
    order_id: int,
    *,
    amount: int | None,
    reason: str,
    now: datetime,
    to_credit: bool = False,
    units: Mapping[int, int] | None = None,
    restock: bool = False,
    sent_back: bool = False,
) -> list[RefundOrder]:
    """Order so much of what was paid for an order back, or all that is left with None. Minor units.

    With `units`, {line id: units}, it is what these cost, and they stand in the timeline and the buyer's mail; what
    of them is not shipped yet stays here, unless they were `sent_back`, and with `restock` they are on stock again.
    What a service took goes back first, then store credit, a gift card last. With `to_credit` the buyer's
    account has it as store credit instead. Raises Conflict refund_too_large and no_credit_account, and Invalid
    nothing_to_refund. Locks order and payments, then gift card and credit, then stock.
    """
    order = await lock_order(session, store_id, order_id)
    if order.status == "pending":
        raise order_not_found()
    payments = await _lock_payments(session, order)
    captured = [one for one in payments if one.state == PaymentState.CAPTURED]
    left = {one.id: await count_refundable(session, one) for one in captured}
    lines = await take_back_units(session, order, units, sent_back=sent_back) if units is not None else []
    if lines:
        amount = sum(line.amount for line in lines)
        for line in lines:
            told = f"{line.quantity} x {line.title}: {to_text(line.amount, order.currency)}"
            await note_event(session, order, "refund_ordered", told, now=now)
    wanted = sum(left.values()) if amount is None else amount
    if not 0 < wanted <= sum(left.values()):
        raise Conflict(
            REFUND_TOO_LARGE,
            "That is more than is left of what was paid.",
            left=sum(left.values()),
            currency=order.currency,
        )
    parts = {}
    for payment in sorted(captured, key=lambda one: _GOES_BACK.get(one.service, 0)):
        parts[payment.id] = min(wanted, left[payment.id])
        wanted -= parts[payment.id]
    giving = [
        payment for payment in captured if parts[payment.id]
    ]  # by id, as gift card and credit are locked
    shares = share_lines(lines, [parts[payment.id] for payment in giving])
    made = [
        await give_back(
            session,
            order,
            payment,
            amount=parts[payment.id],
            reason=reason,
            to_credit=to_credit,
            now=now,
            lines=share,
        )
        for payment, share in zip(giving, shares, strict=True)
    ]
    if lines:
        await drop_unshipped(session, order, now=now)
    if restock:
        back = await return_stock(
            session,
            store_id,
            order_id=order_id,
            units=await count_by_variant(session, order, lines),
            now=now,
        )
        await note_event(session, order, "restocked", str(back), now=now)
    return made


async def _give_money_back(
    session: AsyncSession, order: Order, *, reason: str, to_credit: bool, now: datetime
) -> None:
    captured = 0
    # By id, as gift card and credit are locked.
    for payment in await _lock_payments(session, order):
        if payment.state == PaymentState.PENDING:
            move_payment(payment, PaymentState.CANCELLED, reason="order cancelled", now=now)
        elif payment.state == PaymentState.AUTHORIZED:
            await void_later(session, payment, now=now)
        elif payment.state == PaymentState.CAPTURED:
            captured += payment.captured
            left = await count_refundable(session, payment)
            if left:
                await give_back(
                    session, order, payment, amount=left, reason=reason, to_credit=to_credit, now=now
                )
    owed = order.total - captured
    if owed > 0:
        order.payment_status = "failed"
        # What was sold and never paid: the sale stands in the books, and so does its end.
        await post_entries(
            session,
            order.store_id,
            key=f"order-{order.id}-cancelled",
            currency=order.currency,
            amounts={"receivable": -owed, "cancellations": owed},
            order_id=order.id,
            now=now,
        )


async def _lock_payments(session: AsyncSession, order: Order) -> Sequence[Payment]:
    found = await session.scalars(
        select(Payment)
        .where(Payment.store_id == order.store_id, Payment.order_id == order.id)
        .order_by(Payment.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.all()


async def _check_unshipped(session: AsyncSession, order: Order) -> None:
    if order.status == "pending":
        raise order_not_found()
    if order.status == "cancelled":
        raise Conflict(ORDER_CANCELLED, "The order was cancelled before.")
    shipped = await session.scalar(
        select(
            exists().where(
                OrderLine.store_id == order.store_id, OrderLine.order_id == order.id, OrderLine.shipped > 0
            )
        )
    )
    if shipped or order.status == "completed":
        raise Conflict(ORDER_SHIPPED, "Something of this order is on its way; send it back instead.")


async def _find_wish(session: AsyncSession, order: Order) -> OrderCancellation | None:
    return await session.scalar(
        select(OrderCancellation)
        .where(OrderCancellation.store_id == order.store_id, OrderCancellation.order_id == order.id)
        .execution_options(populate_existing=True)
    )


async def _keep_decision(
    session: AsyncSession, order: Order, *, reason: str, note: str, now: datetime
) -> None:
    """The buyer's wish is granted, with their own words; without one the shop's stand there."""
    statement = insert(OrderCancellation).values(
        store_id=order.store_id,
        order_id=order.id,
        status="accepted",
        reason=reason,
        note=note,
        requested_at=now,
        decided_at=now,
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["order_id"], set_={"status": "accepted", "decided_at": now}
        )
    )
