"""What payment services gave back, refund by refund, and indexes for cleaning up by age."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "payment_refunds",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("payment_refunds_amount_check")),
        sa.CheckConstraint(
            "state IN ('made', 'failed', 'refused')", name=op.f("payment_refunds_state_check")
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("payment_refunds_payment_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("payment_refunds_pkey")),
        sa.UniqueConstraint(
            "store_id",
            "payment_id",
            "reference",
            name=op.f("payment_refunds_store_id_payment_id_reference_key"),
        ),
    )
    op.create_index("payment_events_received_idx", "payment_events", ["received_at"])
    op.create_index("jobs_finished_idx", "jobs", ["finished_at"], postgresql_where=sa.text("state = 'done'"))
    op.create_index(
        "orders_pending_idx", "orders", ["created_at"], postgresql_where=sa.text("status = 'pending'")
    )
    op.create_index(
        "checkouts_dead_idx",
        "checkouts",
        ["updated_at"],
        postgresql_where=sa.text("state IN ('expired', 'cancelled')"),
    )
    op.create_index(op.f("checkouts_cart_id_idx"), "checkouts", ["cart_id"])


def downgrade() -> None:
    op.drop_index(op.f("checkouts_cart_id_idx"), table_name="checkouts")
    op.drop_index("checkouts_dead_idx", table_name="checkouts")
    op.drop_index("orders_pending_idx", table_name="orders")
    op.drop_index("jobs_finished_idx", table_name="jobs")
    op.drop_index("payment_events_received_idx", table_name="payment_events")
    op.drop_table("payment_refunds")
