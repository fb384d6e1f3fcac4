"""What was sold lately: sales count for 90 days, and drop out by the clock, once, wherever they stand."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.db import queue
from app.db.session import transaction
from app.domain.catalogue.arranging import CollectionDraft, apply_collection
from app.domain.orders import sold
from app.domain.orders.service import COUNT_SOLD
from app.domain.orders.sold import plan_recounts, sold_jobs
from app.kit.clock import utc_now
from app.worker import work_once
from tests.shop import add_variant, waiting_for_locks

DAY = timedelta(days=1)

_ORDER = text(
    """
    WITH sale AS (
        INSERT INTO orders (store_id, checkout_id, checkout_token, number, name, email, status, currency,
            tax_included, items_total, discount_total, shipping_total, tax_total, total, placed_at)
        SELECT s.id, n, concat(s.id, '-', n), n, concat('#', n), 'a@example.com', 'open', 'USD', false, 0, 0, 0, 0, 0, :at
        FROM stores s, LATERAL (SELECT count(*) + 1 FROM orders o WHERE o.store_id = s.id) AS next (n)
        WHERE s.id = :store
        RETURNING id, store_id
    )
    INSERT INTO order_lines (store_id, order_id, position, variant_id, product_id, title, variant_title, quantity,
        price, line_price, discount, tax, tax_rate, grams, requires_shipping)
    SELECT sale.store_id, sale.id, 1, v.id, v.product_id, '', '', 2, 500, 1000, 0, 0, 0, 0, true
    FROM sale, variants v WHERE v.id = ANY(CAST(:variants AS bigint[]))
    RETURNING order_id
    """
)


class Clock:
    """Stands where it was put, in the past, so that what it queues is due."""

    def __init__(self) -> None:
        self.begin = utc_now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - 200 * DAY
        self.now = self.begin

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def counted(sessions, store, clock, monkeypatch):
    """Counts at so many days after the clock's beginning; which variants that was done for."""
    looked_at = []
    real = sold._count

    async def count(sessions, store_id, touched, *, since):
        looked_at.extend(row["id"] for row in touched if store_id == store.id)
        await real(sessions, store_id, touched, since=since)

    monkeypatch.setattr(sold, "_count", count)
    handlers = sold_jobs(sessions=sessions, clock=clock)

    async def run(days: float, *, plan: bool = True) -> list[int]:
        looked_at.clear()
        clock.now = clock.begin + days * DAY
        if plan:
            await plan_recounts(sessions, now=clock.now, every=DAY)
        while await work_once(sessions, handlers):
            pass
        return sorted(looked_at)

    return run


async def sell(sessions, store, variants, at) -> None:
    async with transaction(sessions) as session:
        order_id = await session.scalar(_ORDER, {"store": store.id, "variants": variants, "at": at})
        await queue.enqueue(
            session,
            store_id=store.id,
            kind=COUNT_SOLD,
            dedupe_key=f"order-{order_id}",
            payload={"order_id": order_id},
            run_at=utc_now(),
        )


async def figures(sessions, store) -> list[tuple[int, int, int, int]]:
    async with sessions() as session:
        found = await session.execute(
            text(
                "SELECT v.sold, v.sold_amount, p.sold, cardinality(p.bought_with) FROM variants v "
                "JOIN products p ON p.id = v.product_id WHERE v.store_id = :store ORDER BY v.id"
            ),
            {"store": store.id},
        )
        return [tuple(row) for row in found]


async def test_a_sale_drops_out_when_it_turns_90_days_old_and_nothing_else_is_counted(
    sessions, store, clock, counted, monkeypatch
):
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM jobs"))
    early, late, together, ever = [await add_variant(sessions, store) for _ in range(4)]
    await sell(sessions, store, [early], clock.begin - 89 * DAY)
    await sell(sessions, store, [late, together], clock.begin - 80 * DAY)
    await sell(sessions, store, [ever], clock.begin - DAY)
    assert await counted(0, plan=False) == [early, late, together, ever]
    lately, gone = (2, 1000, 2, 0), (0, 0, 0, 0)
    with_each_other = (2, 1000, 2, 1)
    assert await figures(sessions, store) == [lately, with_each_other, with_each_other, lately]

    assert await counted(0) == [early, late, together, ever], "nobody knows of an earlier time"
    assert await counted(0.9) == [], "once in a day"
    assert await counted(2) == [early]
    assert await figures(sessions, store) == [gone, with_each_other, with_each_other, lately]
    assert await counted(3) == []
    # Days without a worker are made up for; what is too much for one job is left to the next.
    monkeypatch.setattr(sold, "PAGE", 1)
    monkeypatch.setattr(sold, "MOST_PAGES", 1)
    assert await counted(20) == [late, together]
    assert await figures(sessions, store) == [gone, gone, gone, lately]
    assert await counted(21) == []


async def test_a_collection_in_the_order_of_sales_follows_each_count(sessions, store, clock, counted):
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM jobs"))
    first, second = [await add_variant(sessions, store) for _ in range(2)]
    async with transaction(sessions) as session:
        handles = await session.scalars(
            text("SELECT handle FROM products WHERE store_id = :store ORDER BY id"), {"store": store.id}
        )
        draft = CollectionDraft("sellers", "Sellers", sort_order="best_selling", products=tuple(handles))
        await apply_collection(session, store.id, draft, now=utc_now())

    async def shown() -> list[int]:
        asked = """
            SELECT v.id FROM collection_products m JOIN variants v ON v.product_id = m.product_id
            WHERE m.store_id = :store ORDER BY m.position, m.sort_text, m.product_id
        """
        async with sessions() as session:
            return list(await session.scalars(text(asked), {"store": store.id}))

    assert await shown() == [first, second]
    await sell(sessions, store, [second], clock.begin - 89 * DAY)
    await counted(0)
    assert await shown() == [second, first]
    await sell(sessions, store, [first], clock.begin)
    await counted(2)
    assert await shown() == [first, second], "what was sold 90 days ago has dropped out"


async def test_who_had_to_wait_for_another_counts_what_was_committed_meanwhile(
    sessions, store, clock, counted
):
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM jobs"))
    first, second = [await add_variant(sessions, store) for _ in range(2)]
    async with transaction(sessions) as session:
        await session.execute(
            text(
                "UPDATE variants SET product_id = (SELECT product_id FROM variants WHERE id = :a) WHERE id = :b"
            ),
            {"a": first, "b": second},
        )
    at = clock.begin - DAY
    product = "products WHERE id = (SELECT product_id FROM variants WHERE id = :first)"
    for held, ones, others in (("variants WHERE id = :first", 4, 2), (product, 8, 4)):
        await sell(sessions, store, [first], at)
        async with sessions() as other:
            await other.execute(text(f"SELECT FROM {held} FOR NO KEY UPDATE"), {"first": first})
            counting = asyncio.create_task(counted(0, plan=False))
            await waiting_for_locks(sessions, 1)
            # As a worker leaves it that took the other job.
            await sell(sessions, store, [first], at)
            await other.execute(text("UPDATE variants SET sold = sold + 2 WHERE id = :b"), {"b": second})
            async with transaction(sessions) as session:
                await session.execute(text("DELETE FROM jobs WHERE state = 'queued'"))
            await other.commit()
            await counting
        rows = await figures(sessions, store)
        assert [row[0] for row in rows] == [ones, others]
        assert {row[2] for row in rows} == {ones + others}
