"""How an order gets its place: written as pending and placed later, or written as placed from the first."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import set_committed_value

from app.db import queue
from app.db.session import as_json
from app.db.statements import Statement, adopt, row_of
from app.domain.ledger.service import posted, posted_values
from app.domain.orders.models import Order
from app.domain.orders.service import COUNT_SOLD, jobs_of_paid
from app.domain.orders.states import may_move
from app.domain.stores.service import order_numbers


class NewLine(msgspec.Struct, frozen=True):
    """A frozen line, as OrderLine keeps it; tax_rate in parts per million."""

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


class Paid(msgspec.Struct, frozen=True):
    """A part of an order's total that was taken: by whom, its account in the ledger, and how much in minor units."""

    service: str
    account: str
    amount: int


_CONTENT: Final = tuple(name for name in NewOrder.__struct_fields__ if name != "lines")
_LINE: Final = ", ".join(NewLine.__struct_fields__)

# A number is drawn for good, so it is drawn where the order has its place.
_DRAWN: Final = "drawn AS (SELECT nextval(CAST(CAST(:numbers AS text) AS regclass)) AS number {})"
_AS_PENDING: Final = {"status": "'pending'"}
_AS_PLACED: Final = {
    "status": "'open'",
    "number": "drawn.number",
    "name": "CAST(:prefix AS text) || drawn.number",
    "placed_at": "CAST(:now AS timestamptz)",
    "payment_status": "CAST(:payment_status AS text)",
    "paid_at": "CAST(:paid_at AS timestamptz)",
}


def _written(name: str, state: Mapping[str, str], *, drawn: str = "", again: bool = True) -> str:
    """How an order is written in this state; `again`: an earlier attempt to pay may have left it pending."""
    columns = (*_CONTENT, *state)
    over = f"""
        ON CONFLICT (store_id, checkout_id) DO UPDATE
            SET {", ".join(f"{column} = EXCLUDED.{column}" for column in columns)}
            WHERE orders.status = 'pending'
    """  # noqa: S608 - names of our own
    return f"""
    {name} AS (
        INSERT INTO orders (id, store_id, created_at, {", ".join(columns)})
        SELECT CAST(:order_id AS bigint), :store_id, CAST(:now AS timestamptz),
            {", ".join((*_CONTENT, *state.values()))}
        FROM {drawn} jsonb_populate_record(NULL::orders, CAST(:content AS jsonb))
        {over if again else ""}
        RETURNING id, created_at, number, name
    ),
    lines AS (
        INSERT INTO order_lines (store_id, order_id, {_LINE})
        SELECT :store_id, {name}.id, {_LINE}
        FROM {name}, jsonb_populate_recordset(NULL::order_lines, CAST(:lines AS jsonb))
    )
    """  # noqa: S608 - names of our own


# The lines of an earlier attempt are replaced.
_GONE: Final = (
    "gone AS (DELETE FROM order_lines l USING {} w WHERE l.store_id = :store_id AND l.order_id = w.id)"
)

# What follows from placing goes along in one statement: the timeline, the entries in the ledger, and the jobs that
# come after it.
_FOLLOWS: Final = f"""
    told AS (
        INSERT INTO order_events (store_id, order_id, at, event, detail)
        SELECT :store_id, :order_id, :now, said.event, said.detail
        FROM (
            SELECT 0 AS place, 'placed' AS event, name AS detail FROM placed
            UNION ALL
            SELECT place, 'paid', service
            FROM placed, unnest(CAST(:services AS text[])) WITH ORDINALITY AS paid (service, place)
        ) said ORDER BY said.place
    ),
    {posted(once="placed")},
    {queue.queued(once="placed")}
"""  # noqa: S608 - parts of our own

_WRITE: Final = Statement(
    f"WITH {_written('written', _AS_PENDING)}, {_GONE.format('written')} SELECT id, created_at FROM written"  # noqa: S608 - as above
)
_PLACE: Final = Statement(
    f"""
    WITH {_DRAWN.format("")},
    placed AS (
        UPDATE orders o SET {", ".join(f"{column} = {value}" for column, value in _AS_PLACED.items())}
        FROM drawn WHERE o.store_id = :store_id AND o.id = :order_id AND o.status = 'pending'
        RETURNING o.number, o.name
    ),
    {_FOLLOWS} SELECT number, name, {queue.RUNG} FROM placed
    """  # noqa: S608 - parts of our own
)


