"""What somebody could do behind the shop's back, its guards taken away, and the check that must name it."""

# (check, statements): what somebody could do behind the shop's back, where its guards are taken away.
A_CUSTOMER = (
    "INSERT INTO customers (store_id, email, email_key, username, invite_token, updated_at, referral_balance) "
    "VALUES ({{store}}, 'ada@example.com', 'ada@example.com', 'Ada', 'planted', now(), {0})"
)
# What limits it has: uses in all, and by one customer.
PROMOTION = (
    "INSERT INTO promotions (store_id, handle, title, kind, max_uses, max_per_customer) "
    "VALUES ({{store}}, 'planted', 'Planted', 'percent', {0})"
)
TWO_USES = (
    "INSERT INTO coupon_uses (store_id, promotion_id, checkout_id, customer_id, state, updated_at) "
    "SELECT store_id, id, unnest(ARRAY[{checkout}, {waiting}]), 7, 'used', now() "
    "FROM promotions WHERE handle = 'planted'"
)
# What is on it, and what of that is held.
GIFT_CARD = (
    "INSERT INTO gift_cards (store_id, digest, last_four, currency, amount, balance, held) "
    "VALUES ({{store}}, 'planted', 'ABCD', 'USD', 9, {0}, {1})"
)
A_HOLD = (
    "INSERT INTO balance_holds (store_id, checkout_id, kind, source_id, amount) "
    "SELECT store_id, {checkout}, 'gift_card', id, 5 FROM gift_cards WHERE digest = 'planted'"
)
WITHOUT_CHECK = "ALTER TABLE {0} DROP CONSTRAINT {0}_{1}_check"
BREACHES: list[tuple[str, list[str]]] = [
    (
        "stock_below_floor",
        [
            WITHOUT_CHECK.format("stock_items", "floor"),
            "UPDATE stock_items SET on_hand = -1 WHERE variant_id = {variant}",
        ],
    ),
    (
        "reserved_below_zero",
        [
            WITHOUT_CHECK.format("stock_items", "reserved"),
            "UPDATE stock_items SET reserved = -1 WHERE variant_id = {variant}",
        ],
    ),
    ("reserved_not_held", ["UPDATE stock_items SET reserved = 0 WHERE variant_id = {variant}"]),
    ("reserved_not_held", ["DELETE FROM stock_items WHERE variant_id = {variant}"]),
    ("stock_not_accounted", ["UPDATE stock_items SET on_hand = on_hand + 1 WHERE variant_id = {variant}"]),
    ("stock_not_accounted", ["DELETE FROM stock_movements WHERE order_id = {order}"]),
    (
        "reservation_of_dead_checkout",
        ["UPDATE checkouts SET state = 'expired' WHERE id = {waiting}"],
    ),
    (
        "two_orders_of_one_checkout",
        [
            "ALTER TABLE orders DROP CONSTRAINT orders_store_id_checkout_id_key",
            "UPDATE orders SET checkout_id = {checkout} WHERE id = {manual}",
        ],
    ),
    (
        "total_not_sum",
        [WITHOUT_CHECK.format("orders", "total"), "UPDATE orders SET total = total - 1 WHERE id = {order}"],
    ),
    ("lines_not_sum", ["DELETE FROM order_lines WHERE order_id = {order}"]),
    (
        "coupon_over_limit",
        [
            (
                "CREATE OR REPLACE VIEW audit.coupons AS SELECT 1::bigint AS coupon_id, 'a'::text AS customer_ref, "
                "2::bigint AS uses, NULL::integer AS max_uses, 1::integer AS max_per_customer"
            )
        ],
    ),
    (
        "coupon_over_limit",
        [
            (
                "CREATE OR REPLACE VIEW audit.coupons AS SELECT 1::bigint AS coupon_id, who AS customer_ref, "
                "2::bigint AS uses, 3::integer AS max_uses, NULL::integer AS max_per_customer "
                "FROM unnest(ARRAY['a', 'b']) AS who"
            )
        ],
    ),
    ("promotion_over_limit", [PROMOTION.format("1, NULL"), TWO_USES]),
    ("promotion_over_limit", [PROMOTION.format("NULL, 1"), TWO_USES]),
    (
        "promotion_over_limit",
        [
            PROMOTION.format("NULL, 1"),
            TWO_USES,
            "UPDATE coupon_uses SET customer_id = NULL, email_digest = 'a' WHERE store_id = {store}",
        ],
    ),
    (
        "uses_not_counted",
        [PROMOTION.format("NULL, NULL"), "UPDATE promotions SET uses = 1 WHERE handle = 'planted'"],
    ),
    (
        "uses_not_counted",
        [
            PROMOTION.format("NULL, NULL"),
            (
                "INSERT INTO coupons (store_id, promotion_id, code, code_key, uses) "
                "SELECT store_id, id, 'A', 'a', 1 FROM promotions WHERE handle = 'planted'"
            ),
        ],
    ),
    ("use_of_dead_checkout", [PROMOTION.format("NULL, NULL"), TWO_USES]),
    ("paid_without_payment", ["DELETE FROM payments WHERE id = {payment}"]),
    ("paid_without_payment", ["UPDATE payments SET currency = 'EUR' WHERE id = {payment}"]),
    (
        "paid_without_payment",
        ["UPDATE payments SET captured = captured - 1, amount = amount - 1 WHERE id = {payment}"],
    ),
    ("paid_without_payment", ["UPDATE orders SET payment_status = 'paid' WHERE id = {manual}"]),
    (
        "captured_without_order",
        ["UPDATE orders SET status = 'pending', number = NULL WHERE id = {order}"],
    ),
    ("captured_without_order", ["UPDATE orders SET status = 'cancelled' WHERE id = {order}"]),
    (
        "captured_without_order",
        [
            "UPDATE orders SET status = 'cancelled' WHERE id = {order}",
            "UPDATE payments SET refunded = captured - 1 WHERE id = {payment}",
        ],
    ),
    ("captured_without_order", ["DELETE FROM orders WHERE id = {order}"]),
    (
        "captured_without_order",
        [
            (
                "UPDATE payments SET order_id = {manual}, attempt = 2, state = 'late', captured = amount "
                "WHERE id = {declined}"
            )
        ],
    ),
    (
        "captured_without_order",
        [
            "DROP INDEX payments_live_key",
            (
                "UPDATE payments SET order_id = {order}, attempt = 2, state = 'captured', captured = amount "
                "WHERE id = {declined}"
            ),
        ],
    ),
    (
        "refunded_over_captured",
        [
            WITHOUT_CHECK.format("payments", "refunded"),
            "UPDATE payments SET refunded = captured + 1 WHERE id = {payment}",
        ],
    ),
    (
        "refund_unanswered",
        [
            (
                "WITH made AS (INSERT INTO refund_orders (store_id, payment_id, amount, reason) "
                "VALUES ({store}, {payment}, 5, 'x') RETURNING id) "
                "INSERT INTO jobs (store_id, kind, dedupe_key, payload, state, run_at) "
                "SELECT {store}, 'payments.make_refund', 'refund-' || id, '{{}}', 'parked', now() FROM made"
            )
        ],
    ),
    (
        "refunds_not_sum",
        [
            (
                "INSERT INTO payment_refunds (store_id, payment_id, reference, amount, currency, state, noted_at) "
                "VALUES ({store}, {payment}, 're_1', 5, 'USD', 'made', now())"
            )
        ],
    ),
    (
        "ledger_unbalanced",
        ["UPDATE ledger_entries SET amount = amount + 1 WHERE order_id = {order} AND account = 'sales'"],
    ),
    ("ledger_not_payments", ["UPDATE payments SET refunded = 1 WHERE id = {payment}"]),
    ("ledger_not_payments", ["DELETE FROM ledger_entries WHERE order_id = {order}"]),
    ("balance_not_ledger", [A_CUSTOMER.format(5)]),
    (
        "withdrawals_not_ledger",
        [
            A_CUSTOMER.format(0),
            (
                "INSERT INTO withdrawals (store_id, customer_id, amount, currency) "
                "SELECT store_id, id, 5, 'USD' FROM customers WHERE store_id = {store}"
            ),
        ],
    ),
    (
        "prepaid_below_zero",
        [WITHOUT_CHECK.format("gift_cards", "balance"), GIFT_CARD.format(-1, -1)],
    ),
    ("prepaid_not_ledger", [GIFT_CARD.format(5, 0)]),
    (
        "prepaid_not_ledger",
        [
            A_CUSTOMER.format(0),
            (
                "INSERT INTO store_credits (store_id, customer_id, currency, balance) "
                "SELECT store_id, id, 'USD', 5 FROM customers WHERE store_id = {store}"
            ),
        ],
    ),
    ("prepaid_not_held", [GIFT_CARD.format(5, 5)]),
    ("prepaid_held_for_nobody", [GIFT_CARD.format(5, 5), A_HOLD]),
    (
        "job_twice",
        [
            "ALTER TABLE jobs DROP CONSTRAINT jobs_kind_dedupe_key_key",
            (
                "INSERT INTO jobs (store_id, kind, dedupe_key, payload, run_at) "
                "SELECT store_id, kind, dedupe_key, payload, run_at FROM jobs "
                "WHERE dedupe_key = 'order-{order}' AND kind = 'orders.confirm'"
            ),
        ],
    ),
    (
        "job_stuck",
        ["UPDATE jobs SET run_at = run_at - interval '6 minutes' WHERE dedupe_key = 'order-{order}'"],
    ),
    (
        "job_stuck",
        [
            (
                "UPDATE jobs SET state = 'running', lease_until = run_at - interval '6 minutes' "
                "WHERE dedupe_key = 'order-{order}'"
            )
        ],
    ),
    ("orphan", ["DELETE FROM orders WHERE id = {manual}"]),
    ("orphan", ["DELETE FROM checkouts WHERE id = {checkout}"]),
    ("orphan", ["DELETE FROM ledger_transactions WHERE order_id = {order}"]),
    ("orphan", ["UPDATE orders SET store_id = store_id - 1, number = -number WHERE id = {order}"]),
    ("orphan", ["UPDATE reservations SET checkout_id = -1 WHERE checkout_id = {waiting}"]),
    ("orphan", ["DELETE FROM stock_items WHERE variant_id = {variant}"]),
    ("orphan", ["DELETE FROM payments WHERE checkout_id = {waiting}"]),
    ("orphan", ["UPDATE payments SET source_id = 7, service = 'gift_card' WHERE id = {payment}"]),
    ("orphan", ["UPDATE checkouts SET gift_card_id = -1 WHERE id = {checkout}"]),
    ("orphan", ["UPDATE checkouts SET state = 'open' WHERE id = {checkout}"]),
    ("orphan", ["UPDATE checkouts SET state = 'completed' WHERE id = {waiting}"]),
]
