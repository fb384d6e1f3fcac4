"""How an order gets its place: the database has the last word on whether it is still to have one."""

import pytest
from sqlalchemy import text

from app.db.session import transaction
from app.db.statements import row_of
from app.domain.orders.models import Order
from app.domain.orders.writing import place_order
from app.kit.clock import utc_now

_OPEN = text(
    """
    INSERT INTO orders (store_id, checkout_id, checkout_token, number, name, email, status, currency, tax_included,
        items_total, discount_total, shipping_total, tax_total, total, placed_at)
    VALUES (:store_id, 1, 'token', 7, '#7', 'a@example.com', 'open', 'USD', false, 0, 0, 0, 0, 0, :now)
    RETURNING *
    """
)
_STANDS = text(
    "SELECT number, (SELECT count(*) FROM order_events e WHERE e.order_id = o.id) FROM orders o WHERE id = :id"
)


async def test_an_order_that_has_its_place_is_not_placed_again_by_whoever_looked_before(sessions, store):
    now = utc_now()
    async with transaction(sessions) as session:
        row = (await session.execute(_OPEN, {"store_id": store.id, "now": now})).mappings().one()
    order = row_of(Order, dict(row))
    async with sessions() as session:
        assert not await place_order(session, order, prefix="#", paid=(), now=now)
    looked_before = row_of(Order, {**row, "status": "pending"})
    with pytest.raises(ValueError, match="not enough values"):
        async with transaction(sessions) as session:
            await place_order(session, looked_before, prefix="#", paid=(), now=now)
    async with sessions() as session:
        assert tuple((await session.execute(_STANDS, {"id": row["id"]})).one()) == (7, 0)
