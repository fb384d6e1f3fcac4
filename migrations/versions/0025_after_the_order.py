"""Parcels, cancellations and refunds of orders, and carts that were left."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "order_cancellations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), server_default="requested", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('requested', 'accepted', 'refused')", name=op.f("order_cancellations_status_check")
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("order_cancellations_order_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("order_cancellations_pkey")),
        sa.UniqueConstraint("order_id", name=op.f("order_cancellations_order_id_key")),
    )
    op.create_table(
        "parcels",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("carrier", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default="shipped", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('shipped', 'delivered', 'returned')", name=op.f("parcels_status_check")
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("parcels_order_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("parcels_pkey")),
    )
    op.create_index(op.f("parcels_order_id_idx"), "parcels", ["order_id"])
    op.create_table(
        "parcel_lines",
        sa.Column("parcel_id", sa.BigInteger(), nullable=False),
        sa.Column("order_line_id", sa.BigInteger(), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("parcel_lines_quantity_check")),
        sa.ForeignKeyConstraint(
            ["order_line_id"],
            ["order_lines.id"],
            name=op.f("parcel_lines_order_line_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["parcel_id"], ["parcels.id"], name=op.f("parcel_lines_parcel_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("parcel_id", "order_line_id", name=op.f("parcel_lines_pkey")),
    )
    op.create_index(op.f("parcel_lines_order_line_id_idx"), "parcel_lines", ["order_line_id"])
    op.create_table(
        "parcel_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("parcel_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["parcel_id"], ["parcels.id"], name=op.f("parcel_events_parcel_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("parcel_events_pkey")),
    )
    op.create_index(op.f("parcel_events_parcel_id_idx"), "parcel_events", ["parcel_id"])
    op.create_table(
        "refund_orders",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="wanted", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("called_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount > 0", name=op.f("refund_orders_amount_check")),
        sa.CheckConstraint("state IN ('wanted', 'made', 'failed')", name=op.f("refund_orders_state_check")),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("refund_orders_payment_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("refund_orders_pkey")),
    )
    op.create_index(op.f("refund_orders_payment_id_idx"), "refund_orders", ["payment_id"])
    op.add_column("order_lines", sa.Column("shipped", sa.Integer(), server_default="0", nullable=False))
    op.create_check_constraint(
        op.f("order_lines_shipped_check"), "order_lines", "shipped BETWEEN 0 AND quantity"
    )
    op.add_column("carts", sa.Column("abandoned_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "carts_asleep_idx", "carts", ["updated_at"], postgresql_where=sa.text("abandoned_at IS NULL")
    )


def downgrade() -> None:
    op.drop_index("carts_asleep_idx", table_name="carts", postgresql_where=sa.text("abandoned_at IS NULL"))
    op.drop_column("carts", "abandoned_at")
    op.drop_constraint(op.f("order_lines_shipped_check"), "order_lines", type_="check")
    op.drop_column("order_lines", "shipped")
    op.drop_table("refund_orders")
    op.drop_table("parcel_events")
    op.drop_table("parcel_lines")
    op.drop_table("parcels")
    op.drop_table("order_cancellations")
