"""What must be true of every shop at every moment, and which rows say otherwise.

Each check is one statement, so that it sees one moment: what a shop does meanwhile is no breach. They
read the views of the schema `audit`, and the tables where these do not show enough. Nothing that opens
a door, and nobody's address, stands in what they say.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec

from app.db.audit_checks import CHECKS

MOST_PER_CHECK: Final = 1000


class Breach(msgspec.Struct, frozen=True):
    """One row that breaks a rule: which rule, whose row (store_id None: no store's), and how."""

    check: str
    store_id: int | None
    subject: str
    detail: str


class Fetches(Protocol):
    """What the audit reads with: the pool of the reads, or one asyncpg connection and its snapshot."""

    async def fetch(self, sql: str, /, *args: Any) -> Sequence[Mapping[str, Any]]: ...


_FRAME: Final = """
    WITH asked (now, store_id) AS (SELECT $1::timestamptz, $2::bigint),
    breaches (store_id, subject, detail) AS ({check})
    SELECT b.store_id, b.subject, b.detail FROM breaches b CROSS JOIN asked
    WHERE asked.store_id IS NULL OR b.store_id IS NULL OR b.store_id = asked.store_id
    ORDER BY b.store_id, b.subject, b.detail LIMIT $3::integer
"""


# How much the checks look at, by names for people.
AMOUNTS: Final = """
    SELECT (SELECT count(*) FROM stores) AS stores,
        (SELECT count(*) FROM audit.stock) AS "stock items",
        (SELECT count(*) FROM audit.orders) AS orders,
        (SELECT count(*) FROM audit.payments) AS payments,
        (SELECT count(DISTINCT txn_id) FROM audit.ledger) AS "ledger transactions",
        (SELECT count(*) FROM audit.reservations) AS reservations,
        (SELECT count(*) FROM audit.jobs) AS jobs
"""


async def run_audit(reads: Fetches, now: datetime, *, store_id: int | None = None) -> list[Breach]:
    """Every breach, of one store or of all, at most a thousand per check; empty where all is well.

    `now` is what overdue is measured by.
    """
    return [breach for name in CHECKS for breach in await run_check(reads, name, now, store_id=store_id)]


async def run_check(reads: Fetches, name: str, now: datetime, *, store_id: int | None = None) -> list[Breach]:
    """The breaches that one check finds, as run_audit."""
    rows = await reads.fetch(_FRAME.format(check=CHECKS[name]), now, store_id, MOST_PER_CHECK)
    return [Breach(name, row["store_id"], row["subject"], row["detail"]) for row in rows]
