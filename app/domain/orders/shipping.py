"""What of an order is on its way: parcels with their lines, and the order's fulfilment that follows from them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import BigInteger, Integer, bindparam, insert, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.domain.orders.errors import (
    BAD_TRACKING,
    CANCELLATION_WAITS,
    NOTHING_TO_SHIP,
    ORDER_CANCELLED,
    order_not_found,
)
from app.domain.orders.models import Order, OrderCancellation, Parcel, ParcelEvent
from app.domain.orders.service import lock_order, note_event
from app.domain.orders.states import may_move
from app.domain.payments.authorizations import capture_later
from app.kit.errors import Conflict, Invalid

SHIPPED: Final = "orders.shipped"
# All of it was paid once.
_PAID: Final = ("paid", "partially_refunded", "refunded")

# What needs no shipping is fulfilled without a parcel, unless somebody names it or there is nothing else; what was paid
# back stays here, too.
_OPEN: Final = text(
    """
    SELECT id, quantity - shipped - dropped AS left, requires_shipping FROM order_lines
    WHERE store_id = :store_id AND order_id = :order_id AND shipped + dropped < quantity
    """
)
_TAKE: Final = text(
    """
    UPDATE order_lines l
    SET shipped = l.shipped + wanted.quantity, dropped = least(l.dropped, l.quantity - l.shipped - wanted.quantity)
    FROM unnest(:ids, :quantities) AS wanted (id, quantity)
    WHERE l.store_id = :store_id AND l.order_id = :order_id AND l.id = wanted.id
      AND l.shipped + wanted.quantity <= l.quantity
    RETURNING l.id
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)), bindparam("quantities", type_=ARRAY(Integer)))
# What was put back on stock is sold to somebody else by now: as many of those that stay here as are back and had not
# been shipped before. An order without movements is of goods that are not counted.
_ON_STOCK_AGAIN: Final = text(
    """
    SELECT min(wanted.id) FROM order_lines l LEFT JOIN unnest(:ids, :quantities) AS wanted (id, quantity) USING (id)
    WHERE l.store_id = :store_id AND l.order_id = :order_id
    GROUP BY l.variant_id HAVING sum(wanted.quantity) > sum(l.quantity - l.shipped) - least(sum(l.dropped), (
        SELECT coalesce(sum(m.delta), 0) FROM stock_movements m
        WHERE m.store_id = :store_id AND m.order_id = :order_id AND m.variant_id = l.variant_id
          AND m.kind = 'returned'
    ) - sum(l.came_back))
    ORDER BY 1 LIMIT 1
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)), bindparam("quantities", type_=ARRAY(Integer)))
_PACK: Final = text(
    """
    INSERT INTO parcel_lines (parcel_id, order_line_id, store_id, quantity)
    SELECT :parcel_id, wanted.id, :store_id, wanted.quantity
    FROM unnest(:ids, :quantities) AS wanted (id, quantity)
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)), bindparam("quantities", type_=ARRAY(Integer)))


