"""Speed: a variant's document has its figures beside it, and every change of the catalogue raises its version."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# Whatever writes a variant's figures, its document has them in the same transaction.
FOLLOW_VARIANT = """
    CREATE FUNCTION follow_variant() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE variant_documents SET product_id = NEW.product_id, position = NEW.position, price = NEW.price,
            compare_at_price = NEW.compare_at_price, sold = NEW.sold
        WHERE store_id = NEW.store_id AND variant_id = NEW.id;
        RETURN NULL;
    END $$
"""
FIGURES = {
    "product_id": sa.BigInteger(),
    "position": sa.Integer(),
    "price": sa.BigInteger(),
    "compare_at_price": sa.BigInteger(),
    "sold": sa.BigInteger(),
}

# The version of a store's catalogue is how many changes of it were ever committed: the sum of its rows here.
# Each transaction adds a row of its own, so none waits for another as it would for one counter; they are
# added up now and then by whoever finds them free. A transaction is counted, and told of, once.
NOTE_CHANGE = """
    CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        mine CONSTANT bigint := CAST(CAST(pg_current_xact_id() AS text) AS bigint);
        changed_store bigint;
        mark text;
    BEGIN
        FOR changed_store IN SELECT DISTINCT {column} FROM changed LOOP
            mark := concat_ws(' ', TG_ARGV[0], changed_store, mine);
            CONTINUE WHEN mark = current_setting('storefront.noted', true);
            PERFORM set_config('storefront.noted', mark, true);
            INSERT INTO catalogue_changes AS c (store_id, transaction, changes) VALUES (changed_store, mine, 1)
            ON CONFLICT (store_id, transaction) DO UPDATE SET changes = c.changes + 1;
            IF TG_ARGV[0] = 'aloud' THEN
                PERFORM pg_notify('storefront_catalogue', CAST(changed_store AS text));
            END IF;
            IF mine % 64 = 0 THEN
                WITH free AS (
                    SELECT c.store_id, c.transaction FROM catalogue_changes c
                    WHERE c.store_id = changed_store AND c.transaction <> mine FOR UPDATE SKIP LOCKED
                ),
                gone AS (
                    DELETE FROM catalogue_changes c USING free
                    WHERE c.store_id = free.store_id AND c.transaction = free.transaction RETURNING c.changes
                )
                UPDATE catalogue_changes c
                SET changes = c.changes + (SELECT coalesce(sum(gone.changes), 0) FROM gone)
                WHERE c.store_id = changed_store AND c.transaction = mine;
            END IF;
        END LOOP;
        RETURN NULL;
    END $$
"""
# What answers about the catalogue are made of. Stock moves with every order, and NOTIFY makes commits queue
# up behind one another: it is counted like everything else, and not told of.
ALOUD = (
    "products",
    "product_types",
    "product_options",
    "option_values",
    "product_documents",
    "variants",
    "variant_values",
    "variant_documents",
    "variant_colors",
    "collections",
    "collection_products",
    "categories",
    "category_collections",
    "review_stats",
    "product_reviews",
    "product_questions",
)
QUIET = ("stock_items",)
EVENTS = {"INSERT": "NEW", "UPDATE": "NEW", "DELETE": "OLD"}


def _watch(table: str, how: str, function: str = "note_change") -> None:
    for event, side in EVENTS.items():
        op.execute(
            f"CREATE TRIGGER note_{event.lower()} AFTER {event} ON {table} "
            f"REFERENCING {side} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {function}('{how}')"
        )


def upgrade() -> None:
    op.add_column("variant_documents", sa.Column("page", sa.Text(), nullable=True))
    op.add_column(
        "variant_documents", sa.Column("siblings", postgresql.ARRAY(sa.BigInteger()), nullable=True)
    )
    # Filled for all rows in one pass, then required.
    for name, kind in FIGURES.items():
        op.add_column("variant_documents", sa.Column(name, kind, nullable=True))
    op.execute("""
        UPDATE variant_documents d SET product_id = v.product_id, position = v.position, price = v.price,
            compare_at_price = v.compare_at_price, sold = v.sold,
            page = CASE WHEN v.place = 1 THEN pd.page END, siblings = CASE WHEN v.place = 1 THEN v.siblings END
        FROM (
            SELECT *, row_number() OVER (PARTITION BY store_id, product_id ORDER BY position, id) AS place,
                array_agg(id) OVER (PARTITION BY store_id, product_id ORDER BY position, id
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS siblings
            FROM variants
        ) v
        JOIN product_documents pd ON pd.store_id = v.store_id AND pd.product_id = v.product_id
        WHERE d.store_id = v.store_id AND d.variant_id = v.id
    """)
    for name in FIGURES:
        if name != "compare_at_price":
            op.alter_column("variant_documents", name, nullable=False)
    op.drop_column("product_documents", "page")
    op.create_index(
        "variant_documents_product_idx",
        "variant_documents",
        ["store_id", "product_id", "position", "variant_id"],
    )
    op.execute(FOLLOW_VARIANT)
    old, new = (", ".join(f"{side}.{name}" for name in FIGURES) for side in ("OLD", "NEW"))
    op.execute(
        f"CREATE TRIGGER follow_variant AFTER UPDATE OF {', '.join(FIGURES)} ON variants FOR EACH ROW "
        f"WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION follow_variant()"
    )
    op.create_table(
        "catalogue_changes",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "transaction", name="catalogue_changes_pkey"),
    )
    op.execute(NOTE_CHANGE.format(name="note_change", column="store_id"))
    op.execute(NOTE_CHANGE.format(name="note_store_change", column="id"))
    for table in ALOUD:
        _watch(table, "aloud")
    for table in QUIET:
        _watch(table, "quietly")
    _watch("stores", "aloud", "note_store_change")


def downgrade() -> None:
    for table in (*ALOUD, *QUIET, "stores"):
        for event in EVENTS:
            op.execute(f"DROP TRIGGER note_{event.lower()} ON {table}")
    op.execute("DROP FUNCTION note_change()")
    op.execute("DROP FUNCTION note_store_change()")
    op.drop_table("catalogue_changes")
    op.execute("DROP TRIGGER follow_variant ON variants")
    op.execute("DROP FUNCTION follow_variant()")
    op.add_column("product_documents", sa.Column("page", sa.Text(), server_default="", nullable=False))
    op.execute(
        "UPDATE product_documents p SET page = d.page FROM variant_documents d "
        "WHERE d.store_id = p.store_id AND d.product_id = p.product_id AND d.page IS NOT NULL"
    )
    op.alter_column("product_documents", "page", server_default=None)
    op.drop_index("variant_documents_product_idx", "variant_documents")
    for name in ("page", "siblings", *FIGURES):
        op.drop_column("variant_documents", name)
