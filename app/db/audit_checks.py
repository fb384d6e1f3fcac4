"""The checks of the audit: for each rule the statement that finds what breaks it.

A check answers (store_id, subject, detail) and may ask `asked` for the time. The guards behind most of
these rules are constraints; the checks hold also where somebody wrote around them, or took one away.
"""

from typing import Final

_STOCK: Final = {
    "stock_below_floor": """
        SELECT s.store_id, 'variant ' || s.variant_id,
            format('%s on hand, and its floor is %s', s.on_hand, s.floor)
        FROM stock_items s WHERE s.on_hand < s.floor
    """,
    "reserved_below_zero": """
        SELECT s.store_id, 'variant ' || s.variant_id, format('%s reserved', s.reserved)
        FROM stock_items s WHERE s.reserved < 0
    """,
    "reserved_not_held": """
        SELECT coalesce(s.store_id, h.store_id), 'variant ' || coalesce(s.variant_id, h.variant_id),
            format('%s reserved, and checkouts hold %s', coalesce(s.reserved, 0), coalesce(h.held, 0))
        FROM stock_items s
        FULL JOIN (
            SELECT store_id, variant_id, sum(quantity) AS held
            FROM reservations WHERE state = 'held' GROUP BY store_id, variant_id
        ) h ON h.store_id = s.store_id AND h.variant_id = s.variant_id
        WHERE coalesce(s.reserved, 0) <> coalesce(h.held, 0)
    """,
    "stock_not_accounted": """
        SELECT s.store_id, 'variant ' || a.variant_id,
            format('%s on hand, and %s stocked less %s sold', a.on_hand, a.stocked, a.sold_net)
        FROM audit.stock a JOIN stock_items s ON s.variant_id = a.variant_id
        WHERE a.on_hand <> a.stocked - a.sold_net
    """,
    # The sweeper gets its moment. While a payment's outcome is not known its stock stays held, however
    # long that takes.
    "reservation_of_dead_checkout": """
        SELECT r.store_id, 'variant ' || r.variant_id,
            format('%s held for checkout %s until %s', r.quantity, r.checkout_id, r.expires_at)
        FROM reservations r CROSS JOIN asked
        WHERE r.state = 'held' AND r.expires_at < asked.now - interval '60 seconds'
          AND NOT EXISTS (
            SELECT 1 FROM checkouts c JOIN payments p ON p.checkout_id = c.id
            WHERE c.id = r.checkout_id AND c.state = 'paying'
              AND p.state IN ('started', 'action_needed', 'unknown')
          )
    """,
}

