"""Carts in several currencies, what they said when something was added, and what buyers were shown and agreed to."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cart_lines", sa.Column("added_currency", sa.Text(), server_default="", nullable=False))
    op.execute("UPDATE cart_lines l SET added_currency = c.currency FROM carts c WHERE c.id = l.cart_id")
    op.add_column("cart_lines", sa.Column("added_title", sa.Text(), server_default="", nullable=False))
    op.add_column("unit_prices", sa.Column("currency", sa.Text(), server_default="", nullable=False))
    op.drop_constraint("unit_prices_pkey", "unit_prices", type_="primary")
    op.create_primary_key(
        "unit_prices_pkey", "unit_prices", ["store_id", "variant_id", "customer_group", "minimum", "currency"]
    )
    op.add_column("checkouts", sa.Column("seen", postgresql.JSONB(), nullable=True))
    op.add_column("checkouts", sa.Column("consents", postgresql.JSONB(), server_default="[]", nullable=False))
    op.add_column("orders", sa.Column("note", sa.Text(), nullable=True))
    op.add_column("orders", sa.Column("attributes", postgresql.JSONB(), server_default="[]", nullable=False))
    op.add_column("orders", sa.Column("consents", postgresql.JSONB(), server_default="[]", nullable=False))


def downgrade() -> None:
    for name in ("consents", "attributes", "note"):
        op.drop_column("orders", name)
    for name in ("consents", "seen"):
        op.drop_column("checkouts", name)
    op.drop_constraint("unit_prices_pkey", "unit_prices", type_="primary")
    op.execute("DELETE FROM unit_prices WHERE currency <> ''")
    op.drop_column("unit_prices", "currency")
    op.create_primary_key(
        "unit_prices_pkey", "unit_prices", ["store_id", "variant_id", "customer_group", "minimum"]
    )
    for name in ("added_title", "added_currency"):
        op.drop_column("cart_lines", name)
