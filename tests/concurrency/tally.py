"""What storms are made of and what they come to: calls in batches, and a store's figures in one row."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

from sqlalchemy import Row, text

from app.db.session import Sessions
from app.domain.stores.models import Store

T = TypeVar("T")

_TALLY = text(
    """
    SELECT (SELECT count(*) FROM orders WHERE store_id = :store AND status <> 'pending') AS orders,
        (SELECT count(DISTINCT number) FROM orders WHERE store_id = :store) AS numbers,
        s.on_hand, s.reserved,
        (SELECT coalesce(sum(delta), 0) FROM stock_movements WHERE variant_id = :variant) AS moved,
        (SELECT count(*) FROM payments WHERE store_id = :store) AS payments,
        (SELECT coalesce(sum(captured), 0) FROM payments WHERE store_id = :store) AS captured,
        (SELECT coalesce(sum(refunded), 0) FROM payments WHERE store_id = :store) AS refunded,
        (SELECT coalesce(sum(amount), 0) FROM ledger_entries
            WHERE store_id = :store AND account LIKE 'payments:%') AS booked
    FROM stock_items s WHERE s.variant_id = :variant
    """
)


async def in_batches(calls: Iterable[Awaitable[T]], size: int = 25) -> list[T]:
    """Make calls a few at a time."""
    calls = list(calls)
    return [
        answer
        for start in range(0, len(calls), size)
        for answer in await asyncio.gather(*calls[start : start + size])
    ]


async def tally(sessions: Sessions, store: Store, variant: int) -> Row[Any]:
    """The figures of a store that sells one variant."""
    async with sessions() as session:
        return (await session.execute(_TALLY, {"store": store.id, "variant": variant})).one()
