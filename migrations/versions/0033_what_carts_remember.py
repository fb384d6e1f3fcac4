"""What a line remembers of price lists, which carts are emptied, and that a price list is part of the catalogue."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

EVENTS = {"INSERT": "NEW", "UPDATE": "NEW", "DELETE": "OLD"}


def upgrade() -> None:
    op.add_column("carts", sa.Column("emptied_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_index("carts_expires_idx", table_name="carts")
    op.create_index(
        "carts_expires_idx", "carts", ["expires_at"], postgresql_where=sa.text("emptied_at IS NULL")
    )
    op.add_column(
        "cart_lines", sa.Column("added_prices", postgresql.JSONB(), server_default="[]", nullable=False)
    )
    op.add_column(
        "cart_lines",
        sa.Column("added_groups", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
    )
    # What lies in carts already counts as added at the lists of today, by the buyer of today: nothing that is known
    # says that these have changed since.
    op.execute("""
        UPDATE cart_lines l SET added_prices = listed.prices, added_groups = listed.groups
        FROM (
            SELECT k.id, jsonb_agg(jsonb_build_object(
                'price', u.price, 'minimum', u.minimum, 'group', u.customer_group, 'currency', u.currency
            )) AS prices, coalesce((
                SELECT b.groups FROM carts c JOIN customers b ON b.store_id = c.store_id AND b.id = c.customer_id
                WHERE c.id = k.cart_id
            ), '{}') AS groups
            FROM cart_lines k
            JOIN stores s ON s.id = k.store_id
            JOIN unit_prices u ON u.store_id = k.store_id AND u.variant_id = k.variant_id
                AND u.currency = CASE WHEN k.added_currency = s.currency THEN '' ELSE k.added_currency END
            GROUP BY k.id
        ) listed
        WHERE l.id = listed.id
    """)
    # What a list says is shown by the catalogue to whoever asks in its currency.
    for event, side in EVENTS.items():
        op.execute(
            f"CREATE TRIGGER note_{event.lower()} AFTER {event} ON unit_prices "
            f"REFERENCING {side} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_change('aloud')"
        )


def downgrade() -> None:
    for event in EVENTS:
        op.execute(f"DROP TRIGGER note_{event.lower()} ON unit_prices")
    for name in ("added_groups", "added_prices"):
        op.drop_column("cart_lines", name)
    op.drop_index("carts_expires_idx", table_name="carts")
    op.create_index("carts_expires_idx", "carts", ["expires_at"])
    op.drop_column("carts", "emptied_at")
