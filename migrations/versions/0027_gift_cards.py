"""Gift cards and store credit, what open payments hold of them, and payments that are a part of an order's total."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

LIVE = "state IN ('started', 'action_needed', 'unknown', 'pending', 'authorized', 'captured')"


def upgrade() -> None:
    op.create_table(
        "gift_cards",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("last_four", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount > 0 AND balance <= amount", name=op.f("gift_cards_amount_check")),
        sa.CheckConstraint("held >= 0 AND held <= balance", name=op.f("gift_cards_balance_check")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("gift_cards_store_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("gift_cards_pkey")),
        sa.UniqueConstraint("store_id", "digest", name=op.f("gift_cards_store_id_digest_key")),
    )
    op.create_table(
        "store_credits",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("balance", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("held", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("held >= 0 AND held <= balance", name=op.f("store_credits_balance_check")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("store_credits_customer_id_fkey")
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("store_credits_store_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("store_credits_pkey")),
        sa.UniqueConstraint(
            "store_id",
            "customer_id",
            "currency",
            name=op.f("store_credits_store_id_customer_id_currency_key"),
        ),
    )
    op.create_table(
        "credit_grants",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("credit_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("credit_grants_amount_check")),
        sa.ForeignKeyConstraint(
            ["credit_id"], ["store_credits.id"], name=op.f("credit_grants_credit_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("credit_grants_pkey")),
    )
    op.create_index(op.f("credit_grants_credit_id_idx"), "credit_grants", ["credit_id"])
    op.create_table(
        "balance_holds",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("checkout_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("balance_holds_amount_check")),
        sa.CheckConstraint("kind IN ('gift_card', 'store_credit')", name=op.f("balance_holds_kind_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("balance_holds_pkey")),
        sa.UniqueConstraint(
            "store_id", "checkout_id", "kind", name=op.f("balance_holds_store_id_checkout_id_kind_key")
        ),
    )
    op.add_column("checkouts", sa.Column("gift_card_id", sa.BigInteger(), nullable=True))
    op.add_column(
        "checkouts",
        sa.Column("use_store_credit", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column("payments", sa.Column("source_id", sa.BigInteger(), nullable=True))
    op.drop_index("payments_live_key", table_name="payments")
    op.create_index(
        "payments_live_key",
        "payments",
        ["order_id"],
        unique=True,
        postgresql_where=sa.text(f"{LIVE} AND source_id IS NULL"),
    )
    op.create_index(
        "payments_part_key",
        "payments",
        ["order_id", "service"],
        unique=True,
        postgresql_where=sa.text("source_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("payments_part_key", table_name="payments")
    op.drop_index("payments_live_key", table_name="payments")
    op.create_index(
        "payments_live_key", "payments", ["order_id"], unique=True, postgresql_where=sa.text(LIVE)
    )
    op.drop_column("payments", "source_id")
    op.drop_column("checkouts", "use_store_credit")
    op.drop_column("checkouts", "gift_card_id")
    for table in ("balance_holds", "credit_grants", "store_credits", "gift_cards"):
        op.drop_table(table)
