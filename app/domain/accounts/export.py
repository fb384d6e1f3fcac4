"""Everything that is kept of a customer, for them to take along (GDPR, articles 15 and 20)."""

from typing import Any, Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit.errors import LOGIN_REQUIRED, Unauthenticated

# What proves who somebody is, and inner ids of ours: nobody's data, and nothing that should lie in a file.
_NOT_THEIRS: Final = (
    "'{store_id,password_digest,passkey_handle,public_key,credential_id,digest,confirm_digest,uuid,form_uuid,"
    "checkout_token,token,customer_id,email_key,cart_id,checkout_id,order_id,gift_card_id,frozen,seen,held_until,"
    "referral_balance,invite_token,invited_by}'::text[]"
)


def _rows(
    table: str, where: str = "t.store_id = c.store_id AND t.customer_id = c.id", order: str = "id"
) -> str:
    return (
        f"(SELECT coalesce(jsonb_agg(to_jsonb(t) - {_NOT_THEIRS} ORDER BY t.{order}), '[]') "  # noqa: S608 - names of our own
        f"FROM {table} t WHERE {where})"
    )


# What was asked for with an address is shown to whoever has proved that it is theirs; and so is what its owner
# agreed to by a mail, though it belongs to the account that somebody made with it.
_OF_THE_ADDRESS: Final = (
    "t.store_id = c.store_id AND t.email_key = c.email_key AND c.owner_proven_at IS NOT NULL"
)
_NEWSLETTER: Final = (
    "t.store_id = c.store_id AND (t.customer_id = c.id AND t.confirmed_at IS NULL "
    "OR c.owner_proven_at IS NOT NULL AND (t.customer_id = c.id "
    "OR t.email_key = c.email_key AND t.confirmed_at IS NOT NULL "
    "OR t.email_key = c.email_key AND t.confirmed_at IS NULL))"
)
_EXPORT: Final = text(
    f"""
    SELECT jsonb_build_object(
        'profile', to_jsonb(c) - {_NOT_THEIRS},
        'has_password', c.password_digest IS NOT NULL,
        'addresses', {_rows("customer_addresses")},
        'logins_by_providers', {_rows("customer_identities")},
        'passkeys', {_rows("passkeys")},
        'payment_methods', (
            SELECT coalesce(jsonb_agg(jsonb_build_object('service', m.service, 'kind', m.kind, 'brand', m.brand,
                'last_four', m.last_four, 'exp_month', m.exp_month, 'exp_year', m.exp_year, 'at', m.created_at)
                ORDER BY m.id), '[]')
            FROM saved_methods m WHERE m.store_id = c.store_id AND m.customer_id = c.id
        ),
        'devices', {_rows("customer_devices", order="first_seen_at")},
        'newsletter', {_rows("subscriptions", _NEWSLETTER)},
        'back_in_stock', {_rows("stock_wishes", _OF_THE_ADDRESS)},
        'carts', (
            SELECT coalesce(jsonb_agg(to_jsonb(t) - {_NOT_THEIRS} || jsonb_build_object('items', (
                SELECT coalesce(jsonb_agg(to_jsonb(l) - {_NOT_THEIRS} ORDER BY l.id), '[]')
                FROM cart_lines l WHERE l.cart_id = t.id
            )) ORDER BY t.id), '[]')
            FROM carts t WHERE t.store_id = c.store_id AND t.customer_id = c.id
        ),
        'checkouts', {_rows("checkouts")},
        'orders', (
            SELECT coalesce(jsonb_agg(to_jsonb(t) - {_NOT_THEIRS} || jsonb_build_object(
                'items', (
                    SELECT coalesce(jsonb_agg(to_jsonb(l) - {_NOT_THEIRS}
                        || jsonb_build_object('tax_rate', trim_scale(l.tax_rate / 100.0)) ORDER BY l.position), '[]')
                    FROM order_lines l WHERE l.order_id = t.id
                ),
                'payments', (
                    SELECT coalesce(jsonb_agg(jsonb_build_object('service', p.service, 'state', p.state,
                        'amount', p.amount, 'captured', p.captured, 'refunded', p.refunded, 'currency', p.currency,
                        'at', p.created_at) ORDER BY p.attempt), '[]')
                    FROM payments p WHERE p.order_id = t.id
                ),
                'refunds', (
                    SELECT coalesce(jsonb_agg(jsonb_build_object('amount', r.amount, 'currency', r.currency,
                        'state', r.state, 'at', r.noted_at) ORDER BY r.id), '[]')
                    FROM payment_refunds r JOIN payments p ON p.id = r.payment_id WHERE p.order_id = t.id
                ),
                'parcels', (
                    SELECT coalesce(jsonb_agg(jsonb_build_object('carrier', s.carrier, 'number', s.number,
                        'url', s.url, 'status', s.status, 'at', s.created_at) ORDER BY s.id), '[]')
                    FROM parcels s WHERE s.order_id = t.id
                ),
                'cancellation', (
                    SELECT jsonb_build_object('status', w.status, 'reason', w.reason, 'note', w.note,
                        'requested_at', w.requested_at, 'decided_at', w.decided_at)
                    FROM order_cancellations w WHERE w.order_id = t.id
                ),
                'timeline', (
                    SELECT coalesce(jsonb_agg(jsonb_build_object('at', e.at, 'event', e.event,
                        'detail', e.detail) ORDER BY e.id), '[]')
                    FROM order_events e WHERE e.order_id = t.id
                )
            ) ORDER BY t.id), '[]')
            FROM orders t
            WHERE t.store_id = c.store_id AND t.customer_id = c.id AND t.status <> 'pending'
        ),
        'store_credit', (
            SELECT coalesce(jsonb_agg(jsonb_build_object('balance', s.balance, 'currency', s.currency, 'given', (
                SELECT coalesce(jsonb_agg(jsonb_build_object('amount', g.amount, 'reason', g.reason,
                    'at', g.created_at) ORDER BY g.id), '[]')
                FROM credit_grants g WHERE g.credit_id = s.id
            )) ORDER BY s.id), '[]')
            FROM store_credits s WHERE s.store_id = c.store_id AND s.customer_id = c.id
        ),
        'reviews', {_rows("product_reviews")},
        'questions', {_rows("product_questions")},
        'referral', jsonb_build_object(
            'invite_token', c.invite_token, 'balance', c.referral_balance,
            'was_invited', c.invited_by IS NOT NULL,
            'rewards', (
                SELECT coalesce(jsonb_agg(jsonb_build_object('amount', r.amount, 'currency', r.currency,
                    'at', r.created_at) ORDER BY r.id), '[]')
                FROM referral_rewards r WHERE r.store_id = c.store_id AND r.customer_id = c.id
            ),
            'withdrawals', {_rows("withdrawals")}
        )
    )::text
    FROM customers c WHERE c.store_id = :store_id AND c.id = :customer_id AND c.closed_at IS NULL
    """  # noqa: S608 - names of our own tables
)


async def export_account(session: AsyncSession, store_id: int, customer_id: int) -> dict[str, Any]:
    """All that the database has of a customer, without anything that logs in. Minor units; rates in basis points.

    Raises Unauthenticated where the account was closed meanwhile.
    """
    found = await session.scalar(_EXPORT, {"store_id": store_id, "customer_id": customer_id})
    if found is None:
        raise Unauthenticated(LOGIN_REQUIRED, "This call needs a login.")
    exported: dict[str, Any] = msgspec.json.decode(found)
    return exported
