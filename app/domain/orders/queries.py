"""What is read of orders: always with the store, and with what proves the right to see one."""

from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.reads import Reads
from app.domain.orders.errors import order_not_found
from app.domain.promotions.quotes import Applied, LineDiscount
from app.kit.paging import Page, PageRequest


class OrderLineView(msgspec.Struct, frozen=True):
    id: int
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
    requires_shipping: bool
    discounts: tuple[LineDiscount, ...]
    gift: bool
    refunded: int = 0
    dropped: int = 0


class PaymentView(msgspec.Struct, frozen=True):
    id: int
    service: str
    state: str
    amount: int
    captured: int
    refunded: int
    # Of a gift card's code.
    last_four: str | None = None
    reference: str | None = None


class EventView(msgspec.Struct, frozen=True):
    at: datetime
    event: str
    detail: str


class CancellationView(msgspec.Struct, frozen=True):
    status: str
    reason: str
    note: str


class ParcelLineView(msgspec.Struct, frozen=True):
    line_id: int
    quantity: int


class ParcelEventView(msgspec.Struct, frozen=True):
    at: datetime
    text: str
    place: str


class ParcelView(msgspec.Struct, frozen=True):
    id: int
    carrier: str
    number: str | None
    url: str | None
    status: str
    lines: tuple[ParcelLineView, ...]
    events: tuple[ParcelEventView, ...]


class OrderView(msgspec.Struct, frozen=True):
    """An order with everything that belongs to it. Minor units."""

    id: int
    store_id: int
    checkout_token: str
    name: str | None
    customer_id: int | None
    email: str
    status: str
    payment_status: str
    fulfilment_status: str
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
    discounts: tuple[Applied, ...]
    created_at: datetime
    placed_at: datetime | None
    paid_at: datetime | None
    lines: tuple[OrderLineView, ...]
    payments: tuple[PaymentView, ...]
    events: tuple[EventView, ...]
    cancellation: CancellationView | None = None
    parcels: tuple[ParcelView, ...] = ()
    note: str | None = None
    attributes: tuple[Any, ...] = ()
    consents: tuple[Any, ...] = ()


# An order as JSON, once what follows says which. Beside it stand what belongs to it, as more columns of its row.
ORDER: Final = """
SELECT CAST(row_to_json(whole) AS text)
FROM orders o CROSS JOIN LATERAL (SELECT o.*,
    (SELECT coalesce(json_agg(l ORDER BY l.position), '[]')
        FROM order_lines l WHERE l.store_id = o.store_id AND l.order_id = o.id) AS lines,
    (SELECT coalesce(json_agg(json_build_object('id', p.id, 'service', p.service,
            'state', p.state, 'amount', p.amount, 'captured', p.captured, 'refunded', p.refunded,
            'last_four', CASE WHEN p.service = 'gift_card' THEN
                (SELECT g.last_four FROM gift_cards g WHERE g.store_id = p.store_id AND g.id = p.source_id) END,
            'reference', p.reference)
            ORDER BY p.attempt), '[]')
        FROM payments p WHERE p.store_id = o.store_id AND p.order_id = o.id) AS payments,
    (SELECT coalesce(json_agg(json_build_object('at', e.at, 'event', e.event,
            'detail', e.detail) ORDER BY e.id), '[]')
        FROM order_events e WHERE e.store_id = o.store_id AND e.order_id = o.id) AS events,
    (SELECT json_build_object('status', c.status, 'reason', c.reason, 'note', c.note)
        FROM order_cancellations c WHERE c.store_id = o.store_id AND c.order_id = o.id) AS cancellation,
    (SELECT coalesce(json_agg(json_build_object('id', r.id, 'carrier', r.carrier,
            'number', r.number, 'url', r.url, 'status', r.status,
            'lines', (SELECT json_agg(json_build_object('line_id', i.order_line_id, 'quantity', i.quantity)
                ORDER BY i.order_line_id) FROM parcel_lines i WHERE i.parcel_id = r.id),
            'events', (SELECT coalesce(json_agg(json_build_object('at', v.at, 'text', v.text,
                'place', v.place) ORDER BY v.id), '[]') FROM parcel_events v WHERE v.parcel_id = r.id)
            ) ORDER BY r.id), '[]')
        FROM parcels r WHERE r.store_id = o.store_id AND r.order_id = o.id) AS parcels
) whole
"""