def placed_at_once(*, once: str, again: bool) -> str:
    """How an order is written as placed, with all that follows, as a part of any statement, which also selects RUNG.

    `once` names what has a row where it is to be placed; `placed` has one then. again: an earlier attempt may have
    left it pending; without that, an order that the checkout has already is an IntegrityError. Its values are those
    of `values_at_once`.
    """
    written = _written("placed", _AS_PLACED, drawn="drawn,", again=again)
    gone = (_GONE.format("placed"),) if again else ()
    return ", ".join((_DRAWN.format(f"FROM {once}"), written, _FOLLOWS, *gone))


def values_at_once(
    session: AsyncSession,
    new: NewOrder,
    *,
    store_id: int,
    order_id: int,
    prefix: str,
    paid: Sequence[Paid],
    now: datetime,
) -> dict[str, Any]:
    """The values of `placed_at_once`, for a statement that the session sends."""
    return {
        **_values_written(new, store_id=store_id, order_id=order_id, now=now),
        **_values_placed(
            session, new, store_id=store_id, order_id=order_id, prefix=prefix, paid=paid, now=now
        ),
    }


async def write_pending_order(
    session: AsyncSession, store_id: int, new: NewOrder, *, order_id: int, now: datetime
) -> Order:
    """Write the order of a checkout without placing it, or write it anew for the next attempt to pay.

    order_id is its id, or will be. The caller holds the checkout's lock; one checkout has one order by constraint,
    and an order that was placed is never written again.
    """
    values = _values_written(new, store_id=store_id, order_id=order_id, now=now)
    written = await _WRITE.one(session, **values)
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
    return adopt(session, row_of(Order, {**fresh, **_content_of(new), **written}))


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
    values = _values_placed(
        session, order, store_id=order.store_id, order_id=order.id, prefix=prefix, paid=paid, now=now
    )
    named = await _PLACE.one(session, **values)
    placed = {
        "status": "open",
        "placed_at": now,
        "number": named["number"],
        "name": named["name"],
        "payment_status": values["payment_status"],
        "paid_at": values["paid_at"],
    }
    for name, value in placed.items():
        set_committed_value(order, name, value)
    return True


def _content_of(new: NewOrder) -> dict[str, Any]:
    return {name: getattr(new, name) for name in _CONTENT}


def _values_written(new: NewOrder, *, store_id: int, order_id: int, now: datetime) -> dict[str, Any]:
    return {
        "store_id": store_id,
        "order_id": order_id,
        "now": now,
        "content": as_json(_content_of(new)),
        "lines": as_json(new.lines),
    }


def _values_placed(
    session: AsyncSession,
    order: Order | NewOrder,
    *,
    store_id: int,
    order_id: int,
    prefix: str,
    paid: Sequence[Paid],
    now: datetime,
) -> dict[str, Any]:
    captured = sum(one.amount for one in paid)
    wholly = captured == order.total
    told = {"order_id": order_id}
    jobs = [queue.NewJob(kind, f"order-{order_id}", told) for kind in ("orders.confirm", COUNT_SOLD)]
    if wholly:
        jobs += jobs_of_paid(order_id, customer_id=order.customer_id, total=order.total)
    return {
        "store_id": store_id,
        "order_id": order_id,
        "numbers": order_numbers(store_id),
        "prefix": prefix,
        "services": [one.service for one in paid],
        "payment_status": "paid" if wholly else "partially_paid" if captured else "pending",
        "paid_at": now if wholly else None,
        "now": now,
        **posted_values(f"order-{order_id}-sale", order.currency, _entries_of_sale(order, paid)),
        **queue.queued_values(session, jobs, run_at=now),
    }


def _entries_of_sale(order: Order | NewOrder, paid: Sequence[Paid]) -> dict[str, int]:
    """What is taken by account; what is not paid yet is receivable."""
    return {
        **{one.account: one.amount for one in paid},
        "receivable": order.total - sum(one.amount for one in paid),
        "sales": -(order.items_total - order.discount_total),
        "shipping": -order.shipping_total,
        "tax": 0 if order.tax_included else -order.tax_total,
    }
