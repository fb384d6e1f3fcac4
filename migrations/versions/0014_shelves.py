"""Discovery: former handles of whatever has an address."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0011"
branch_labels = None
depends_on = None

# What has an address, and the column that is its last part.
NAMED = {
    "products": ("product", "handle"),
    "collections": ("collection", "handle"),
    "categories": ("category", "handle"),
    "pages": ("page", "slug"),
    "blog_posts": ("blog_post", "slug"),
    "blog_categories": ("blog_category", "slug"),
}
# Whichever write changes a handle leaves its redirect, in its own transaction: nothing can forget to.
KEEP_REDIRECT = """
    CREATE FUNCTION keep_redirect() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO redirects (store_id, kind, handle, target_id)
        VALUES (OLD.store_id, TG_ARGV[0], to_jsonb(OLD) ->> TG_ARGV[1], OLD.id)
        ON CONFLICT (store_id, kind, handle) DO UPDATE
            SET target_id = excluded.target_id, created_at = excluded.created_at;
        RETURN NULL;
    END $$
"""


def upgrade() -> None:
    op.create_table(
        "redirects",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("target_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("redirects_store_id_fkey")),
        sa.PrimaryKeyConstraint("store_id", "kind", "handle", name=op.f("redirects_pkey")),
        sa.CheckConstraint(
            "kind IN ('product', 'collection', 'category', 'page', 'blog_post', 'blog_category')",
            name=op.f("redirects_kind_check"),
        ),
    )
    op.execute(KEEP_REDIRECT)
    for table, (kind, column) in NAMED.items():
        op.execute(
            f"CREATE TRIGGER keep_redirect AFTER UPDATE OF {column} ON {table} FOR EACH ROW "
            f"WHEN (OLD.{column} <> NEW.{column}) EXECUTE FUNCTION keep_redirect('{kind}', '{column}')"
        )


def downgrade() -> None:
    for table in NAMED:
        op.execute(f"DROP TRIGGER keep_redirect ON {table}")
    op.execute("DROP FUNCTION keep_redirect()")
    op.drop_table("redirects")
