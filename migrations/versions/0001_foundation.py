"""Stores, stock, the ledger, the queue and idempotency records."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LEDGER_RULES = (
    """
    CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'restrict_violation';
    END $$
    """,
    """
    CREATE FUNCTION ledger_is_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (
            SELECT 1 FROM added GROUP BY transaction_id, currency HAVING sum(amount) <> 0
        ) THEN
            RAISE EXCEPTION 'a ledger transaction must sum to zero' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only()
    """,
    """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transactions
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only()
    """,
    """
    CREATE TRIGGER balanced AFTER INSERT ON ledger_entries REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_balanced()
    """,
)


def upgrade() -> None:
    op.create_table(
        "idempotency_records",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("key_digest", sa.LargeBinary(), nullable=False),
        sa.Column("body_digest", sa.LargeBinary(), nullable=False),
        sa.Column("made", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "key_digest", name=op.f("idempotency_records_pkey")),
    )
    op.create_index(
        op.f("idempotency_records_expires_at_idx"), "idempotency_records", ["expires_at"], unique=False
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("dedupe_key", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'parked')", name=op.f("jobs_state_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("jobs_pkey")),
        sa.UniqueConstraint("kind", "dedupe_key", name=op.f("jobs_kind_dedupe_key_key")),
    )
    op.create_index(
        "jobs_due_idx", "jobs", ["run_at", "id"], unique=False, postgresql_where="state = 'queued'"
    )
    op.create_index(
        "jobs_leased_idx", "jobs", ["lease_until"], unique=False, postgresql_where="state = 'running'"
    )
    op.create_table(
        "reservations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("checkout_id", sa.BigInteger(), nullable=False),
        sa.Column("variant_id", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="held", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('held', 'sold', 'released')", name=op.f("reservations_state_check")),
        sa.CheckConstraint("quantity > 0", name=op.f("reservations_quantity_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("reservations_pkey")),
        sa.UniqueConstraint(
            "store_id",
            "checkout_id",
            "variant_id",
            name=op.f("reservations_store_id_checkout_id_variant_id_key"),
        ),
    )
    op.create_index(
        "reservations_held_idx",
        "reservations",
        ["expires_at"],
        unique=False,
        postgresql_where="state = 'held'",
    )
    op.create_table(
        "stock_movements",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("variant_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("delta", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('stocked', 'sold', 'returned')", name=op.f("stock_movements_kind_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("stock_movements_pkey")),
    )
    op.create_index(
        op.f("stock_movements_store_id_variant_id_idx"),
        "stock_movements",
        ["store_id", "variant_id"],
        unique=False,
    )
    op.create_table(
        "stores",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("order_prefix", sa.Text(), server_default="#", nullable=False),
        sa.Column("tax_included", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("tax_shipping", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("cancellation_reasons", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("contact_subjects", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("settings", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("stores_currency_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("stores_pkey")),
        sa.UniqueConstraint("code", name=op.f("stores_code_key")),
        sa.UniqueConstraint("host", name=op.f("stores_host_key")),
    )
    op.create_table(
        "ledger_transactions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("ledger_transactions_store_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("ledger_transactions_pkey")),
        sa.UniqueConstraint("store_id", "key", name=op.f("ledger_transactions_store_id_key_key")),
    )
    op.create_table(
        "shipping_zones",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("countries", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("regions", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("shipping_zones_store_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("shipping_zones_pkey")),
        sa.UniqueConstraint("store_id", "name", name=op.f("shipping_zones_store_id_name_key")),
    )
    op.create_table(
        "stock_items",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("variant_id", sa.BigInteger(), nullable=False),
        sa.Column("tracked", sa.Boolean(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("on_hand", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reserved", sa.Integer(), server_default="0", nullable=False),
        sa.Column("floor", sa.Integer(), server_default="0", nullable=True),
        sa.Column(
            "available",
            sa.Boolean(),
            sa.Computed("NOT tracked OR floor IS NULL OR on_hand - reserved > floor", persisted=True),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(policy = 'continue') = (floor IS NULL)", name=op.f("stock_items_floor_of_policy_check")
        ),
        sa.CheckConstraint("policy IN ('deny', 'continue')", name=op.f("stock_items_policy_check")),
        sa.CheckConstraint("floor IS NULL OR on_hand >= floor", name=op.f("stock_items_floor_check")),
        sa.CheckConstraint("reserved >= 0", name=op.f("stock_items_reserved_check")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("stock_items_store_id_fkey")),
        sa.PrimaryKeyConstraint("store_id", "variant_id", name=op.f("stock_items_pkey")),
    )
    op.create_table(
        "store_payment_services",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("store_payment_services_store_id_fkey")
        ),
        sa.PrimaryKeyConstraint("store_id", "name", name=op.f("store_payment_services_pkey")),
    )
    op.create_table(
        "tax_rates",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rate", sa.Integer(), nullable=False),
        sa.CheckConstraint("rate >= 0", name=op.f("tax_rates_rate_check")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("tax_rates_store_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("tax_rates_pkey")),
        sa.UniqueConstraint(
            "store_id", "country", "region", "name", name=op.f("tax_rates_store_id_country_region_name_key")
        ),
    )
    op.create_table(
        "ledger_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["ledger_transactions.id"], name=op.f("ledger_entries_transaction_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("ledger_entries_pkey")),
    )
    op.create_index(
        op.f("ledger_entries_store_id_order_id_idx"), "ledger_entries", ["store_id", "order_id"], unique=False
    )
    op.create_index(
        op.f("ledger_entries_transaction_id_idx"), "ledger_entries", ["transaction_id"], unique=False
    )
    op.create_table(
        "shipping_options",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("zone_id", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("free_from", sa.BigInteger(), nullable=True),
        sa.Column("min_weight_grams", sa.Integer(), nullable=True),
        sa.Column("max_weight_grams", sa.Integer(), nullable=True),
        sa.Column("min_price", sa.BigInteger(), nullable=True),
        sa.Column("max_price", sa.BigInteger(), nullable=True),
        sa.Column("min_days", sa.Integer(), nullable=True),
        sa.Column("max_days", sa.Integer(), nullable=True),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("price >= 0", name=op.f("shipping_options_price_check")),
        sa.ForeignKeyConstraint(
            ["zone_id"], ["shipping_zones.id"], name=op.f("shipping_options_zone_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("shipping_options_pkey")),
        sa.UniqueConstraint(
            "store_id", "zone_id", "title", name=op.f("shipping_options_store_id_zone_id_title_key")
        ),
    )
    op.create_index(op.f("shipping_options_zone_id_idx"), "shipping_options", ["zone_id"], unique=False)
    for statement in LEDGER_RULES:
        op.execute(statement)


def downgrade() -> None:
    op.drop_index(op.f("shipping_options_zone_id_idx"), table_name="shipping_options")
    op.drop_table("shipping_options")
    op.drop_index(op.f("ledger_entries_transaction_id_idx"), table_name="ledger_entries")
    op.drop_index(op.f("ledger_entries_store_id_order_id_idx"), table_name="ledger_entries")
    op.drop_table("ledger_entries")
    op.drop_table("tax_rates")
    op.drop_table("store_payment_services")
    op.drop_table("stock_items")
    op.drop_table("shipping_zones")
    op.drop_table("ledger_transactions")
    op.drop_table("stores")
    op.drop_index(op.f("stock_movements_store_id_variant_id_idx"), table_name="stock_movements")
    op.drop_table("stock_movements")
    op.drop_index("reservations_held_idx", table_name="reservations", postgresql_where="state = 'held'")
    op.drop_table("reservations")
    op.drop_index("jobs_leased_idx", table_name="jobs", postgresql_where="state = 'running'")
    op.drop_index("jobs_due_idx", table_name="jobs", postgresql_where="state = 'queued'")
    op.drop_table("jobs")
    op.drop_index(op.f("idempotency_records_expires_at_idx"), table_name="idempotency_records")
    op.drop_table("idempotency_records")
    op.execute("DROP FUNCTION ledger_is_balanced()")
    op.execute("DROP FUNCTION ledger_is_append_only()")