_ORDERS: Final = {
    "two_orders_of_one_checkout": """
        SELECT o.store_id, 'checkout ' || o.checkout_id,
            'orders ' || string_agg(o.id::text, ', ' ORDER BY o.id)
        FROM orders o WHERE o.status <> 'cancelled'
        GROUP BY o.store_id, o.checkout_id HAVING count(*) > 1
    """,
    "total_not_sum": """
        SELECT o.store_id, 'order ' || o.id,
            format('%s is not %s + %s + %s - %s', a.total_minor,
                a.lines_minor, a.shipping_minor, a.tax_minor, a.discount_minor)
        FROM audit.orders a JOIN orders o ON o.id = a.order_id
        WHERE a.total_minor <> a.lines_minor + a.shipping_minor + a.tax_minor - a.discount_minor
    """,
    "lines_not_sum": """
        SELECT o.store_id, 'order ' || o.id,
            format('%s less %s, and its lines are %s less %s', o.items_total, o.discount_total,
                coalesce(sum(l.line_price), 0), coalesce(sum(l.discount), 0))
        FROM orders o LEFT JOIN order_lines l ON l.order_id = o.id
        GROUP BY o.id
        HAVING (o.items_total, o.discount_total)
            <> (coalesce(sum(l.line_price), 0), coalesce(sum(l.discount), 0))
    """,
    "coupon_over_limit": """
        SELECT NULL::bigint, 'coupon ' || c.coupon_id,
            format('%s uses by one customer, of %s', c.uses, c.max_per_customer)
        FROM audit.coupons c WHERE c.uses > c.max_per_customer
        UNION ALL
        SELECT NULL::bigint, 'coupon ' || c.coupon_id, format('%s uses, of %s', sum(c.uses), c.max_uses)
        FROM audit.coupons c GROUP BY c.coupon_id, c.max_uses HAVING sum(c.uses) > c.max_uses
    """,
    # Its limits hold over all of its codes, and for one that comes without a code. One customer is an account
    # or a mail address.
    "promotion_over_limit": """
        SELECT p.store_id, 'promotion ' || p.id, format('%s uses, of %s', count(*), p.max_uses)
        FROM promotions p JOIN coupon_uses u ON u.promotion_id = p.id AND u.state <> 'returned'
        GROUP BY p.id HAVING count(*) > p.max_uses
        UNION ALL
        SELECT p.store_id, 'promotion ' || p.id,
            format('%s uses by customer %s, of %s', count(*), u.customer_id, p.max_per_customer)
        FROM promotions p JOIN coupon_uses u ON u.promotion_id = p.id AND u.state <> 'returned'
        WHERE u.customer_id IS NOT NULL
        GROUP BY p.id, u.customer_id HAVING count(*) > p.max_per_customer
        UNION ALL
        SELECT p.store_id, 'promotion ' || p.id,
            format('%s uses by one mail address, of %s', count(*), p.max_per_customer)
        FROM promotions p JOIN coupon_uses u ON u.promotion_id = p.id AND u.state <> 'returned'
        WHERE u.email_digest IS NOT NULL
        GROUP BY p.id, u.email_digest HAVING count(*) > p.max_per_customer
    """,
    "uses_not_counted": """
        SELECT p.store_id, 'promotion ' || p.id, format('%s uses counted, and %s made', p.uses, count(u.id))
        FROM promotions p LEFT JOIN coupon_uses u ON u.promotion_id = p.id AND u.state <> 'returned'
        GROUP BY p.id HAVING p.uses <> count(u.id)
        UNION ALL
        SELECT c.store_id, 'coupon ' || c.id, format('%s uses counted, and %s made', c.uses, count(u.id))
        FROM coupons c LEFT JOIN coupon_uses u ON u.coupon_id = c.id AND u.state <> 'returned'
        GROUP BY c.id HAVING c.uses <> count(u.id)
    """,
    "use_of_dead_checkout": """
        SELECT u.store_id, 'coupon use ' || u.id,
            format('%s, and checkout %s is %s', u.state, u.checkout_id, c.state)
        FROM coupon_uses u JOIN checkouts c ON c.store_id = u.store_id AND c.id = u.checkout_id
        WHERE (u.state = 'held' AND c.state <> 'paying') OR (u.state = 'used' AND c.state <> 'completed')
    """,
}

