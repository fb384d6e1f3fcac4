"""Carts, checkouts, orders and payments."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "test_charges",
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("reference", sa.Text(), nullable=False, unique=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("return_url", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.create_table(
        "payment_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("payment_events_pkey")),
        sa.UniqueConstraint("service", "event_id", name=op.f("payment_events_service_event_id_key")),
    )
    op.create_table(
        "carts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("attributes", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("coupon_code", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("carts_store_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("carts_pkey")),
        sa.UniqueConstraint("store_id", "uuid", name=op.f("carts_store_id_uuid_key")),
    )
    op.create_index(
        "carts_customer_key",
        "carts",
        ["store_id", "customer_id"],
        unique=True,
        postgresql_where="customer_id IS NOT NULL",
    )
    op.create_index("carts_expires_idx", "carts", ["expires_at"], unique=False)
    op.create_table(
        "orders",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("checkout_id", sa.BigInteger(), nullable=False),
        sa.Column("checkout_token", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("payment_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("fulfilment_status", sa.Text(), server_default="unfulfilled", nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("tax_included", sa.Boolean(), nullable=False),
        sa.Column("items_total", sa.BigInteger(), nullable=False),
        sa.Column("discount_total", sa.BigInteger(), nullable=False),
        sa.Column("shipping_total", sa.BigInteger(), nullable=False),
        sa.Column("tax_total", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("shipping_address", postgresql.JSONB(), nullable=True),
        sa.Column("billing_address", postgresql.JSONB(), nullable=True),
        sa.Column("shipping_option", postgresql.JSONB(), nullable=True),
        sa.Column("coupon_code", sa.Text(), nullable=True),
        sa.Column("additional_fields", postgresql.JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'pending') = (number IS NULL) OR status = 'cancelled'",
            name=op.f("orders_number_check"),
        ),
        sa.CheckConstraint(
            "fulfilment_status IN ('unfulfilled', 'partial', 'fulfilled', 'returned')",
            name=op.f("orders_fulfilment_status_check"),
        ),
        sa.CheckConstraint(
            "payment_status IN ('pending', 'authorized', 'paid', 'partially_paid', 'partially_refunded', 'refunded', 'failed')",
            name=op.f("orders_payment_status_check"),
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'open', 'completed', 'cancelled')", name=op.f("orders_status_check")
        ),
        sa.CheckConstraint(
            "total = items_total - discount_total + shipping_total + CASE WHEN tax_included THEN 0 ELSE tax_total END",
            name=op.f("orders_total_check"),
        ),
        sa.CheckConstraint("total >= 0", name=op.f("orders_total_sign_check")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("orders_store_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("orders_pkey")),
        sa.UniqueConstraint("store_id", "checkout_id", name=op.f("orders_store_id_checkout_id_key")),
        sa.UniqueConstraint("store_id", "number", name=op.f("orders_store_id_number_key")),
    )
    op.create_index("orders_customer_idx", "orders", ["store_id", "customer_id", "id"], unique=False)
    op.create_index(
        "orders_email_idx", "orders", ["store_id", sa.literal_column("lower(email)")], unique=False
    )
    op.create_table(
        "payments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("checkout_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("means", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("captured", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("refunded", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("action", postgresql.JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('started', 'action_needed', 'unknown', 'pending', 'captured', 'declined', 'cancelled', 'late')",
            name=op.f("payments_state_check"),
        ),
        sa.CheckConstraint(
            "state <> 'captured' OR captured = amount", name=op.f("payments_captured_whole_check")
        ),
        sa.CheckConstraint("captured >= 0", name=op.f("payments_captured_check")),
        sa.CheckConstraint("refunded >= 0 AND refunded <= captured", name=op.f("payments_refunded_check")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("payments_store_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("payments_pkey")),
        sa.UniqueConstraint("order_id", "attempt", name=op.f("payments_order_id_attempt_key")),
        sa.UniqueConstraint("store_id", "key", name=op.f("payments_store_id_key_key")),
    )
    op.create_index(
        "payments_live_key",
        "payments",
        ["order_id"],
        unique=True,
        postgresql_where="state IN ('started', 'action_needed', 'unknown', 'pending', 'captured')",
    )
    op.create_index("payments_reference_idx", "payments", ["service", "reference"], unique=False)
    op.create_index(
        "payments_unfinished_idx",
        "payments",
        ["asked_at"],
        unique=False,
        postgresql_where="state IN ('started', 'action_needed', 'unknown')",
    )
    op.create_table(
        "cart_lines",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("cart_id", sa.BigInteger(), nullable=False),
        sa.Column("variant_id", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("added_price", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("quantity BETWEEN 1 AND 999", name=op.f("cart_lines_quantity_check")),
        sa.ForeignKeyConstraint(
            ["cart_id"], ["carts.id"], name=op.f("cart_lines_cart_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("cart_lines_pkey")),
        sa.UniqueConstraint("cart_id", "variant_id", name=op.f("cart_lines_cart_id_variant_id_key")),
    )
    op.create_table(
        "checkouts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("cart_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("subscribe", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("shipping_address", postgresql.JSONB(), nullable=True),
        sa.Column("billing_address", postgresql.JSONB(), nullable=True),
        sa.Column("billing_same_as_shipping", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("shipping_option_id", sa.BigInteger(), nullable=True),
        sa.Column("identity", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("detected_country", sa.Text(), nullable=True),
        sa.Column("frozen", postgresql.JSONB(), nullable=True),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state <> 'paying' OR frozen IS NOT NULL", name=op.f("checkouts_frozen_check")),
        sa.CheckConstraint(
            "state IN ('open', 'priced', 'paying', 'completed', 'expired', 'cancelled')",
            name=op.f("checkouts_state_check"),
        ),
        sa.ForeignKeyConstraint(["cart_id"], ["carts.id"], name=op.f("checkouts_cart_id_fkey")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("checkouts_store_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("checkouts_pkey")),
        sa.UniqueConstraint("store_id", "token", name=op.f("checkouts_store_id_token_key")),
    )
    op.create_index(
        "checkouts_expires_idx",
        "checkouts",
        ["expires_at"],
        unique=False,
        postgresql_where="state IN ('open', 'priced')",
    )
    op.create_index(
        "checkouts_open_key",
        "checkouts",
        ["store_id", "cart_id"],
        unique=True,
        postgresql_where="state IN ('open', 'priced', 'paying')",
    )
    op.create_index(
        "checkouts_paying_idx", "checkouts", ["held_until"], unique=False, postgresql_where="state = 'paying'"
    )
    op.create_table(
        "order_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("order_events_order_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("order_events_pkey")),
    )
    op.create_index(op.f("order_events_order_id_idx"), "order_events", ["order_id"], unique=False)
    op.create_table(
        "order_lines",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("variant_id", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("variant_title", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=True),
        sa.Column("image", sa.Text(), nullable=True),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("line_price", sa.BigInteger(), nullable=False),
        sa.Column("discount", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("tax_rate", sa.Integer(), nullable=False),
        sa.Column("grams", sa.Integer(), nullable=False),
        sa.Column("requires_shipping", sa.Boolean(), nullable=False),
        sa.CheckConstraint("line_price = price * quantity", name=op.f("order_lines_line_price_check")),
        sa.CheckConstraint("quantity > 0", name=op.f("order_lines_quantity_check")),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("order_lines_order_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("order_lines_pkey")),
    )
    op.create_index(op.f("order_lines_order_id_idx"), "order_lines", ["order_id"], unique=False)
    op.create_index(
        op.f("order_lines_store_id_variant_id_idx"), "order_lines", ["store_id", "variant_id"], unique=False
    )
    op.create_table(
        "order_links",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("order_links_order_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("order_links_pkey")),
    )
    op.create_index(op.f("order_links_expires_at_idx"), "order_links", ["expires_at"], unique=False)


def downgrade() -> None:
    op.drop_table("test_charges")
    op.drop_index(op.f("order_links_expires_at_idx"), table_name="order_links")
    op.drop_table("order_links")
    op.drop_index(op.f("order_lines_store_id_variant_id_idx"), table_name="order_lines")
    op.drop_index(op.f("order_lines_order_id_idx"), table_name="order_lines")
    op.drop_table("order_lines")
    op.drop_index(op.f("order_events_order_id_idx"), table_name="order_events")
    op.drop_table("order_events")
    op.drop_index("checkouts_paying_idx", table_name="checkouts", postgresql_where="state = 'paying'")
    op.drop_index(
        "checkouts_open_key", table_name="checkouts", postgresql_where="state IN ('open', 'priced', 'paying')"
    )
    op.drop_index(
        "checkouts_expires_idx", table_name="checkouts", postgresql_where="state IN ('open', 'priced')"
    )
    op.drop_table("checkouts")
    op.drop_table("cart_lines")
    op.drop_index(
        "payments_unfinished_idx",
        table_name="payments",
        postgresql_where="state IN ('started', 'action_needed', 'unknown')",
    )
    op.drop_index("payments_reference_idx", table_name="payments")
    op.drop_index(
        "payments_live_key",
        table_name="payments",
        postgresql_where="state IN ('started', 'action_needed', 'unknown', 'pending', 'captured')",
    )
    op.drop_table("payments")
    op.drop_index("orders_email_idx", table_name="orders")
    op.drop_index("orders_customer_idx", table_name="orders")
    op.drop_table("orders")
    op.drop_index("carts_expires_idx", table_name="carts")
    op.drop_index("carts_customer_key", table_name="carts", postgresql_where="customer_id IS NOT NULL")
    op.drop_table("carts")
    op.drop_table("payment_events")
