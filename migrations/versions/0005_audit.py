"""The audit views: what stock, money and jobs come to, for the doctor, for operators and for tests."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# name: (what a row is, the query). Columns are a promise to those who read them: more may be added at
# the end, none is taken away. Money is in minor units.
# read_only: PostgreSQL writes through a view of one table by itself. Joined with nothing at all, which its
# planner drops again, a view is no longer such a one: INSERT, UPDATE and DELETE fail, also where no row is met.
VIEWS = {
    "stock": (
        "A variant's units: put in stock (corrections by sign), sold less returned, and what that leaves.",
        """
        SELECT s.variant_id,
            coalesce(m.stocked, 0) AS stocked,
            coalesce(m.sold_net, 0) AS sold_net,
            s.on_hand,
            s.reserved
        FROM stock_items s
        LEFT JOIN (
            SELECT store_id, variant_id,
                sum(delta) FILTER (WHERE kind = 'stocked') AS stocked,
                -sum(delta) FILTER (WHERE kind IN ('sold', 'returned')) AS sold_net
            FROM stock_movements GROUP BY store_id, variant_id
        ) m ON m.store_id = s.store_id AND m.variant_id = s.variant_id
        """,
    ),
    "reservations": (
        "Units that a checkout holds, sold or gave back. checkout_ref is its token: it opens the checkout.",
        """
        SELECT r.variant_id, c.token AS checkout_ref, r.quantity AS qty, r.state, r.expires_at
        FROM reservations r
        LEFT JOIN checkouts c ON c.store_id = r.store_id AND c.id = r.checkout_id
        """,
    ),
    "orders": (
        (
            "An order, pending ones too. total = lines + shipping + tax - discount: tax_minor is what tax adds "
            "to the prices, and so 0 where they include it."
        ),
        """
        SELECT o.id AS order_id, o.checkout_token AS checkout_ref, o.customer_id, o.status, o.currency,
            o.items_total AS lines_minor,
            o.shipping_total AS shipping_minor,
            CASE WHEN o.tax_included THEN 0 ELSE o.tax_total END AS tax_minor,
            o.discount_total AS discount_minor,
            o.total AS total_minor
        FROM orders o CROSS JOIN (SELECT) AS read_only
        """,
    ),
    "payments": (
        "One attempt to pay an order, and what was taken and given back by it.",
        """
        SELECT p.id AS payment_id, p.order_id, p.reference AS provider_ref, p.state, p.currency,
            p.captured AS captured_minor, p.refunded AS refunded_minor, p.created_at
        FROM payments p CROSS JOIN (SELECT) AS read_only
        """,
    ),
    "ledger": (
        "One side of a movement of money; each transaction sums to zero per currency.",
        """
        SELECT e.transaction_id AS txn_id, e.account, e.currency, e.amount AS amount_minor, e.order_id
        FROM ledger_entries e CROSS JOIN (SELECT) AS read_only
        """,
    ),
    # There are no coupons yet, and so no table to read; the columns stand so that readers can be written.
    "coupons": (
        "How often a customer used a coupon, and how often it may be used in all and by each.",
        """
        SELECT NULL::bigint AS coupon_id, NULL::text AS customer_ref, NULL::bigint AS uses,
            NULL::integer AS max_uses, NULL::integer AS max_per_customer
        WHERE false
        """,
    ),
    "jobs": (
        "Later work: queued, running, done, or parked after its last try.",
        "SELECT j.kind, j.dedupe_key, j.state, j.tries, j.created_at FROM jobs j CROSS JOIN (SELECT) AS read_only",
    ),
}


def upgrade() -> None:
    op.execute("CREATE SCHEMA audit")
    op.execute("COMMENT ON SCHEMA audit IS 'Read-only views of what stock, money and jobs come to.'")
    for name, (meaning, query) in VIEWS.items():
        op.execute(f"CREATE VIEW audit.{name} AS {query}")
        op.execute(f"COMMENT ON VIEW audit.{name} IS '{meaning.replace(chr(39), chr(39) * 2)}'")


def downgrade() -> None:
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW audit.{name}")
    op.execute("DROP SCHEMA audit")
