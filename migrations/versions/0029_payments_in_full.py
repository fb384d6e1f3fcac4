"""Disputes of payments."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
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


def downgrade() -> None:
    op.drop_table("payment_disputes")
