"""How an order is written, placed and moved on; every move leaves a row in its timeline."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import set_committed_value

from app.db import queue
from app.db.session import as_json
from app.db.statements import Load, Statement, adopt, only_checked, row_of
from app.domain.ledger.service import POSTED, posted_values
from app.domain.orders.errors import LINK_NOT_FOUND, order_not_found
from app.domain.orders.models import Order, OrderEvent
from app.domain.orders.states import may_move
from app.domain.stores.service import order_numbers
from app.kit.errors import NotFound
from app.kit.ids import digest

PAID_BY_CUSTOMER: Final = "accounts.order_paid"
COUNT_SOLD: Final = "orders.count_sold"


class NewLine(msgspec.Struct, frozen=True):
    """A frozen line, as OrderLine keeps it."""

    position: int
    variant_id: int
    product_id: int
    title: str
    variant_title: str
    sku: str | None
    image: str | None
    quantity: int
    price: int
    line_price: int
    discount: int
    tax: int
    tax_rate: int
    grams: int
    requires_shipping: bool
    discounts: list[dict[str, Any]]
    gift: bool


class NewOrder(msgspec.Struct, frozen=True):
    """The frozen content of an order, as its checkout computed it. Minor units."""

    checkout_id: int
    checkout_token: str
    customer_id: int | None
    email: str
    currency: str
    tax_included: bool
    items_total: int
    discount_total: int
    shipping_total: int
    tax_total: int
    total: int
    shipping_address: dict[str, Any] | None
    billing_address: dict[str, Any] | None
    shipping_option: dict[str, Any] | None
    coupon_code: str | None
    discounts: list[dict[str, Any]]
    additional_fields: Any
    note: str | None
    attributes: list[Any]
    consents: list[Any]
    lines: tuple[NewLine, ...]


_CONTENT: Final = tuple(name for name in NewOrder.__struct_fields__ if name != "lines")
_LINE: Final = ", ".join(NewLine.__struct_fields__)

# One statement however many lines; those of an earlier attempt are replaced.
_WRITE: Final = Statement(
    f"""
    WITH written AS (
        INSERT INTO orders (store_id, status, created_at, {", ".join(_CONTENT)})
        SELECT :store_id, 'pending', CAST(:now AS timestamptz), {", ".join(_CONTENT)}
        FROM jsonb_populate_record(NULL::orders, CAST(:content AS jsonb))
        ON CONFLICT (store_id, checkout_id) DO UPDATE
            SET {", ".join(f"{name} = EXCLUDED.{name}" for name in _CONTENT)}
            WHERE orders.status = 'pending'
        RETURNING id, created_at
    ),
    gone AS (
        DELETE FROM order_lines l USING written WHERE l.store_id = :store_id AND l.order_id = written.id
    ),
    lines AS (
        INSERT INTO order_lines (store_id, order_id, {_LINE})
        SELECT :store_id, written.id, {_LINE}
        FROM written, jsonb_populate_recordset(NULL::order_lines, CAST(:lines AS jsonb))
    )
    SELECT id, created_at FROM written
    """  # noqa: S608 - names of our own
)


# A number is drawn for good, so it is drawn where the order has its place. What follows from placing goes along in one
# statement: the timeline, the entries in the ledger, and the jobs that come after it.
_PLACE: Final = Statement(
    f"""
    WITH drawn AS (SELECT nextval(CAST(CAST(:numbers AS text) AS regclass)) AS number),
    placed AS (
        UPDATE orders o
        SET status = :status, number = drawn.number, name = CAST(:prefix AS text) || drawn.number,
            placed_at = :now, payment_status = :payment_status, paid_at = :paid_at
        FROM drawn WHERE o.store_id = :store_id AND o.id = :order_id AND o.status = 'pending'
        RETURNING o.number, o.name
    ),
    told AS (
        INSERT INTO order_events (store_id, order_id, at, event, detail)
        SELECT :store_id, :order_id, :now, said.event, said.detail
        FROM (
            SELECT 0 AS place, 'placed' AS event, name AS detail FROM placed
            UNION ALL
            SELECT place, 'paid', service
            FROM unnest(CAST(:services AS text[])) WITH ORDINALITY AS paid (service, place)
        ) said ORDER BY said.place
    ),
    {POSTED},
    {queue.QUEUED}
    SELECT number, name, {queue.RUNG} FROM placed
    """  # noqa: S608 - parts of our own
)


class Paid(msgspec.Struct, frozen=True):
    """A part of an order's total that was taken: by whom, its account in the ledger, and how much in minor units."""

    service: str
    account: str
    amount: int


