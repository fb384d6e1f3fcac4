"""What sells best: units and money by variant, from the lines of orders that were placed and not cancelled.

A shop with few orders is counted anew with every call, and so up to date to the order. Where there are more, the
variants have it, as the worker has counted after each order (jobs.py): then no line is read.
"""
# ruff: noqa: S608 - the statement is put together from fixed pieces; every value is a parameter

from datetime import datetime, timedelta
from typing import Final

from app.db.reads import Reads
from app.domain.catalogue.pieces import variant_item

BEST_SELLING_DAYS: Final = 90
MOST_BEST_SELLING: Final = 50
# More orders than these are not counted by the call.
MOST_COUNTED: Final = 100

_PLACED: Final = "o.store_id = $1 AND o.placed_at >= $2 AND o.status IN ('open', 'completed')"
# The order of `placed` and OFFSET in the look-up of lines have indexes read, however many orders PostgreSQL expects;
# OFFSET behind the counting has it look up of the best alone whether they are on sale.
_LIST: Final = f"""
WITH placed AS MATERIALIZED (
    SELECT o.id, o.currency FROM orders o WHERE {_PLACED} ORDER BY o.placed_at DESC LIMIT {MOST_COUNTED + 1}
),
best AS (
    (
        SELECT v.id, v.sold AS quantity, v.sold_amount AS amount FROM variants v
        WHERE v.store_id = $1 AND v.listed AND v.sold > 0 AND (SELECT count(*) FROM placed) > {MOST_COUNTED}
        ORDER BY v.sold DESC, v.id DESC LIMIT $3
    )
    UNION ALL
    (
        SELECT c.variant_id, c.quantity, c.amount
        FROM (
            SELECT l.variant_id, sum(l.quantity) AS quantity, coalesce(sum(l.line_price - l.discount) FILTER (
                WHERE placed.currency = (SELECT s.currency FROM stores s WHERE s.id = $1)
            ), 0) AS amount
            FROM placed CROSS JOIN LATERAL (
                SELECT * FROM order_lines l WHERE l.order_id = placed.id OFFSET 0
            ) l
            WHERE (SELECT count(*) FROM placed) <= {MOST_COUNTED}
            GROUP BY l.variant_id ORDER BY 2 DESC, 3 DESC, 1 OFFSET 0
        ) c
        WHERE (SELECT v.listed FROM variants v WHERE v.store_id = $1 AND v.id = c.variant_id) LIMIT $3
    )
)
SELECT convert_to(concat('[', string_agg(concat(
    '{{"quantity":', page.quantity, ',"amount":', page.amount, ',"product_variant":', {variant_item(frozenset())}, '}}'
), ',' ORDER BY page.quantity DESC, page.amount DESC, page.id), ']'), 'UTF8')
FROM best page
"""


async def list_best_selling(reads: Reads, store_id: int, *, now: datetime) -> bytes:
    """A JSON list of the 50 best-selling variants of the last 90 days; amounts in minor units, after discounts, of what
    was sold in the store's own currency.
    """
    since = now - timedelta(days=BEST_SELLING_DAYS)
    found: bytes = await reads.fetchval(_LIST, store_id, since, MOST_BEST_SELLING)
    return found
