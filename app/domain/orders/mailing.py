"""What a mail about an order is written from: the order, its buyer's language, and a link that opens it once."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

import msgspec

from app.db.autocommit import run_statement
from app.db.session import Sessions
from app.db.side_by_side import SideBySide
from app.domain.orders.errors import order_not_found
from app.domain.orders.queries import ORDER, OrderView
from app.kit.ids import digest
from app.kit.places import NOBODYS_DOMAIN

# The language of a guest is not known: then it is null.
_TO_MAIL: Final = f"""
WITH wanted AS MATERIALIZED (
    SELECT w.*, b.customer_id, b.email
    FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::timestamptz[])
        WITH ORDINALITY AS w (store_id, order_id, digest, until, place)
    JOIN orders b ON b.store_id = w.store_id AND b.id = w.order_id
),
link AS (
    INSERT INTO order_links (digest, store_id, order_id, expires_at)
    SELECT digest, store_id, order_id, until FROM wanted WHERE email NOT LIKE '%@{NOBODYS_DOMAIN}'
    ON CONFLICT DO NOTHING
)
SELECT place, ({ORDER} WHERE o.store_id = w.store_id AND o.id = w.order_id),
    (SELECT c.language FROM customers c WHERE c.store_id = w.store_id AND c.id = w.customer_id)
FROM wanted w
"""  # noqa: S608 - our own words; every value is a parameter


class ToMail(NamedTuple):
    """An order that is wanted for a mail, and the secret that opens it until then; only its digest is kept."""

    store_id: int
    order_id: int
    secret: str
    until: datetime


class Found(NamedTuple):
    """The order, and its buyer's language where that is known."""

    order: OrderView
    language: str | None


async def read_to_mail(sessions: Sessions, wanted: Sequence[ToMail]) -> list[Found | None]:
    """The orders in the order in which they are wanted, None for one that there is not."""
    rows = await run_statement(
        sessions,
        _TO_MAIL,
        [one.store_id for one in wanted],
        [one.order_id for one in wanted],
        [digest(one.secret) for one in wanted],
        [one.until for one in wanted],
    )
    found: list[Found | None] = [None] * len(wanted)
    for place, order, language in rows:
        found[place - 1] = Found(msgspec.json.decode(order, type=OrderView), language)
    return found


def mail_reader(sessions: Sessions) -> Callable[[ToMail], Awaitable[Found | None]]:
    """Reads what one mail is written from, for mails that are written side by side in one statement.

    None where the buyer has closed the account since: nobody is written to. Raises NotFound order_not_found.
    """
    read = SideBySide(partial(read_to_mail, sessions))

    async def read_one(wanted: ToMail) -> Found | None:
        found = await read(wanted)
        if found is None:
            raise order_not_found()
        return None if found.order.email.endswith(f"@{NOBODYS_DOMAIN}") else found

    return read_one
