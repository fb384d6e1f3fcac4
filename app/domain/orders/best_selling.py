"""What sells best: units and money by variant, from the lines of orders that were placed and not cancelled."""
# ruff: noqa: S608 - the statement is put together from fixed pieces; every value is a parameter

from datetime import datetime, timedelta
from typing import Final

from app.db.reads import Reads
from app.domain.catalogue.pieces import variant_item

BEST_SELLING_DAYS: Final = 90
MOST_BEST_SELLING: Final = 50

_LIST: Final = f"""
SELECT convert_to(concat('[', string_agg(concat(
    '{{"quantity":', page.quantity, ',"amount":', page.amount, ',"product_variant":', {variant_item(frozenset())}, '}}'
), ',' ORDER BY page.quantity DESC, page.amount DESC, page.id), ']'), 'UTF8')
FROM (
    SELECT l.variant_id AS id, sum(l.quantity) AS quantity, sum(l.line_price - l.discount) AS amount
    FROM orders o
    JOIN order_lines l ON l.order_id = o.id
    JOIN variants v ON v.store_id = $1 AND v.id = l.variant_id AND v.listed
    WHERE o.store_id = $1 AND o.placed_at >= $2 AND o.status IN ('open', 'completed')
    GROUP BY l.variant_id ORDER BY quantity DESC, amount DESC, l.variant_id LIMIT $3
) page
"""


async def list_best_selling(reads: Reads, store_id: int, *, now: datetime) -> bytes:
    """A JSON list of the 50 best-selling variants of the last 90 days; amounts in minor units, after discounts."""
    since = now - timedelta(days=BEST_SELLING_DAYS)
    found: bytes = await reads.fetchval(_LIST, store_id, since, MOST_BEST_SELLING)
    return found