_MONEY: Final = {
    "paid_without_payment": """
        SELECT o.store_id, 'order ' || o.id,
            format('%s of %s %s, and %s captured', o.payment_status, o.total, o.currency,
                coalesce(p.captured, 0))
        FROM orders o
        LEFT JOIN (
            SELECT order_id, currency, sum(captured_minor) AS captured
            FROM audit.payments WHERE state = 'captured' GROUP BY 1, 2
        ) p ON p.order_id = o.id AND p.currency = o.currency
        WHERE o.payment_status IN ('paid', 'partially_refunded', 'refunded')
          AND p.captured IS DISTINCT FROM o.total
    """,
    # Whoever hears of a capture first settles it, which takes a moment. Late money is owed to its shopper whatever
    # became of the order. A second capture of a placed order is money without an order as well.
    "captured_without_order": """
        SELECT p.store_id, 'payment ' || p.id,
            format('%s %s captured and %s refunded, and order %s is %s', p.captured, p.currency,
                p.refunded, p.order_id, coalesce(o.status, 'missing'))
        FROM payments p CROSS JOIN asked LEFT JOIN orders o ON o.id = p.order_id
        WHERE p.captured > 0 AND p.updated_at < asked.now - interval '120 seconds'
          AND p.refunded < p.captured
          AND (p.state = 'late' OR coalesce(o.status, 'missing') IN ('missing', 'pending', 'cancelled'))
        UNION ALL
        SELECT o.store_id, 'order ' || o.id,
            format('%s %s captured and not refunded, of %s', sum(p.captured - p.refunded), o.currency,
                o.total)
        FROM orders o JOIN payments p ON p.order_id = o.id
        WHERE o.status IN ('open', 'completed') AND p.state <> 'late'
        GROUP BY o.id
        HAVING sum(p.captured - p.refunded) > o.total
           AND max(p.updated_at) < (SELECT now FROM asked) - interval '120 seconds'
    """,
    "refunded_over_captured": """
        SELECT p.store_id, 'payment ' || p.id, format('%s refunded of %s', p.refunded, p.captured)
        FROM payments p WHERE p.refunded > p.captured
    """,
    "refunds_not_sum": """
        SELECT p.store_id, 'payment ' || p.id,
            format('%s refunded, and its refunds come to %s', p.refunded, r.made)
        FROM payments p JOIN (
            SELECT payment_id, coalesce(sum(amount) FILTER (WHERE state = 'made'), 0) AS made
            FROM payment_refunds GROUP BY payment_id
        ) r ON r.payment_id = p.id
        WHERE r.made <> p.refunded
    """,
    # Its job waits for people. Until then nobody knows whether the money went back.
    "refund_unanswered": """
        SELECT r.store_id, 'refund order ' || r.id,
            format('%s %s by %s for order %s, wanted since %s, and nobody asks any more', r.amount, p.currency,
                p.service, coalesce(o.name, p.order_id::text), r.created_at)
        FROM refund_orders r
        JOIN jobs j ON j.kind = 'payments.make_refund' AND j.dedupe_key = 'refund-' || r.id
            AND j.state = 'parked'
        JOIN payments p ON p.id = r.payment_id LEFT JOIN orders o ON o.id = p.order_id
        WHERE r.state = 'wanted'
    """,
    "ledger_unbalanced": """
        SELECT t.store_id, 'ledger transaction ' || e.txn_id,
            format('sums to %s %s', sum(e.amount_minor), e.currency)
        FROM audit.ledger e JOIN ledger_transactions t ON t.id = e.txn_id
        GROUP BY t.store_id, e.txn_id, e.currency HAVING sum(e.amount_minor) <> 0
    """,
    "ledger_not_payments": """
        SELECT o.store_id, 'order ' || sums.order_id,
            format('%s %s in the ledger, and %s captured and not refunded',
                sums.booked, sums.currency, sums.taken)
        FROM (
            SELECT order_id, currency, sum(booked) AS booked, sum(taken) AS taken
            FROM (
                SELECT order_id, currency, amount_minor AS booked, 0 AS taken FROM audit.ledger
                WHERE account LIKE 'payments:%' AND order_id IS NOT NULL
                UNION ALL
                SELECT order_id, currency, 0, captured_minor - refunded_minor FROM audit.payments
            ) entries
            GROUP BY order_id, currency
        ) sums
        LEFT JOIN orders o ON o.id = sums.order_id
        WHERE sums.booked <> sums.taken
    """,
}

# (table, what its row is called, the service by which it pays)
_PREPAID_TABLES: Final = (
    ("gift_cards", "gift card", "gift_card"),
    ("store_credits", "store credit", "store_credit"),
)

