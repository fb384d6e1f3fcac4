"""Promotions and their coupons, prices by quantity and customer group, tax by class."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

NO_COUPONS = """
    CREATE VIEW audit.coupons AS
    SELECT NULL::bigint AS coupon_id, NULL::text AS customer_ref, NULL::bigint AS uses,
        NULL::integer AS max_uses, NULL::integer AS max_per_customer
    WHERE false
"""
# A customer is an account, or whoever has a mail address: of that the digest's beginning tells enough.
COUPONS = """
    CREATE VIEW audit.coupons AS
    SELECT c.id AS coupon_id,
        CASE WHEN u.customer_id IS NOT NULL THEN 'customer ' || u.customer_id
            ELSE 'mail ' || coalesce(left(encode(u.email_digest, 'hex'), 16), 'unknown') END AS customer_ref,
        count(*) AS uses, least(c.max_uses, p.max_uses) AS max_uses, p.max_per_customer
    FROM coupon_uses u
    JOIN coupons c ON c.store_id = u.store_id AND c.id = u.coupon_id
    JOIN promotions p ON p.store_id = c.store_id AND p.id = c.promotion_id
    WHERE u.state <> 'returned'
    GROUP BY c.id, p.id, 2
"""
MEANING = "How often a customer used a coupon, or holds a use of it, and how often it may be used in all and by each."


def upgrade() -> None:
    op.create_table(
        "promotions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("automatic", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("combines", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("scope_kind", sa.Text(), server_default="all", nullable=False),
        sa.Column("scope_ids", postgresql.ARRAY(sa.BigInteger()), server_default="{}", nullable=False),
        sa.Column("minimum_purchase", sa.BigInteger(), nullable=True),
        sa.Column("minimum_quantity", sa.Integer(), nullable=True),
        sa.Column("limit_items", sa.Integer(), nullable=True),
        sa.Column("buy_quantity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("get_quantity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reward_kind", sa.Text(), nullable=True),
        sa.Column("reward_ids", postgresql.ARRAY(sa.BigInteger()), server_default="{}", nullable=False),
        sa.Column("gift_variant_id", sa.BigInteger(), nullable=True),
        sa.Column("customer_ids", postgresql.ARRAY(sa.BigInteger()), server_default="{}", nullable=False),
        sa.Column("groups", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("countries", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("first_order", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("max_uses", sa.Integer(), nullable=True),
        sa.Column("max_per_customer", sa.Integer(), nullable=True),
        sa.Column("uses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(kind = 'gift') = (gift_variant_id IS NOT NULL)", name=op.f("promotions_gift_check")
        ),
        sa.CheckConstraint(
            "kind IN ('percent', 'fixed_amount', 'fixed_price', 'free_shipping', 'buy_x_get_y', 'gift')",
            name=op.f("promotions_kind_check"),
        ),
        sa.CheckConstraint(
            "reward_kind IN ('all', 'collections', 'products', 'variants', 'types')",
            name=op.f("promotions_reward_kind_check"),
        ),
        sa.CheckConstraint(
            "scope_kind IN ('all', 'collections', 'products', 'variants', 'types')",
            name=op.f("promotions_scope_kind_check"),
        ),
        sa.CheckConstraint("max_per_customer > 0", name=op.f("promotions_max_per_customer_check")),
        sa.CheckConstraint("uses >= 0 AND uses <= max_uses", name=op.f("promotions_uses_check")),
        sa.CheckConstraint("value >= 0", name=op.f("promotions_value_check")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("promotions_store_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("promotions_pkey")),
        sa.UniqueConstraint("store_id", "handle", name=op.f("promotions_store_id_handle_key")),
    )
    op.create_index(
        "promotions_automatic_idx",
        "promotions",
        ["store_id"],
        unique=False,
        postgresql_where=sa.text("automatic AND enabled"),
    )
    op.create_table(
        "coupons",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("promotion_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("code_key", sa.Text(), nullable=False),
        sa.Column("max_uses", sa.Integer(), nullable=True),
        sa.Column("uses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("uses >= 0 AND uses <= max_uses", name=op.f("coupons_uses_check")),
        sa.ForeignKeyConstraint(
            ["promotion_id"], ["promotions.id"], name=op.f("coupons_promotion_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("coupons_pkey")),
        sa.UniqueConstraint("store_id", "code_key", name=op.f("coupons_store_id_code_key_key")),
    )
    op.create_index(op.f("coupons_promotion_id_idx"), "coupons", ["promotion_id"], unique=False)
    op.create_table(
        "coupon_uses",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("promotion_id", sa.BigInteger(), nullable=False),
        sa.Column("coupon_id", sa.BigInteger(), nullable=True),
        sa.Column("checkout_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("email_digest", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('held', 'used', 'returned')", name=op.f("coupon_uses_state_check")),
        sa.ForeignKeyConstraint(
            ["coupon_id"], ["coupons.id"], name=op.f("coupon_uses_coupon_id_fkey"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["promotion_id"],
            ["promotions.id"],
            name=op.f("coupon_uses_promotion_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("coupon_uses_pkey")),
        sa.UniqueConstraint(
            "store_id",
            "checkout_id",
            "promotion_id",
            name=op.f("coupon_uses_store_id_checkout_id_promotion_id_key"),
        ),
    )
    op.create_index(op.f("coupon_uses_coupon_id_idx"), "coupon_uses", ["coupon_id"], unique=False)
    op.create_index("coupon_uses_customer_idx", "coupon_uses", ["promotion_id", "customer_id"], unique=False)
    op.create_index("coupon_uses_email_idx", "coupon_uses", ["promotion_id", "email_digest"], unique=False)
    op.create_table(
        "unit_prices",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("variant_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_group", sa.Text(), nullable=False),
        sa.Column("minimum", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("minimum >= 1", name=op.f("unit_prices_minimum_check")),
        sa.CheckConstraint("price >= 0", name=op.f("unit_prices_price_check")),
        sa.ForeignKeyConstraint(
            ["store_id", "variant_id"],
            ["variants.store_id", "variants.id"],
            name=op.f("unit_prices_store_id_variant_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "store_id", "variant_id", "customer_group", "minimum", name=op.f("unit_prices_pkey")
        ),
    )
    op.add_column(
        "customers", sa.Column("groups", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False)
    )
    op.add_column(
        "order_lines",
        sa.Column("discounts", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
    )
    op.add_column("order_lines", sa.Column("gift", sa.Boolean(), server_default="false", nullable=False))
    op.add_column(
        "orders",
        sa.Column("discounts", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
    )
    op.add_column("tax_rates", sa.Column("tax_class", sa.Text(), server_default="", nullable=False))
    op.drop_constraint(op.f("tax_rates_store_id_country_region_name_key"), "tax_rates", type_="unique")
    op.create_unique_constraint(
        op.f("tax_rates_store_id_country_region_name_tax_class_key"),
        "tax_rates",
        ["store_id", "country", "region", "name", "tax_class"],
    )
    op.execute("DROP VIEW audit.coupons")
    op.execute(COUPONS)
    op.execute(f"COMMENT ON VIEW audit.coupons IS '{MEANING}'")


def downgrade() -> None:
    op.execute("DROP VIEW audit.coupons")
    op.execute(NO_COUPONS)
    op.execute("DELETE FROM tax_rates WHERE tax_class <> ''")
    op.drop_constraint(
        op.f("tax_rates_store_id_country_region_name_tax_class_key"), "tax_rates", type_="unique"
    )
    op.create_unique_constraint(
        op.f("tax_rates_store_id_country_region_name_key"),
        "tax_rates",
        ["store_id", "country", "region", "name"],
    )
    op.drop_column("tax_rates", "tax_class")
    op.drop_column("orders", "discounts")
    op.drop_column("order_lines", "gift")
    op.drop_column("order_lines", "discounts")
    op.drop_column("customers", "groups")
    op.drop_table("unit_prices")
    op.drop_index("coupon_uses_email_idx", table_name="coupon_uses")
    op.drop_index("coupon_uses_customer_idx", table_name="coupon_uses")
    op.drop_index(op.f("coupon_uses_coupon_id_idx"), table_name="coupon_uses")
    op.drop_table("coupon_uses")
    op.drop_index(op.f("coupons_promotion_id_idx"), table_name="coupons")
    op.drop_table("coupons")
    op.drop_index(
        "promotions_automatic_idx", table_name="promotions", postgresql_where=sa.text("automatic AND enabled")
    )
    op.drop_table("promotions")