async def ship_order(
    session: AsyncSession,
    store_id: int,
    order_id: int,
    *,
    quantities: Mapping[int, int] | None,
    carrier: str,
    number: str | None,
    url: str | None,
    now: datetime,
) -> Parcel:
    """Put units of an order's lines, {line id: units}, into a parcel, or all that is left with None; mail its buyer.

    What was paid back before it was shipped goes only where somebody names its line, and not once it is on stock
    again. The order's fulfilment follows, and an order that is paid and shipped is completed. Raises Conflict
    order_cancelled and cancellation_waits, and Invalid nothing_to_ship and bad_tracking. Locks the order.
    """
    if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
        raise Invalid.at("url", BAD_TRACKING, "A tracking link begins with http:// or https://.")
    order = await lock_order(session, store_id, order_id)
    if order.status == "pending":
        raise order_not_found()
    if order.status == "cancelled":
        raise Conflict(ORDER_CANCELLED, "The order was cancelled; nothing of it can be shipped.")
    await _check_wish(session, order)
    wanted = dict(quantities) if quantities is not None else await _list_all_left(session, order)
    if not wanted or min(wanted.values()) < 1:
        raise Invalid.at("lines", NOTHING_TO_SHIP, "Nothing of the order is left to be shipped.")
    lines = {"ids": sorted(wanted), "quantities": [wanted[line_id] for line_id in sorted(wanted)]}
    scope = {"store_id": store_id, "order_id": order_id}
    back = await session.scalar(_ON_STOCK_AGAIN, {**scope, **lines})
    taken = set(await session.scalars(_TAKE, {**scope, **lines}))
    if missing := sorted(set(wanted) - taken):
        raise Invalid.at(
            "lines",
            NOTHING_TO_SHIP,
            f"Line {missing[0]} has not that many units that are still to be shipped.",
        )
    if back is not None:
        raise Invalid.at("lines", NOTHING_TO_SHIP, f"Line {back} has units that were put on stock again.")
    parcel = Parcel(
        store_id=store_id, order_id=order_id, carrier=carrier, number=number, url=url, created_at=now
    )
    session.add(parcel)
    await session.flush()
    await session.execute(_PACK, {"parcel_id": parcel.id, "store_id": store_id, **lines})
    await session.execute(
        insert(ParcelEvent).values(store_id=store_id, parcel_id=parcel.id, at=now, text="Shipped", place="")
    )
    await note_event(session, order, "shipped", " ".join(filter(None, (carrier, number))), now=now)
    # What is on its way is paid for: money that is held until now is taken with the first parcel.
    await capture_later(session, store_id, order_id, now=now)
    order.fulfilment_status = "partial" if await count_unshipped(session, order) else "fulfilled"
    await complete_if_done(session, order, now=now)
    await queue.enqueue(
        session,
        store_id=store_id,
        kind=SHIPPED,
        dedupe_key=f"parcel-{parcel.id}",
        payload={"order_id": order_id, "parcel_id": parcel.id},
        run_at=now,
    )
    await session.flush()
    return parcel


async def drop_unshipped(session: AsyncSession, order: Order, *, now: datetime) -> None:
    """Let an order's fulfilment follow units that are not to be shipped any more. The caller holds its lock."""
    if order.fulfilment_status == "partial" and not await count_unshipped(session, order):
        order.fulfilment_status = "fulfilled"
        await complete_if_done(session, order, now=now)


async def complete_if_done(session: AsyncSession, order: Order, *, now: datetime) -> None:
    """Complete an order that is paid and shipped, whatever went back of it. The caller holds its lock."""
    done = order.payment_status in _PAID and order.fulfilment_status == "fulfilled"
    if done and may_move(order.status, "completed"):
        order.status = "completed"
        await note_event(session, order, "completed", "", now=now)


async def count_unshipped(session: AsyncSession, order: Order) -> dict[int, int]:
    """What of an order still has to be shipped, {line id: units}; nothing of goods that need no shipping."""
    found = await session.execute(_OPEN, {"store_id": order.store_id, "order_id": order.id})
    return {row.id: row.left for row in found if row.requires_shipping}


async def _list_all_left(session: AsyncSession, order: Order) -> dict[int, int]:
    """What goes where nobody says what. An order of vouchers, say, is handed over by mail: it has no other parcel."""
    left = await count_unshipped(session, order)
    if left or order.fulfilment_status != "unfulfilled":
        return left
    found = await session.execute(_OPEN, {"store_id": order.store_id, "order_id": order.id})
    return {row.id: row.left for row in found}


async def _check_wish(session: AsyncSession, order: Order) -> None:
    wish = await session.scalar(
        select(OrderCancellation.status).where(
            OrderCancellation.store_id == order.store_id, OrderCancellation.order_id == order.id
        )
    )
    if wish == "requested":
        raise Conflict(CANCELLATION_WAITS, "Its buyer wants to cancel the order: decide on that first.")