# A pending order is not an order yet: only its own checkout knows of it.
_OF_BUYER: Final = (
    ORDER
    + """
WHERE o.store_id = $1 AND o.id = $2 AND o.status <> 'pending'
  AND (o.customer_id = $3::bigint OR o.checkout_token = $4::text)
"""
)
_BY_ID: Final = text(ORDER + "WHERE o.store_id = :store_id AND o.id = :id")


async def get_order(
    reads: Reads, store_id: int, order_id: int, *, customer_id: int | None, checkout_token: str | None
) -> OrderView:
    """The placed order of a customer, or of whoever holds its checkout's token. Raises NotFound.

    A missing customer or token (None) matches nothing: no customer never equals no customer.
    """
    found: str | None = await reads.fetchval(_OF_BUYER, store_id, order_id, customer_id, checkout_token)
    if found is None:
        raise order_not_found()
    return msgspec.json.decode(found, type=OrderView)


_BUYERS: Final = text(
    """
    SELECT id FROM orders WHERE store_id = :store_id AND id = :id AND status <> 'pending'
      AND (customer_id = CAST(:customer_id AS bigint) OR checkout_token = CAST(:checkout_token AS text))
    """
)


async def check_buyer(
    session: AsyncSession,
    store_id: int,
    order_id: int,
    *,
    customer_id: int | None,
    checkout_token: str | None,
) -> None:
    """Raise NotFound unless the placed order is the customer's, or of whoever holds its checkout's token."""
    values = {
        "store_id": store_id,
        "id": order_id,
        "customer_id": customer_id,
        "checkout_token": checkout_token,
    }
    if (await session.execute(_BUYERS, values)).first() is None:
        raise order_not_found()


async def find_order_id(session: AsyncSession, store_id: int, number: int) -> int | None:
    """The placed order of a number, as staff name it."""
    found: int | None = (
        await session.execute(
            text("SELECT id FROM orders WHERE store_id = :store_id AND number = :number"),
            {"store_id": store_id, "number": number},
        )
    ).scalar()
    return found


OrderBy = Literal["id", "paid_at", "created_at", "payment_status", "total_price"]
_ORDER_COLUMNS: Final[dict[OrderBy, str]] = {
    "id": "id",
    "paid_at": "paid_at",
    "created_at": "created_at",
    "payment_status": "payment_status",
    "total_price": "total",
}
_OF_CUSTOMER: Final = "o.store_id = $1 AND o.customer_id = $2::bigint AND o.status <> 'pending'"


async def list_orders(
    reads: Reads,
    store_id: int,
    *,
    customer_id: int,
    paging: PageRequest,
    order_by: OrderBy,
    descending: bool,
) -> Page[OrderView]:
    """A customer's placed orders; what was not paid yet comes last either way."""
    way = "DESC" if descending else "ASC"
    order = f"o.{_ORDER_COLUMNS[order_by]} {way} NULLS LAST, o.id {way}"
    rows = await reads.fetch(
        f"{ORDER} WHERE {_OF_CUSTOMER} ORDER BY {order} LIMIT $3 OFFSET $4",
        store_id,
        customer_id,
        paging.size,
        paging.skip,
    )
    total: int = await reads.fetchval(
        f"SELECT count(*) FROM orders o WHERE {_OF_CUSTOMER}",  # noqa: S608 - our own words
        store_id,
        customer_id,
    )
    return Page([msgspec.json.decode(row[0], type=OrderView) for row in rows], total)


async def load_order(session: AsyncSession, store_id: int, order_id: int) -> OrderView:
    """An order by its id alone, for jobs and for links that were checked. Raises NotFound."""
    found: str | None = (await session.execute(_BY_ID, {"store_id": store_id, "id": order_id})).scalar()
    if found is None:
        raise order_not_found()
    return msgspec.json.decode(found, type=OrderView)
