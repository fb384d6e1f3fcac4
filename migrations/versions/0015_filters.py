"""Filters: the combinations of option values that variants have, and the indexes that lists are narrowed by."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# Whichever write changes the facets of a variant finds the row of their combination, or makes it.
KEEP_FACET_SET = """
    CREATE FUNCTION keep_facet_set() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        wanted text := md5(array_to_string(NEW.facets, E'\\x01'));
    BEGIN
        SELECT id INTO NEW.facet_set_id FROM facet_sets WHERE store_id = NEW.store_id AND digest = wanted;
        IF NOT FOUND THEN
            INSERT INTO facet_sets (store_id, facets, digest) VALUES (NEW.store_id, NEW.facets, wanted)
            ON CONFLICT (store_id, digest) DO UPDATE SET digest = excluded.digest
            RETURNING id INTO NEW.facet_set_id;
        END IF;
        RETURN NEW;
    END $$
"""

# Whichever write moves stock has collections with a rule about stock looked through by the worker, where the
# store has such a collection: a sale itself touches nothing but its own stock rows and the queue.
FOLLOW_STOCK = """
    CREATE FUNCTION follow_stock() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        moved CONSTANT text := 'catalogue.stock_moved';
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO jobs (store_id, kind, dedupe_key, payload, run_at)
            SELECT n.store_id, moved, gen_random_uuid(), jsonb_build_object('variant_ids', jsonb_agg(n.variant_id)), now()
            FROM new_rows n
            WHERE EXISTS (SELECT FROM collections c
                WHERE c.store_id = n.store_id AND c.kind = 'rule' AND c.rules @> '[{"field": "stock"}]')
            GROUP BY n.store_id;
        ELSE
            INSERT INTO jobs (store_id, kind, dedupe_key, payload, run_at)
            SELECT n.store_id, moved, gen_random_uuid(), jsonb_build_object('variant_ids', jsonb_agg(n.variant_id)), now()
            FROM new_rows n JOIN old_rows o ON o.store_id = n.store_id AND o.variant_id = n.variant_id
            WHERE o.on_hand - o.reserved <> n.on_hand - n.reserved AND EXISTS (SELECT FROM collections c
                WHERE c.store_id = n.store_id AND c.kind = 'rule' AND c.rules @> '[{"field": "stock"}]')
            GROUP BY n.store_id;
        END IF;
        IF FOUND THEN
            PERFORM pg_notify('storefront_jobs', '');
        END IF;
        RETURN NULL;
    END $$
"""

# A rating is the product's and an order of its variants: whichever write changes one changes the other.
KEEP_RATING = """
    CREATE FUNCTION keep_rating() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_TABLE_NAME = 'variants' THEN
            NEW.rating := coalesce((SELECT r.rating FROM review_stats r
                WHERE r.store_id = NEW.store_id AND r.product_id = NEW.product_id), 0);
            RETURN NEW;
        END IF;
        IF TG_OP = 'DELETE' THEN
            UPDATE variants SET rating = 0
            WHERE store_id = OLD.store_id AND product_id = OLD.product_id AND rating <> 0;
        ELSE
            UPDATE variants SET rating = NEW.rating
            WHERE store_id = NEW.store_id AND product_id = NEW.product_id AND rating <> NEW.rating;
        END IF;
        RETURN NULL;
    END $$
"""


def upgrade() -> None:
    op.create_table(
        "facet_sets",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("facets", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("facet_sets_store_id_fkey")),
        sa.PrimaryKeyConstraint("store_id", "id", name=op.f("facet_sets_pkey")),
        sa.UniqueConstraint("store_id", "digest", name=op.f("facet_sets_store_id_digest_key")),
    )
    op.add_column("variants", sa.Column("facet_set_id", sa.BigInteger(), nullable=True))
    op.execute(KEEP_FACET_SET)
    op.execute(
        "CREATE TRIGGER keep_facet_set BEFORE INSERT OR UPDATE OF facets ON variants "
        "FOR EACH ROW EXECUTE FUNCTION keep_facet_set()"
    )
    op.add_column(
        "variants", sa.Column("rating", sa.Numeric(precision=3, scale=2), server_default="0", nullable=False)
    )
    op.execute(KEEP_RATING)
    op.execute(
        "CREATE TRIGGER keep_rating BEFORE INSERT ON variants FOR EACH ROW EXECUTE FUNCTION keep_rating()"
    )
    op.execute(
        "CREATE TRIGGER keep_rating AFTER INSERT OR UPDATE OR DELETE ON review_stats "
        "FOR EACH ROW EXECUTE FUNCTION keep_rating()"
    )
    op.execute(
        "UPDATE variants v SET facets = v.facets, rating = coalesce((SELECT r.rating FROM review_stats r "
        "WHERE r.store_id = v.store_id AND r.product_id = v.product_id), 0)"
    )
    op.create_index(
        "variants_by_rating_idx", "variants", ["store_id", "rating", "id"], postgresql_where=sa.text("listed")
    )
    op.create_index(
        "variants_filter_idx",
        "variants",
        ["store_id", "product_id", "position", "id"],
        postgresql_include=["facet_set_id", "price", "type_id"],
        postgresql_where=sa.text("listed"),
    )
    op.create_index(
        "stock_items_sold_out_idx",
        "stock_items",
        ["store_id", "variant_id"],
        postgresql_where=sa.text("NOT available"),
    )
    op.execute(FOLLOW_STOCK)
    op.execute(
        "CREATE TRIGGER follow_new_stock AFTER INSERT ON stock_items REFERENCING NEW TABLE AS new_rows "
        "FOR EACH STATEMENT EXECUTE FUNCTION follow_stock()"
    )
    op.execute(
        "CREATE TRIGGER follow_stock AFTER UPDATE ON stock_items REFERENCING OLD TABLE AS old_rows "
        "NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION follow_stock()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER follow_stock ON stock_items")
    op.execute("DROP TRIGGER follow_new_stock ON stock_items")
    op.execute("DROP FUNCTION follow_stock()")
    op.drop_index("stock_items_sold_out_idx", table_name="stock_items")
    op.drop_index("variants_filter_idx", table_name="variants")
    op.execute("DROP TRIGGER keep_facet_set ON variants")
    op.execute("DROP FUNCTION keep_facet_set()")
    op.execute("DROP TRIGGER keep_rating ON review_stats")
    op.execute("DROP TRIGGER keep_rating ON variants")
    op.execute("DROP FUNCTION keep_rating()")
    op.drop_index("variants_by_rating_idx", table_name="variants")
    op.drop_column("variants", "rating")
    op.drop_column("variants", "facet_set_id")
    op.drop_table("facet_sets")
