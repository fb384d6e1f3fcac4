"""Products, variants, collections, categories, their documents, and what search needs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Dictionaries of PostgreSQL itself, by the language of a store; each gets a configuration that folds
# accents first. A language without one uses storefront_simple.
LANGUAGES = (
    "danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian",
    "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish", "turkish", "simple",
)  # fmt: skip

TABLES = (
    "categories",
    "collections",
    "product_types",
    "search_words",
    "category_collections",
    "products",
    "collection_products",
    "product_documents",
    "product_images",
    "product_options",
    "variants",
    "market_prices",
    "option_values",
    "variant_documents",
    "variant_values",
)


def create_search_configurations() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute("CREATE EXTENSION IF NOT EXISTS unaccent")
    for language in LANGUAGES:
        stem = "simple" if language == "simple" else f"{language}_stem"
        op.execute(f"CREATE TEXT SEARCH CONFIGURATION storefront_{language} (COPY = {language})")
        op.execute(
            f"ALTER TEXT SEARCH CONFIGURATION storefront_{language} "
            f"ALTER MAPPING FOR hword, hword_part, word WITH unaccent, {stem}"
        )


def upgrade() -> None:
    create_search_configurations()
    op.create_table(
        "categories",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body_html", sa.Text(), server_default="", nullable=False),
        sa.Column("visible", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("seo_title", sa.Text(), server_default="", nullable=False),
        sa.Column("seo_description", sa.Text(), server_default="", nullable=False),
        sa.Column("seo_keywords", sa.Text(), server_default="", nullable=False),
        sa.Column("media", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("parent_id <> id", name="categories_parent_check"),
        sa.ForeignKeyConstraint(
            ["store_id", "parent_id"],
            ["categories.store_id", "categories.id"],
            name="categories_store_id_parent_id_fkey",
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name="categories_store_id_fkey"),
        sa.PrimaryKeyConstraint("store_id", "id", name="categories_pkey"),
        sa.UniqueConstraint("store_id", "handle", name="categories_store_id_handle_key"),
    )
    op.create_index("categories_parent_idx", "categories", ["store_id", "parent_id", "position"])
    op.create_table(
        "collections",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body_html", sa.Text(), server_default="", nullable=False),
        sa.Column("visible", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("seo_title", sa.Text(), server_default="", nullable=False),
        sa.Column("seo_description", sa.Text(), server_default="", nullable=False),
        sa.Column("seo_keywords", sa.Text(), server_default="", nullable=False),
        sa.Column("media", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("kind", sa.Text(), server_default="manual", nullable=False),
        sa.Column("condition", sa.Text(), server_default="all", nullable=False),
        sa.Column("rules", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("sort_order", sa.Text(), server_default="manual", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("condition IN ('all', 'any')", name="collections_condition_check"),
        sa.CheckConstraint("kind IN ('manual', 'rule')", name="collections_kind_check"),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name="collections_store_id_fkey"),
        sa.PrimaryKeyConstraint("store_id", "id", name="collections_pkey"),
        sa.UniqueConstraint("store_id", "handle", name="collections_store_id_handle_key"),
    )
    op.create_table(
        "product_types",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name="product_types_store_id_fkey"),
        sa.PrimaryKeyConstraint("store_id", "id", name="product_types_pkey"),
        sa.UniqueConstraint("store_id", "name", name="product_types_store_id_name_key"),
    )
    op.create_table(
        "search_words",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("word", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name="search_words_store_id_fkey"),
        sa.PrimaryKeyConstraint("store_id", "word", name="search_words_pkey"),
    )
    op.create_index(
        "search_words_trgm_idx",
        "search_words",
        ["word"],
        postgresql_using="gin",
        postgresql_ops={"word": "gin_trgm_ops"},
    )
    op.create_table(
        "category_collections",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("category_id", sa.BigInteger(), nullable=False),
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id", "category_id"],
            ["categories.store_id", "categories.id"],
            name="category_collections_store_id_category_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["store_id", "collection_id"],
            ["collections.store_id", "collections.id"],
            name="category_collections_store_id_collection_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("store_id", "category_id", "collection_id", name="category_collections_pkey"),
    )
    op.create_index(
        "category_collections_collection_idx",
        "category_collections",
        ["store_id", "collection_id"],
    )
    op.create_table(
        "products",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body_html", sa.Text(), server_default="", nullable=False),
        sa.Column("vendor", sa.Text(), server_default="", nullable=False),
        sa.Column("type_id", sa.BigInteger(), nullable=True),
        sa.Column("product_category", sa.Text(), server_default="", nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("published", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("template_suffix", sa.Text(), server_default="", nullable=False),
        sa.Column("published_scope", sa.Text(), server_default="web", nullable=False),
        sa.Column("gift_card", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("seo_title", sa.Text(), server_default="", nullable=False),
        sa.Column("seo_description", sa.Text(), server_default="", nullable=False),
        sa.Column("metafields", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("related", postgresql.ARRAY(sa.BigInteger()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column(
            "listed",
            sa.Boolean(),
            sa.Computed("status = 'active' AND published", persisted=True),
            nullable=False,
        ),
        sa.Column("lead_variant_id", sa.BigInteger(), nullable=True),
        sa.Column("sold", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("search", postgresql.TSVECTOR(), nullable=True),
        sa.CheckConstraint("status IN ('active', 'draft', 'archived')", name="products_status_check"),
        sa.ForeignKeyConstraint(
            ["store_id", "type_id"],
            ["product_types.store_id", "product_types.id"],
            name="products_store_id_type_id_fkey",
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name="products_store_id_fkey"),
        sa.PrimaryKeyConstraint("store_id", "id", name="products_pkey"),
        sa.UniqueConstraint("store_id", "handle", name="products_store_id_handle_key"),
    )
    op.create_index(
        "products_by_date_idx",
        "products",
        ["store_id", "created_at", "id"],
        postgresql_where=sa.text("listed"),
    )
    op.create_index("products_search_idx", "products", ["search"], postgresql_using="gin")
    op.create_index("products_tags_idx", "products", ["tags"], postgresql_using="gin")
    op.create_index("products_type_idx", "products", ["store_id", "type_id"])
    op.create_table(
        "collection_products",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("sort_text", sa.Text(), server_default="", nullable=False),
        sa.Column("listed", sa.Boolean(), server_default="true", nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id", "collection_id"],
            ["collections.store_id", "collections.id"],
            name="collection_products_store_id_collection_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["store_id", "product_id"],
            ["products.store_id", "products.id"],
            name="collection_products_store_id_product_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("store_id", "collection_id", "product_id", name="collection_products_pkey"),
    )
    op.create_index(
        "collection_products_page_idx",
        "collection_products",
        ["store_id", "collection_id", "position", "sort_text", "product_id"],
        postgresql_where=sa.text("listed"),
    )
    op.create_index("collection_products_product_idx", "collection_products", ["store_id", "product_id"])
    op.create_table(
        "product_documents",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("brief", sa.Text(), nullable=False),
        sa.Column("images", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("page", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id", "product_id"],
            ["products.store_id", "products.id"],
            name="product_documents_store_id_product_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("store_id", "product_id", name="product_documents_pkey"),
        postgresql_with={"toast_tuple_target": 8160},
    )
    op.create_table(
        "product_images",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("src", sa.Text(), nullable=False),
        sa.Column("alt", sa.Text(), server_default="", nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id", "product_id"],
            ["products.store_id", "products.id"],
            name="product_images_store_id_product_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("store_id", "id", name="product_images_pkey"),
    )
    op.create_index("product_images_product_idx", "product_images", ["store_id", "product_id", "position"])
    op.create_table(
        "product_options",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("linked_to", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("position BETWEEN 1 AND 3", name="product_options_position_check"),
        sa.ForeignKeyConstraint(
            ["store_id", "product_id"],
            ["products.store_id", "products.id"],
            name="product_options_store_id_product_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("store_id", "id", name="product_options_pkey"),
        sa.UniqueConstraint(
            "store_id",
            "product_id",
            "position",
            name="product_options_store_id_product_id_position_key",
        ),
    )
    op.create_table(
        "variants",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), server_default="", nullable=False),
        sa.Column("barcode", sa.Text(), server_default="", nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("compare_at_price", sa.BigInteger(), nullable=True),
        sa.Column("cost", sa.BigInteger(), nullable=True),
        sa.Column("grams", sa.Numeric(precision=14, scale=4), server_default="0", nullable=False),
        sa.Column("weight_unit", sa.Text(), server_default="g", nullable=False),
        sa.Column("taxable", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("tax_code", sa.Text(), server_default="", nullable=False),
        sa.Column("requires_shipping", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("fulfillment_service", sa.Text(), server_default="manual", nullable=False),
        sa.Column("inventory_management", sa.Text(), server_default="", nullable=False),
        sa.Column("image_id", sa.BigInteger(), nullable=True),
        sa.Column("seo_title", sa.Text(), server_default="", nullable=False),
        sa.Column("seo_description", sa.Text(), server_default="", nullable=False),
        sa.Column("metafields", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("listed", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("type_id", sa.BigInteger(), nullable=True),
        sa.Column("full_title", sa.Text(), server_default="", nullable=False),
        sa.Column("facets", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("sold", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("compare_at_price >= 0", name="variants_compare_at_price_check"),
        sa.CheckConstraint("cost >= 0", name="variants_cost_check"),
        sa.CheckConstraint("grams >= 0", name="variants_grams_check"),
        sa.CheckConstraint("price >= 0", name="variants_price_check"),
        sa.ForeignKeyConstraint(
            ["store_id", "product_id"],
            ["products.store_id", "products.id"],
            name="variants_store_id_product_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("store_id", "id", name="variants_pkey"),
    )
    op.create_index(
        "variants_barcode_idx",
        "variants",
        ["store_id", "barcode"],
        postgresql_where=sa.text("barcode <> ''"),
    )
    op.create_index(
        "variants_by_date_idx",
        "variants",
        ["store_id", "created_at", "id"],
        postgresql_where=sa.text("listed"),
    )
    op.create_index(
        "variants_by_price_idx",
        "variants",
        ["store_id", "price", "id"],
        postgresql_where=sa.text("listed"),
    )
    op.create_index(
        "variants_by_sold_idx",
        "variants",
        ["store_id", "sold", "id"],
        postgresql_where=sa.text("listed"),
    )
    op.create_index(
        "variants_by_title_idx",
        "variants",
        ["store_id", "full_title", "id"],
        postgresql_where=sa.text("listed"),
    )
    op.create_index("variants_facets_idx", "variants", ["facets"], postgresql_using="gin")
    op.create_index("variants_product_idx", "variants", ["store_id", "product_id", "position"])
    op.create_index(
        "variants_sku_idx",
        "variants",
        ["store_id", sa.literal_column("lower(sku)")],
        postgresql_where=sa.text("sku <> ''"),
    )
    op.create_index(
        "variants_type_idx",
        "variants",
        ["store_id", "type_id"],
        postgresql_where=sa.text("listed"),
    )
    op.create_table(
        "market_prices",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("variant_id", sa.BigInteger(), nullable=False),
        sa.Column("market", sa.Text(), nullable=False),
        sa.Column("included", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=True),
        sa.Column("compare_at_price", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["store_id", "variant_id"],
            ["variants.store_id", "variants.id"],
            name="market_prices_store_id_variant_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("store_id", "variant_id", "market", name="market_prices_pkey"),
    )
    op.create_table(
        "option_values",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("option_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id", "option_id"],
            ["product_options.store_id", "product_options.id"],
            name="option_values_store_id_option_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("store_id", "id", name="option_values_pkey"),
        sa.UniqueConstraint(
            "store_id", "option_id", "name", name="option_values_store_id_option_id_name_key"
        ),
    )
    op.create_table(
        "variant_documents",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("variant_id", sa.BigInteger(), nullable=False),
        sa.Column("core", sa.Text(), nullable=False),
        sa.Column("flat", sa.Text(), nullable=False),
        sa.Column("nested", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("specs_list", sa.Text(), nullable=False),
        sa.Column("specs_object", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id", "variant_id"],
            ["variants.store_id", "variants.id"],
            name="variant_documents_store_id_variant_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("store_id", "variant_id", name="variant_documents_pkey"),
        postgresql_with={"toast_tuple_target": 8160},
    )
    op.create_table(
        "variant_values",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("variant_id", sa.BigInteger(), nullable=False),
        sa.Column("option_id", sa.BigInteger(), nullable=False),
        sa.Column("value_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id", "option_id"],
            ["product_options.store_id", "product_options.id"],
            name="variant_values_store_id_option_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["store_id", "value_id"],
            ["option_values.store_id", "option_values.id"],
            name="variant_values_store_id_value_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["store_id", "variant_id"],
            ["variants.store_id", "variants.id"],
            name="variant_values_store_id_variant_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("store_id", "variant_id", "option_id", name="variant_values_pkey"),
    )
    op.create_index("variant_values_value_idx", "variant_values", ["store_id", "value_id"])


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    for language in LANGUAGES:
        op.execute(f"DROP TEXT SEARCH CONFIGURATION storefront_{language}")
    # The extensions stay: others may use them, and IF NOT EXISTS finds them again.
