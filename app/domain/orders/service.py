"""How an order is locked and moved on, and how its buyer gets to see it; every move leaves a row in its timeline."""

from datetime import datetime
from typing import Final

from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.db.statements import Load, only_checked
from app.domain.orders.errors import LINK_NOT_FOUND, order_not_found
from app.domain.orders.models import Order, OrderEvent
from app.kit.errors import NotFound
from app.kit.ids import digest

PAID_BY_CUSTOMER: Final = "accounts.order_paid"
COUNT_SOLD: Final = "orders.count_sold"

_LOCK: Final = Load(Order, f"id = :order_id AND {only_checked('store_id')} = :store_id FOR UPDATE")


async def lock_order(session: AsyncSession, store_id: int, order_id: int) -> Order:
    """The order, locked; its checkout's lock is taken before it. Raises NotFound order_not_found."""
    order = await _LOCK.first(session, store_id=store_id, order_id=order_id)
    if order is None:
        raise order_not_found()
    return order


def show_refunded(order: Order, *, captured: int, refunded: int) -> None:
    """Let the order say how much of what was captured for it was given back. The caller holds its lock.

    One that was never paid in full goes on saying that.
    """
    if captured != order.total:
        return
    if not refunded:
        order.payment_status = "paid"
    else:
        order.payment_status = "refunded" if refunded >= captured else "partially_refunded"


async def queue_paid(session: AsyncSession, order: Order, *, now: datetime) -> None:
    """Let features that look at customers hear that one has paid an order: who invited them earns by it."""
    if jobs := jobs_of_paid(order.id, customer_id=order.customer_id, total=order.total):
        await queue.enqueue_all(session, jobs, store_id=order.store_id, run_at=now)


def jobs_of_paid(order_id: int, *, customer_id: int | None, total: int) -> list[queue.NewJob]:
    """What is queued where a customer has paid an order; total in minor units."""
    if customer_id is None or total <= 0:
        return []
    return [queue.NewJob(PAID_BY_CUSTOMER, f"order-{order_id}", {"customer_id": customer_id})]


async def _note(session: AsyncSession, order: Order, events: list[tuple[str, str]], *, now: datetime) -> None:
    rows = [
        {"store_id": order.store_id, "order_id": order.id, "at": now, "event": event, "detail": detail}
        for event, detail in events
    ]
    await session.execute(insert(OrderEvent).values(rows))


async def note_event(session: AsyncSession, order: Order, event: str, detail: str, *, now: datetime) -> None:
    """Add a row to an order's timeline."""
    await _note(session, order, [(event, detail)], now=now)


async def ask_for_order_link(
    session: AsyncSession, store_id: int, *, number: int, email: str, now: datetime
) -> None:
    """Queue the mail with a link to an order; does the same work, and says the same, where there is none.

    An address gets one mail per order and minute, however often it is asked for.
    """
    found = (
        await session.execute(
            select(Order.id).where(
                Order.store_id == store_id,
                Order.number == number,
                func.lower(Order.email) == email.lower(),
                Order.status != "pending",
            )
        )
    ).scalar()
    await queue.enqueue(
        session,
        store_id=store_id,
        kind="orders.send_link",
        dedupe_key=f"{store_id}:{number}:{digest(email.lower()).hex()}:{now:%Y%m%d%H%M}",
        payload={"order_id": found},
        run_at=now,
        wanted=found is not None,
    )


_USE_LINK: Final = text(
    """
    UPDATE order_links SET used_at = :now
    WHERE digest = :digest AND store_id = :store_id AND order_id = :order_id
      AND used_at IS NULL AND expires_at > :now
    RETURNING order_id
    """
)


async def use_order_link(
    session: AsyncSession, store_id: int, order_id: int, *, secret: str, now: datetime
) -> None:
    """Spend a mailed secret; of two uses at once one succeeds. Raises NotFound link_not_found."""
    used = await session.execute(
        _USE_LINK, {"digest": digest(secret), "store_id": store_id, "order_id": order_id, "now": now}
    )
    if used.first() is None:
        raise NotFound(LINK_NOT_FOUND, "This link was used before or is too old. Ask for a new one.")
