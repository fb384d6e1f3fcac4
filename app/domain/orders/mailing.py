"""What a mail about an order is written from: the order, its buyer's language, and a link that opens it once."""

from datetime import datetime
from typing import Final

import msgspec

from app.db.autocommit import run_statement
from app.db.session import Sessions
from app.domain.orders.errors import order_not_found
from app.domain.orders.queries import ORDER, OrderView
from app.kit.ids import digest
from app.kit.places import NOBODYS_DOMAIN

# The language of a guest is not known: then it is null.
_TO_MAIL: Final = f"""
WITH link AS (
    INSERT INTO order_links (digest, store_id, order_id, expires_at)
    SELECT $3, o.store_id, o.id, $4 FROM orders o
    WHERE o.store_id = $1 AND o.id = $2 AND o.email NOT LIKE '%@{NOBODYS_DOMAIN}'
    ON CONFLICT DO NOTHING
)
SELECT ({ORDER} WHERE o.store_id = $1 AND o.id = $2),
    (SELECT c.language FROM customers c WHERE c.store_id = b.store_id AND c.id = b.customer_id)
FROM orders b WHERE b.store_id = $1 AND b.id = $2
"""  # noqa: S608 - our own words; every value is a parameter


async def read_to_mail(
    sessions: Sessions, store_id: int, order_id: int, *, secret: str, until: datetime
) -> tuple[OrderView, str | None] | None:
    """The order and its buyer's language, the secret kept as what opens it until then; only its digest is kept.

    None where the buyer has closed the account since: nobody is written to. Raises NotFound order_not_found.
    """
    rows = await run_statement(sessions, _TO_MAIL, store_id, order_id, digest(secret), until)
    if not rows:
        raise order_not_found()
    found, language = rows[0]
    order = msgspec.json.decode(found, type=OrderView)
    return None if order.email.endswith(f"@{NOBODYS_DOMAIN}") else (order, language)
