"""Money that is held and taken later, disputes, saved means of payment, and refunds of lines."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

# Which states an attempt can be in, and in which it is alive, before and after.
STATES = "'started', 'action_needed', 'unknown', 'pending', 'captured', 'declined', 'cancelled', 'late'"
NEW_STATES = "'started', 'action_needed', 'unknown', 'pending', 'authorized', 'captured', 'declined', 'cancelled', 'late'"
LIVE = "'started', 'action_needed', 'unknown', 'pending', 'captured'"
NEW_LIVE = "'started', 'action_needed', 'unknown', 'pending', 'authorized', 'captured'"


def change_states(states: str, live: str) -> None:
    op.drop_constraint(op.f("payments_state_check"), "payments", type_="check")
    op.create_check_constraint(op.f("payments_state_check"), "payments", f"state IN ({states})")
    op.drop_index("payments_live_key", table_name="payments")
    op.create_index(
        "payments_live_key",
        "payments",
        ["order_id"],
        unique=True,
        postgresql_where=sa.text(f"state IN ({live})"),
    )


def upgrade() -> None:
    change_states(NEW_STATES, NEW_LIVE)
    op.create_table(
        "payment_disputes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("payment_disputes_payment_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("payment_disputes_pkey")),
        sa.UniqueConstraint(
            "store_id",
            "payment_id",
            "reference",
            name=op.f("payment_disputes_store_id_payment_id_reference_key"),
        ),
    )

    op.create_table(
        "payment_customers",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
            name=op.f("payment_customers_customer_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("store_id", "customer_id", "service", name=op.f("payment_customers_pkey")),
    )
    op.create_table(
        "saved_methods",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("last_four", sa.Text(), nullable=False),
        sa.Column("exp_month", sa.Integer(), nullable=True),
        sa.Column("exp_year", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("saved_methods_customer_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("saved_methods_pkey")),
        sa.UniqueConstraint(
            "store_id",
            "customer_id",
            "service",
            "reference",
            name=op.f("saved_methods_store_id_customer_id_service_reference_key"),
        ),
    )
    op.create_index(op.f("saved_methods_customer_id_idx"), "saved_methods", ["customer_id"])
    op.add_column("payments", sa.Column("payer_id", sa.BigInteger(), nullable=True))
    op.add_column("payments", sa.Column("saves", sa.Boolean(), server_default="false", nullable=False))

    op.add_column("order_lines", sa.Column("refunded", sa.Integer(), server_default="0", nullable=False))
    op.create_check_constraint(
        op.f("order_lines_refunded_check"), "order_lines", "refunded BETWEEN 0 AND quantity"
    )
    op.add_column(
        "refund_orders",
        sa.Column("lines", postgresql.JSONB(), server_default="[]", nullable=False),
    )
    op.add_column("refund_orders", sa.Column("reference", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("refund_orders", "reference")
    op.drop_column("refund_orders", "lines")
    op.drop_constraint(op.f("order_lines_refunded_check"), "order_lines", type_="check")
    op.drop_column("order_lines", "refunded")
    op.drop_column("payments", "saves")
    op.drop_column("payments", "payer_id")
    op.drop_table("saved_methods")
    op.drop_table("payment_customers")
    op.drop_table("payment_disputes")
    # Money that a service still holds is then known to the service only.
    op.execute("UPDATE payments SET state = 'cancelled' WHERE state = 'authorized'")
    change_states(STATES, LIVE)
