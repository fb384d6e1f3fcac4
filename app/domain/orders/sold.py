"""What was sold lately: units and money by variant and product, and what was bought together, of the last 90 days.

It is counted anew and never added up, so counting may run twice: after each order and cancellation for what stands in
it, and by the clock for what was sold 90 days ago, and so drops out.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.db.autocommit import run_statement
from app.db.queue import Job, Together
from app.db.retries import run_transaction
from app.db.session import Sessions
from app.db.statements import Statement, only_checked
from app.domain.catalogue.membership import sort_by_sales
from app.domain.orders.best_selling import BEST_SELLING_DAYS
from app.domain.orders.service import COUNT_SOLD

Handler = Callable[[Job], Awaitable[None]]
Clock = Callable[[], datetime]
SOLD_DAYS: Final = timedelta(days=BEST_SELLING_DAYS)
RECOUNT_SOLD: Final = "orders.recount_sold"
# Variants of one transaction, and transactions of one job; what is left then is the next job's.
PAGE: Final = 50
MOST_PAGES: Final = 100

_OF_ORDERS: Final = """
    SELECT DISTINCT v.id, v.product_id
    FROM order_lines l JOIN variants v ON v.store_id = l.store_id AND v.id = l.variant_id
    WHERE l.store_id = $1 AND l.order_id = ANY($2::bigint[]) ORDER BY v.id
"""
# A page of what was sold from $3 on, and not after $4.
_SOLD_BETWEEN: Final = """
    SELECT DISTINCT v.id, v.product_id
    FROM orders o
    JOIN order_lines l ON l.store_id = o.store_id AND l.order_id = o.id
    JOIN variants v ON v.store_id = l.store_id AND v.id = l.variant_id
    WHERE o.store_id = $1 AND v.id > $2 AND o.status IN ('open', 'completed')
      AND o.placed_at > $3 AND o.placed_at <= $4
    ORDER BY v.id LIMIT $5
"""
# Where nobody knows since when nothing was counted, whatever counts as sold may be out of date.
_EVER_SOLD: Final = """
    SELECT v.id, v.product_id FROM variants v
    WHERE v.store_id = $1 AND v.id > $2 AND v.sold > 0 ORDER BY v.id LIMIT $3
"""

# Whoever counts has these rows to himself before he looks, and each statement sees what was committed before it began:
# of two workers the later one sees the orders and the sums of both.
_HOLD: Final = (
    Statement(
        "SELECT FROM variants WHERE store_id = :store_id AND id = ANY(CAST(:variant_ids AS bigint[]))"
        " ORDER BY id FOR NO KEY UPDATE"
    ),
    Statement(
        "SELECT FROM products WHERE store_id = :store_id AND id = ANY(CAST(:product_ids AS bigint[]))"
        " ORDER BY id FOR NO KEY UPDATE"
    ),
)
_COUNT: Final = (
    Statement(
        f"""
        UPDATE variants v SET (sold, sold_amount) = (
            SELECT coalesce(sum(l.quantity), 0), coalesce(sum(l.line_price - l.discount) FILTER (
                WHERE o.currency = (SELECT s.currency FROM stores s WHERE s.id = :store_id)
            ), 0)
            FROM order_lines l JOIN orders o ON o.id = l.order_id AND {only_checked("o.store_id")} = l.store_id
            WHERE l.store_id = v.store_id AND l.variant_id = v.id
              AND o.status IN ('open', 'completed') AND o.placed_at > :since
        )
        WHERE v.store_id = :store_id AND v.id = ANY(CAST(:variant_ids AS bigint[]))
        """  # noqa: S608 - words of our own
    ),
    Statement(
        """
        UPDATE products p SET sold = (
            SELECT coalesce(sum(v.sold), 0) FROM variants v
            WHERE v.store_id = p.store_id AND v.product_id = p.id
        )
        WHERE p.store_id = :store_id AND p.id = ANY(CAST(:product_ids AS bigint[]))
        """
    ),
    # Of what is bought all the time, the newest orders stand for all.
    Statement(
        f"""
        WITH touched AS (SELECT unnest(CAST(:product_ids AS bigint[])) AS id),
        counted AS (
            SELECT touched.id, other.product_id,
                row_number() OVER (PARTITION BY touched.id ORDER BY count(*) DESC, other.product_id) AS place
            FROM touched
            CROSS JOIN LATERAL (
                SELECT DISTINCT o.id FROM variants v
                JOIN order_lines l ON l.store_id = v.store_id AND l.variant_id = v.id
                JOIN orders o ON o.id = l.order_id AND {only_checked("o.store_id")} = l.store_id
                WHERE v.store_id = :store_id AND v.product_id = touched.id
                  AND o.status IN ('open', 'completed') AND o.placed_at > :since
                ORDER BY o.id DESC LIMIT 300
            ) o
            CROSS JOIN LATERAL (
                SELECT DISTINCT l.product_id FROM order_lines l
                WHERE {only_checked("l.store_id")} = :store_id AND l.order_id = o.id AND l.product_id <> touched.id
            ) other
            GROUP BY touched.id, other.product_id
        ),
        best AS (
            SELECT touched.id, coalesce(array_agg(counted.product_id ORDER BY counted.place)
                FILTER (WHERE counted.product_id IS NOT NULL), '{{}}') AS others
            FROM touched LEFT JOIN counted ON counted.id = touched.id AND counted.place <= 8
            GROUP BY touched.id
        )
        UPDATE products p SET bought_with = best.others FROM best
        WHERE p.store_id = :store_id AND p.id = best.id AND p.bought_with <> best.others
        """  # noqa: S608 - words of our own
    ),
)

# One for each store and span of the clock; it says up to when it counts, and from when on: what the last one said.
_PLAN: Final = """
    INSERT INTO jobs (store_id, kind, dedupe_key, payload, run_at)
    SELECT s.id, $1, concat(s.id, ':', $2::bigint), jsonb_build_object('until', $3::timestamptz, 'from', (
        SELECT max(CAST(j.payload->>'until' AS timestamptz)) FROM jobs j
        WHERE j.kind = $1 AND j.store_id = s.id AND j.state = 'done'
    )), $3
    FROM stores s
    WHERE EXISTS (SELECT 1 FROM variants v WHERE v.store_id = s.id AND v.sold > 0)
      AND NOT EXISTS (
        SELECT 1 FROM jobs j WHERE j.kind = $1 AND j.dedupe_key = concat(s.id, ':', $2::bigint)
      )
    ON CONFLICT (kind, dedupe_key) DO NOTHING
