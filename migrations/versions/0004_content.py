"""Blog categories, posts, pages, reviews, questions and the figures made of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = ("review_stats", "product_questions", "product_reviews", "pages", "blog_posts", "blog_categories")


def upgrade() -> None:
    op.create_table(
        "blog_categories",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("meta_title", sa.Text(), server_default="", nullable=False),
        sa.Column("meta_description", sa.Text(), server_default="", nullable=False),
        sa.Column("meta_keywords", sa.Text(), server_default="", nullable=False),
        sa.Column("redirect_url", sa.Text(), server_default="", nullable=False),
        sa.Column("template_suffix", sa.Text(), server_default="", nullable=False),
        sa.Column("media", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("additional_info", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("visible", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("parent_id <> id", name="blog_categories_parent_check"),
        sa.ForeignKeyConstraint(
            ["store_id", "parent_id"],
            ["blog_categories.store_id", "blog_categories.id"],
            name="blog_categories_store_id_parent_id_fkey",
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name="blog_categories_store_id_fkey"),
        sa.PrimaryKeyConstraint("store_id", "id", name="blog_categories_pkey"),
        sa.UniqueConstraint("store_id", "slug", name="blog_categories_store_id_slug_key"),
    )
    op.create_table(
        "pages",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), server_default="", nullable=False),
        sa.Column("meta_title", sa.Text(), server_default="", nullable=False),
        sa.Column("meta_description", sa.Text(), server_default="", nullable=False),
        sa.Column("meta_keywords", sa.Text(), server_default="", nullable=False),
        sa.Column("template_suffix", sa.Text(), server_default="", nullable=False),
        sa.Column("visible", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name="pages_store_id_fkey"),
        sa.PrimaryKeyConstraint("store_id", "id", name="pages_pkey"),
        sa.UniqueConstraint("store_id", "slug", name="pages_store_id_slug_key"),
    )
    op.create_table(
        "blog_posts",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("category_id", sa.BigInteger(), nullable=True),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("excerpt", sa.Text(), server_default="", nullable=False),
        sa.Column("content", sa.Text(), server_default="", nullable=False),
        sa.Column("author", sa.Text(), server_default="", nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("media", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("meta_title", sa.Text(), server_default="", nullable=False),
        sa.Column("meta_description", sa.Text(), server_default="", nullable=False),
        sa.Column("meta_keywords", sa.Text(), server_default="", nullable=False),
        sa.Column("visible", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("views", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id", "category_id"],
            ["blog_categories.store_id", "blog_categories.id"],
            name="blog_posts_store_id_category_id_fkey",
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name="blog_posts_store_id_fkey"),
        sa.PrimaryKeyConstraint("store_id", "id", name="blog_posts_pkey"),
        sa.UniqueConstraint("store_id", "slug", name="blog_posts_store_id_slug_key"),
    )
    op.create_index(
        "blog_posts_category_idx",
        "blog_posts",
        ["store_id", "category_id", sa.text("published_at DESC")],
        unique=False,
    )
    op.create_index(
        "blog_posts_newest_idx",
        "blog_posts",
        ["store_id", sa.text("published_at DESC"), sa.text("id DESC")],
        unique=False,
        postgresql_where=sa.text("visible"),
    )
    op.create_index("blog_posts_tags_idx", "blog_posts", ["tags"], unique=False, postgresql_using="gin")
    op.create_table(
        "product_questions",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("variant_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("related_to", sa.BigInteger(), nullable=True),
        sa.Column("type", sa.Text(), server_default="question", nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text(), server_default="", nullable=False),
        sa.Column("user_email", sa.Text(), server_default="", nullable=False),
        sa.Column("reviewed_by", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(type = 'answer') = (related_to IS NOT NULL)", name="product_questions_related_to_check"
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'approved', 'rejected')", name="product_questions_status_check"
        ),
        sa.CheckConstraint("type IN ('question', 'answer')", name="product_questions_type_check"),
        sa.ForeignKeyConstraint(
            ["store_id", "product_id"],
            ["products.store_id", "products.id"],
            name="product_questions_store_id_product_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["store_id", "related_to"],
            ["product_questions.store_id", "product_questions.id"],
            name="product_questions_store_id_related_to_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name="product_questions_store_id_fkey"),
        sa.PrimaryKeyConstraint("store_id", "id", name="product_questions_pkey"),
    )
    op.create_index(
        "product_questions_related_idx", "product_questions", ["store_id", "related_to"], unique=False
    )
    op.create_index(
        "product_questions_shown_idx",
        "product_questions",
        ["store_id", "product_id", sa.text("created_at DESC")],
        unique=False,
        postgresql_where=sa.text("status = 'approved'"),
    )
    op.create_table(
        "product_reviews",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("variant_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("rating", sa.Numeric(precision=2, scale=1), nullable=False),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("user_name", sa.Text(), server_default="", nullable=False),
        sa.Column("user_email", sa.Text(), server_default="", nullable=False),
        sa.Column("verified", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("images", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("reviewed_by", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('pending', 'approved', 'rejected')", name="product_reviews_status_check"
        ),
        sa.CheckConstraint(
            "rating BETWEEN 1 AND 5 AND rating * 2 = trunc(rating * 2)", name="product_reviews_rating_check"
        ),
        sa.ForeignKeyConstraint(
            ["store_id", "product_id"],
            ["products.store_id", "products.id"],
            name="product_reviews_store_id_product_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name="product_reviews_store_id_fkey"),
        sa.PrimaryKeyConstraint("store_id", "id", name="product_reviews_pkey"),
    )
    op.create_index(
        "product_reviews_shown_idx",
        "product_reviews",
        ["store_id", "product_id", sa.text("created_at DESC")],
        unique=False,
        postgresql_where=sa.text("status = 'approved'"),
    )
    op.create_index(
        "product_reviews_waiting_idx",
        "product_reviews",
        ["store_id", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_table(
        "review_stats",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("rating", sa.Numeric(precision=3, scale=2), server_default="0", nullable=False),
        sa.Column("count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("questions", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id", "product_id"],
            ["products.store_id", "products.id"],
            name="review_stats_store_id_product_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name="review_stats_store_id_fkey"),
        sa.PrimaryKeyConstraint("store_id", "product_id", name="review_stats_pkey"),
    )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