async def write_pending_order(session: AsyncSession, store_id: int, new: NewOrder, *, now: datetime) -> Order:
    """Write the order of a checkout without placing it, or write it anew for the next attempt to pay.

    The caller holds the checkout's lock; one checkout has one order by constraint, and an order that
    was placed is never written again.
    """
    content = {name: getattr(new, name) for name in _CONTENT}
    written = await _WRITE.one(
        session,
        store_id=store_id,
        now=now,
        content=as_json(content),
        lines=as_json(new.lines),
    )
    fresh = {
        "store_id": store_id,
        "status": "pending",
        "payment_status": "pending",
        "fulfilment_status": "unfulfilled",
        "number": None,
        "name": None,
        "placed_at": None,
        "paid_at": None,
    }
    return adopt(session, row_of(Order, {**fresh, **content, **written}))


_LOCK: Final = Load(Order, f"id = :order_id AND {only_checked('store_id')} = :store_id FOR UPDATE")


async def lock_order(session: AsyncSession, store_id: int, order_id: int) -> Order:
    """The order, locked; its checkout's lock is taken before it. Raises NotFound order_not_found."""
    order = await _LOCK.first(session, store_id=store_id, order_id=order_id)
    if order is None:
        raise order_not_found()
    return order


async def place_order(
    session: AsyncSession,
    order: Order,
    *,
    prefix: str,
    paid: Sequence[Paid],
    now: datetime,
) -> bool:
    """Turn a pending order into a placed one: number, timeline, ledger and confirmation mail.

    Idempotent: False where it was placed before. What was not `paid` is owed and stands in the ledger as
    receivable. The caller holds the order's lock; without it, what is no longer pending is a ValueError.
    """
    if not may_move(order.status, "open"):
        return False
    captured = sum(one.amount for one in paid)
    wholly = captured == order.total
    written: dict[str, Any] = {
        "status": "open",
        "payment_status": "paid" if wholly else "partially_paid" if captured else "pending",
        "paid_at": now if wholly else None,
    }
    told = {"order_id": order.id}
    jobs = [queue.NewJob(kind, f"order-{order.id}", told) for kind in ("orders.confirm", COUNT_SOLD)]
    if wholly:
        jobs += _jobs_of_paid(order)
    named = await _PLACE.one(
        session,
        store_id=order.store_id,
        order_id=order.id,
        numbers=order_numbers(order.store_id),
        prefix=prefix,
        services=[one.service for one in paid],
        now=now,
        **written,
        **posted_values(f"order-{order.id}-sale", order.currency, _entries_of_sale(order, paid)),
        **queue.queued_values(jobs, run_at=now),
    )
    written |= {"placed_at": now, "number": named["number"], "name": named["name"]}
    for name, value in written.items():
        set_committed_value(order, name, value)
    return True


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
    if jobs := _jobs_of_paid(order):
        await queue.enqueue_all(session, jobs, store_id=order.store_id, run_at=now)


def _jobs_of_paid(order: Order) -> list[queue.NewJob]:
    if order.customer_id is None or order.total <= 0:
        return []
    return [queue.NewJob(PAID_BY_CUSTOMER, f"order-{order.id}", {"customer_id": order.customer_id})]


def _entries_of_sale(order: Order, paid: Sequence[Paid]) -> dict[str, int]:
    """What is taken by account; what is not paid yet is receivable."""
    return {
        **{one.account: one.amount for one in paid},
        "receivable": order.total - sum(one.amount for one in paid),
        "sales": -(order.items_total - order.discount_total),
        "shipping": -order.shipping_total,
        "tax": 0 if order.tax_included else -order.tax_total,
    }


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
