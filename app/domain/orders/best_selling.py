"""What sells best: units and money by variant, from the lines of orders that were placed and not cancelled.

A shop with few orders is counted anew with every call. Where many lines have to be counted the answer is kept for a
minute by the process that has counted: such a list changes slowly.
"""
# ruff: noqa: S608 - the statement is put together from fixed pieces; every value is a parameter

from datetime import datetime, timedelta
from typing import Final

from app.db.reads import Reads
from app.domain.catalogue.pieces import variant_item
from app.kit.aging import Aging

BEST_SELLING_DAYS: Final = 90
MOST_BEST_SELLING: Final = 50
# With more lines than these the answer is kept.
MOST_COUNTED: Final = 5_000
FRESH_SECONDS: Final = 60.0
MOST_STORES: Final = 200

# Only of the best is looked up whether they are on sale: OFFSET keeps that apart from the counting.
_LIST: Final = f"""
WITH counted AS MATERIALIZED (
    SELECT l.variant_id, sum(l.quantity) AS quantity, sum(l.line_price - l.discount) AS amount, count(*) AS lines
    FROM orders o
    JOIN order_lines l ON l.order_id = o.id
    WHERE o.store_id = $1 AND o.placed_at >= $2 AND o.status IN ('open', 'completed')
    GROUP BY l.variant_id
)
SELECT convert_to(concat('[', string_agg(concat(
    '{{"quantity":', page.quantity, ',"amount":', page.amount, ',"product_variant":', {variant_item(frozenset())}, '}}'
), ',' ORDER BY page.quantity DESC, page.amount DESC, page.id), ']'), 'UTF8') AS answer,
    (SELECT coalesce(sum(lines), 0) FROM counted) AS lines
FROM (
    SELECT c.variant_id AS id, c.quantity, c.amount
    FROM (SELECT * FROM counted ORDER BY quantity DESC, amount DESC, variant_id OFFSET 0) c
    WHERE (SELECT v.listed FROM variants v WHERE v.store_id = $1 AND v.id = c.variant_id) LIMIT $3
) page
"""

BestSellers = Aging[bytes]


def best_sellers() -> BestSellers:
    """An empty store of counted answers, one for each process."""
    return Aging(seconds=FRESH_SECONDS, most=MOST_STORES)


async def list_best_selling(reads: Reads, store_id: int, kept: BestSellers, *, now: datetime) -> bytes:
    """A JSON list of the 50 best-selling variants of the last 90 days; amounts in minor units, after discounts.

    Up to a minute old where very much was sold.
    """
    known = kept.find(store_id)
    if known is not None:
        return known
    since = now - timedelta(days=BEST_SELLING_DAYS)
    row = await reads.fetchrow(_LIST, store_id, since, MOST_BEST_SELLING)
    assert row is not None
    answer: bytes = row["answer"]
    if row["lines"] > MOST_COUNTED:
        kept.keep(store_id, answer)
    else:
        kept.forget(store_id)
    return answer
