"""Discovery: former handles of whatever has an address, and who is to be told that something is back."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
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

# Whichever write brings stock back finds out who waits for it: a count, a reservation that ends, a return.
# Stock is locked before wishes, as it is where somebody begins to wait.
TELL_RETURNED = """
    CREATE FUNCTION tell_returned() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        returned bigint;
    BEGIN
        IF TG_TABLE_NAME = 'variants' THEN
            returned := NEW.id;
        ELSE
            returned := NEW.variant_id;
        END IF;
        UPDATE stock_wishes SET state = 'due'
        WHERE store_id = NEW.store_id AND variant_id = returned AND state <> 'mailing';
        IF FOUND THEN
            INSERT INTO jobs (store_id, kind, dedupe_key, payload, run_at)
            VALUES (NEW.store_id, 'catalogue.returned', NEW.store_id || ':' || pg_current_xact_id(), '{}', now())
            ON CONFLICT (kind, dedupe_key) DO NOTHING;
            PERFORM pg_notify('storefront_jobs', '');
        END IF;
        RETURN NULL;
    END $$
"""
RETURNS = {"stock_items": "available", "variants": "listed"}


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
    op.create_table(
        "stock_wishes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("variant_id", sa.BigInteger(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'due', 'mailing')", name=op.f("stock_wishes_state_check")),
        sa.ForeignKeyConstraint(
            ["store_id", "variant_id"],
            ["variants.store_id", "variants.id"],
            name=op.f("stock_wishes_store_id_variant_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("stock_wishes_pkey")),
        sa.UniqueConstraint(
            "store_id", "variant_id", "email_key", name=op.f("stock_wishes_store_id_variant_id_email_key_key")
        ),
    )
    op.create_index("stock_wishes_address_idx", "stock_wishes", ["store_id", "email_key"])
    op.create_index("stock_wishes_age_idx", "stock_wishes", ["created_at"])
    op.execute(TELL_RETURNED)
    for table, column in RETURNS.items():
        op.execute(
            f"CREATE TRIGGER tell_returned AFTER UPDATE ON {table} FOR EACH ROW "
            f"WHEN (NEW.{column} AND NOT OLD.{column}) EXECUTE FUNCTION tell_returned()"
        )


def downgrade() -> None:
    for table in RETURNS:
        op.execute(f"DROP TRIGGER tell_returned ON {table}")
    op.execute("DROP FUNCTION tell_returned()")
    op.drop_table("stock_wishes")
    for table in NAMED:
        op.execute(f"DROP TRIGGER keep_redirect ON {table}")
    op.execute("DROP FUNCTION keep_redirect()")
    op.drop_table("redirects")