# What a customer is owed for inviting others: a column to spend from, and the ledger's account of it.
_REFERRAL: Final = {
    "balance_not_ledger": """
        SELECT c.store_id, 'customer ' || c.id,
            format('%s on the balance, and %s in the ledger', c.referral_balance, coalesce(-booked.amount, 0))
        FROM customers c
        LEFT JOIN (
            SELECT store_id, account, sum(amount) AS amount FROM ledger_entries
            WHERE account LIKE 'referral:%' GROUP BY 1, 2
        ) booked ON booked.store_id = c.store_id AND booked.account = 'referral:' || c.id
        WHERE c.referral_balance <> coalesce(-booked.amount, 0)
    """,
    "withdrawals_not_ledger": """
        SELECT waiting.store_id, 'store ' || waiting.store_id,
            format('%s asked for and not decided or paid, and %s in the ledger', waiting.asked, waiting.booked)
        FROM (
            SELECT store_id, sum(asked) AS asked, sum(booked) AS booked
            FROM (
                SELECT store_id, amount AS asked, 0 AS booked FROM withdrawals
                WHERE status IN ('requested', 'approved')
                UNION ALL
                SELECT store_id, 0, -amount FROM ledger_entries WHERE account = 'withdrawals'
            ) entries
            GROUP BY store_id
        ) waiting
        WHERE waiting.asked <> waiting.booked
    """,
}

# Cards and credit are balances as well: a column to spend from, and the ledger's account of each. Beside them
# stands what open payments hold.
_PREPAID: Final = {
    "prepaid_below_zero": " UNION ALL ".join(
        f"""
        SELECT store_id, '{name} ' || id, format('%s on it, of which %s are held', balance, held)
        FROM {table} WHERE balance < 0 OR held < 0 OR held > balance
        """  # noqa: S608 - names of our own tables
        for table, name, _ in _PREPAID_TABLES
    ),
    "prepaid_not_ledger": " UNION ALL ".join(
        f"""
        SELECT s.store_id, '{name} ' || s.id,
            format('%s on it, and %s in the ledger', s.balance, coalesce(-booked.amount, 0))
        FROM {table} s
        LEFT JOIN (
            SELECT store_id, account, currency, sum(amount) AS amount FROM ledger_entries
            WHERE account LIKE 'payments:{kind}:%' GROUP BY 1, 2, 3
        ) booked ON booked.store_id = s.store_id AND booked.account = 'payments:{kind}:' || s.id
            AND booked.currency = s.currency
        WHERE s.balance <> coalesce(-booked.amount, 0)
        """  # noqa: S608 - as above
        for table, name, kind in _PREPAID_TABLES
    ),
    "prepaid_not_held": " UNION ALL ".join(
        f"""
        SELECT s.store_id, '{name} ' || s.id,
            format('%s held, and checkouts hold %s', s.held, coalesce(h.amount, 0))
        FROM {table} s
        LEFT JOIN (
            SELECT store_id, source_id, sum(amount) AS amount FROM balance_holds
            WHERE kind = '{kind}' GROUP BY 1, 2
        ) h ON h.store_id = s.store_id AND h.source_id = s.id
        WHERE s.held <> coalesce(h.amount, 0)
        """  # noqa: S608 - as above
        for table, name, kind in _PREPAID_TABLES
    ),
    "prepaid_held_for_nobody": """
        SELECT h.store_id, 'balance hold ' || h.id,
            format('%s of a %s, and checkout %s is %s', h.amount, h.kind, h.checkout_id, c.state)
        FROM balance_holds h JOIN checkouts c ON c.store_id = h.store_id AND c.id = h.checkout_id
        WHERE c.state <> 'paying'
    """,
}

# A parked job is not stuck: it has its reason, and waits for somebody.
_JOBS: Final = {
    "job_twice": """
        SELECT min(j.store_id), format('job %s %s', j.kind, j.dedupe_key), count(*) || ' rows'
        FROM jobs j GROUP BY j.kind, j.dedupe_key HAVING count(*) > 1
    """,
    "job_stuck": """
        SELECT j.store_id, format('job %s %s', j.kind, j.dedupe_key),
            CASE j.state
                WHEN 'queued' THEN format('due since %s, and nobody took it', j.run_at)
                ELSE format('taken, and its lease ended at %s', j.lease_until)
            END
        FROM jobs j CROSS JOIN asked
        WHERE (j.state = 'queued' AND j.run_at < asked.now - interval '5 minutes')
           OR (j.state = 'running' AND coalesce(j.lease_until, j.run_at) < asked.now - interval '5 minutes')
    """,
}


