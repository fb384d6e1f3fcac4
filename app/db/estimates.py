"""Which tables PostgreSQL is to look at anew: those that hold several times as many rows as it believes.

A plan is kept for as long as its connection's statement, and it is as good as what was known of its tables when it was
made. Of a table that was empty then nothing is known, not even that all of its rows are of one store: any index that
begins with the store looks as good as the key, and each order would look through all orders. Autovacuum ends that
within minutes; a shop that opens to a crowd has thousands of orders by then. ANALYZE throws away the plans that stand
on a table, everywhere, so it is called for growth and never for mere change: a dozen times on the way to LAST_ROWS.
"""

from typing import Final

from app.db.autocommit import run_statement
from app.db.session import Sessions

# Believed to have none, it is looked at with so many rows, and again each time that it has so many times more.
FIRST_ROWS: Final = 20
TIMES: Final = 2
# What is larger is known well enough: one index that finds a row is told from one that finds all of them.
LAST_ROWS: Final = 50_000

_GROWN: Final = f"""
    SELECT format('%I.%I', n.nspname, c.relname) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind = 'r'
      AND pg_stat_get_live_tuples(c.oid) BETWEEN {FIRST_ROWS} + {TIMES} * greatest(c.reltuples, 0) AND {LAST_ROWS}
    ORDER BY c.oid
"""  # noqa: S608 - our own numbers


async def look_at_grown(sessions: Sessions) -> list[str]:
    """Have what has grown counted anew, so that nobody goes on with a plan for a small table; their names.

    Waits for nobody: a table that is being looked at, or changed in its shape, has its turn next time. A role that
    does not own the tables is warned by PostgreSQL and changes nothing.
    """
    grown = [row["name"] for row in await run_statement(sessions, _GROWN)]
    if grown:
        await run_statement(sessions, f"ANALYZE (SKIP_LOCKED) {', '.join(grown)}")
    return grown
