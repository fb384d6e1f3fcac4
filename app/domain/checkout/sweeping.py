"""What ends, and what is forgotten, by the clock: each step a small batch, in a transaction of its own.

Nothing that money has touched is forgotten: no order that was placed, no payment that took something or whose
outcome is open, no entry of the ledger, no job of a payment. Rows that somebody holds are left for the next round.
"""

from typing import Final

from sqlalchemy import text

BATCH: Final = 200

# :now is the time, :before the age at which things are forgotten, :batch how many at once. None of them has a
# store: the clock is the same for all.
_EXPIRE_CHECKOUTS: Final = """
    UPDATE checkouts SET state = 'expired', updated_at = :now
    WHERE id IN (
        SELECT id FROM checkouts WHERE state IN ('open', 'priced') AND expires_at < :now
        ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED
    )
"""
_FORGET_KEYS: Final = """
    DELETE FROM idempotency_records WHERE (store_id, key_digest) IN (
        SELECT store_id, key_digest FROM idempotency_records WHERE expires_at < :now
        LIMIT :batch FOR UPDATE SKIP LOCKED
    )
"""
# Used ones among them: a link lives for an hour.
_FORGET_LINKS: Final = """
    DELETE FROM order_links WHERE digest IN (
        SELECT digest FROM order_links WHERE expires_at < :now LIMIT :batch FOR UPDATE SKIP LOCKED
    )
"""
# An order that was never placed, with its refused attempts. While one of them is open, or took money, it stays.
_FORGET_ORDERS: Final = """
    WITH dead AS (
        SELECT o.store_id, o.id, o.checkout_id
        FROM orders o JOIN checkouts c ON c.store_id = o.store_id AND c.id = o.checkout_id
        WHERE o.status = 'pending' AND o.created_at < :before
          AND c.state IN ('expired', 'cancelled') AND c.updated_at < :before
          AND NOT EXISTS (
            SELECT 1 FROM payments p WHERE p.store_id = o.store_id AND p.order_id = o.id
              AND (p.state NOT IN ('declined', 'cancelled') OR p.captured > 0 OR p.updated_at >= :before)
          )
          AND NOT EXISTS (
            SELECT 1 FROM ledger_entries e WHERE e.store_id = o.store_id AND e.order_id = o.id
          )
        ORDER BY o.created_at LIMIT :batch FOR UPDATE OF c, o SKIP LOCKED
    ),
    unhooked AS (
        UPDATE checkouts c SET order_id = NULL
        FROM dead WHERE c.store_id = dead.store_id AND c.id = dead.checkout_id
    ),
    refused AS (
        DELETE FROM payments p USING dead WHERE p.store_id = dead.store_id AND p.order_id = dead.id
    )
    DELETE FROM orders o USING dead WHERE o.store_id = dead.store_id AND o.id = dead.id
"""
# With it goes who wanted to buy, and where they live.
_FORGET_CHECKOUTS: Final = """
    WITH dead AS (
        SELECT c.store_id, c.id, c.cart_id FROM checkouts c
        WHERE c.state IN ('expired', 'cancelled') AND c.updated_at < :before AND c.order_id IS NULL
          AND NOT EXISTS (
            SELECT 1 FROM orders o WHERE o.store_id = c.store_id AND o.checkout_id = c.id
          )
          AND NOT EXISTS (
            SELECT 1 FROM reservations r
            WHERE r.store_id = c.store_id AND r.checkout_id = c.id AND r.state <> 'released'
          )
          AND NOT EXISTS (
            SELECT 1 FROM coupon_uses u
            WHERE u.store_id = c.store_id AND u.checkout_id = c.id AND u.state <> 'returned'
          )
        ORDER BY c.updated_at LIMIT :batch FOR UPDATE SKIP LOCKED
    ),
    given_back AS (
        DELETE FROM reservations r USING dead WHERE r.store_id = dead.store_id AND r.checkout_id = dead.id
    ),
    not_used AS (
        DELETE FROM coupon_uses u USING dead WHERE u.store_id = dead.store_id AND u.checkout_id = dead.id
    ),
    looked_at_anew AS (
        UPDATE carts SET emptied_at = NULL FROM dead WHERE carts.id = dead.cart_id AND carts.emptied_at IS NOT NULL
    )
    DELETE FROM checkouts c USING dead WHERE c.store_id = dead.store_id AND c.id = dead.id
"""
_FORGET_CARTS: Final = """
    DELETE FROM carts WHERE id IN (
        SELECT id FROM carts c WHERE c.expires_at < :now AND c.emptied_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM checkouts k WHERE k.cart_id = c.id)
        ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED
    )
"""
# A cart that something was bought from stays with its checkout. Its time is over all the same: whoever comes back begins
# with an empty one, and does not find, or buy, what they left there long ago. It is looked at once, and again where
# one of its checkouts is forgotten.
_EMPTY_CARTS: Final = """
    WITH over AS (
        SELECT c.id FROM carts c
        WHERE c.expires_at < :now AND c.emptied_at IS NULL
          AND NOT EXISTS (
            SELECT 1 FROM checkouts k
            WHERE k.store_id = c.store_id AND k.cart_id = c.id AND k.state IN ('open', 'priced', 'paying')
          )
        ORDER BY c.id LIMIT :batch FOR UPDATE SKIP LOCKED
    ),
    emptied AS (
        DELETE FROM cart_lines l USING over WHERE l.cart_id = over.id
    )
    UPDATE carts c SET customer_id = NULL, note = NULL, attributes = '[]', coupon_code = NULL, emptied_at = :now
    FROM over WHERE c.id = over.id
"""
# Services repeat an event for days; one that came after its row was forgotten would find its effect settled.
_FORGET_EVENTS: Final = """
    DELETE FROM payment_events WHERE id IN (
        SELECT id FROM payment_events WHERE received_at < :before
        ORDER BY received_at LIMIT :batch FOR UPDATE SKIP LOCKED
    )
"""
_FORGET_JOBS: Final = """
    DELETE FROM jobs WHERE id IN (
        SELECT id FROM jobs WHERE state = 'done' AND finished_at < :before AND kind NOT LIKE 'payments.%'
        ORDER BY finished_at LIMIT :batch FOR UPDATE SKIP LOCKED
    )
"""

STEPS: Final = tuple(
    text(step)
    for step in (
        _EXPIRE_CHECKOUTS,
        _FORGET_KEYS,
        _FORGET_LINKS,
        _FORGET_ORDERS,
        _FORGET_CHECKOUTS,
        _FORGET_CARTS,
        _EMPTY_CARTS,
        _FORGET_EVENTS,
        _FORGET_JOBS,
    )
)