# Features know each other's rows by id only, mostly without foreign keys: (table, what its row is called,
# column, the parent's table).
_REFERENCES: Final = (
    ("orders", "order", "checkout_id", "checkouts"),
    ("payments", "payment", "order_id", "orders"),
    ("payments", "payment", "checkout_id", "checkouts"),
    ("payment_refunds", "refund", "payment_id", "payments"),
    ("payment_disputes", "dispute", "payment_id", "payments"),
    ("checkouts", "checkout", "order_id", "orders"),
    ("checkouts", "checkout", "cart_id", "carts"),
    ("reservations", "reservation", "checkout_id", "checkouts"),
    ("coupon_uses", "coupon use", "checkout_id", "checkouts"),
    ("balance_holds", "balance hold", "checkout_id", "checkouts"),
    ("checkouts", "checkout", "gift_card_id", "gift_cards"),
    ("stock_movements", "stock movement", "order_id", "orders"),
    ("order_lines", "order line", "order_id", "orders"),
    ("order_events", "order event", "order_id", "orders"),
    ("ledger_entries", "ledger entry", "transaction_id", "ledger_transactions"),
    ("ledger_entries", "ledger entry", "order_id", "orders"),
    ("referral_rewards", "referral reward", "order_id", "orders"),
    ("ledger_transactions", "ledger transaction", "order_id", "orders"),
)

_ORPHANS: Final = {
    "orphan": " UNION ALL ".join(
        [
            *(
                # A row of another store is no parent.
                f"""
                SELECT c.store_id, '{name} ' || c.id, 'without its {parent} row ' || c.{column}
                FROM {table} c
                WHERE c.{column} IS NOT NULL
                  AND NOT EXISTS (
                    SELECT 1 FROM {parent} p WHERE p.id = c.{column} AND p.store_id = c.store_id
                  )
                """  # noqa: S608 - names of our own tables
                for table, name, column, parent in _REFERENCES
            ),
            # A variant's stock ends with it and leaves movements behind that come to nothing.
            """
            SELECT m.store_id, 'variant ' || m.variant_id,
                format('movements of %s units, and no stock', sum(m.delta))
            FROM stock_movements m
            WHERE NOT EXISTS (
                SELECT 1 FROM stock_items s WHERE s.store_id = m.store_id AND s.variant_id = m.variant_id
            )
            GROUP BY m.store_id, m.variant_id HAVING sum(m.delta) <> 0
            """,
            """
            SELECT p.store_id, 'payment ' || p.id, format('of %s %s, which is missing', p.service, p.source_id)
            FROM payments p
            LEFT JOIN gift_cards g
                ON p.service = 'gift_card' AND g.store_id = p.store_id AND g.id = p.source_id
            LEFT JOIN store_credits c
                ON p.service = 'store_credit' AND c.store_id = p.store_id AND c.id = p.source_id
            WHERE (p.source_id IS NOT NULL OR p.service IN ('gift_card', 'store_credit'))
              AND coalesce(g.currency, c.currency) IS DISTINCT FROM p.currency
            """,
            """
            SELECT c.store_id, 'checkout ' || c.id, 'paying, without an attempt to pay on its way'
            FROM checkouts c
            WHERE c.state = 'paying' AND NOT EXISTS (
                SELECT 1 FROM payments p
                WHERE p.checkout_id = c.id AND p.state IN ('started', 'action_needed', 'unknown')
            )
            """,
            """
            SELECT c.store_id, 'checkout ' || c.id,
                format('%s, and its order is %s', c.state, coalesce(o.status, 'missing'))
            FROM checkouts c LEFT JOIN orders o ON o.id = c.order_id
            WHERE (c.state = 'completed' AND coalesce(o.status, 'pending') = 'pending')
               OR (c.state <> 'completed' AND o.status IN ('open', 'completed'))
            """,
        ]
    ),
}

CHECKS: Final[dict[str, str]] = {**_STOCK, **_ORDERS, **_MONEY, **_REFERRAL, **_PREPAID, **_JOBS, **_ORPHANS}