"""


def sold_jobs(*, sessions: Sessions, clock: Clock) -> dict[str, Handler | Together]:
    """The handlers of what is counted, by kind of job."""
    return {
        COUNT_SOLD: Together(partial(_count_orders, sessions=sessions, clock=clock)),
        RECOUNT_SOLD: partial(_recount, sessions=sessions, clock=clock),
    }


async def plan_recounts(sessions: Sessions, *, now: datetime, every: timedelta) -> None:
    """Queue what has to be counted by the clock, once in every span, however many workers say so."""
    await run_statement(sessions, _PLAN, RECOUNT_SOLD, int(now.timestamp() // every.total_seconds()), now)


async def _count_orders(jobs: Sequence[Job], *, sessions: Sessions, clock: Clock) -> None:
    by_store = attrgetter("store_id")
    for store_id, of_store in groupby(sorted(jobs, key=by_store), key=by_store):
        order_ids = [job.payload["order_id"] for job in of_store]
        touched = await run_statement(sessions, _OF_ORDERS, store_id, order_ids)
        for begin in range(0, len(touched), PAGE):
            await _count(sessions, store_id, touched[begin : begin + PAGE], since=clock() - SOLD_DAYS)


async def _recount(job: Job, *, sessions: Sessions, clock: Clock) -> None:
    """Count what has had sales that turned 90 days old since the last time."""
    until = datetime.fromisoformat(job.payload["until"])
    since = job.payload["from"]
    after = job.payload.get("after", 0)
    for _ in range(MOST_PAGES):
        if since is None:
            page = await run_statement(sessions, _EVER_SOLD, job.store_id, after, PAGE)
        else:
            span = (datetime.fromisoformat(since) - SOLD_DAYS, until - SOLD_DAYS)
            page = await run_statement(sessions, _SOLD_BETWEEN, job.store_id, after, *span, PAGE)
        if not page:
            return
        await _count(sessions, job.store_id, page, since=clock() - SOLD_DAYS)
        after = page[-1]["id"]

    async def go_on(session: AsyncSession) -> None:
        await queue.enqueue(
            session,
            store_id=job.store_id,
            kind=RECOUNT_SOLD,
            dedupe_key=f"{job.store_id}:{until.isoformat()}:{after}",
            payload={**job.payload, "after": after},
            run_at=clock(),
        )

    await run_transaction(sessions, go_on, repeatable=True)


async def _count(
    sessions: Sessions, store_id: int, touched: Sequence[asyncpg.Record], *, since: datetime
) -> None:
    values: dict[str, Any] = {
        "store_id": store_id,
        "variant_ids": [row["id"] for row in touched],
        "product_ids": sorted({row["product_id"] for row in touched}),
        "since": since,
    }

    async def count(session: AsyncSession) -> None:
        for statement in (*_HOLD, *_COUNT):
            await statement.rows(session, **values)
        await sort_by_sales(session, store_id, values["product_ids"])

    await run_transaction(sessions, count, repeatable=True)
