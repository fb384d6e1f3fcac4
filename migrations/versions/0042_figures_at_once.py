"""The documents of all variants that a statement changes follow them at once, and not one by one."""

from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

# As of 0036, where each row that was changed had its documents follow by two statements of their own. By key whatever
# is in the tables: the plan is kept, and may have been made while they were all but empty.
FOLLOW_VARIANTS = """
    CREATE FUNCTION follow_variants() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
    BEGIN
        UPDATE variant_documents d SET product_id = n.product_id, position = n.position, price = n.price,
            compare_at_price = n.compare_at_price, sold = n.sold
        FROM come n
        WHERE d.store_id = n.store_id AND d.variant_id = n.id
            AND (d.product_id, d.position, d.price, d.compare_at_price, d.sold)
                IS DISTINCT FROM (n.product_id, n.position, n.price, n.compare_at_price, n.sold);
        UPDATE shelf_documents d SET price = n.price, compare_at_price = n.compare_at_price, sold = n.sold
        FROM come n
        WHERE d.store_id = n.store_id AND d.product_id = n.product_id AND d.variant_id = n.id
            AND (d.price, d.compare_at_price, d.sold) IS DISTINCT FROM (n.price, n.compare_at_price, n.sold);
        RETURN NULL;
    END $$
"""
FOLLOW_VARIANT = """
    CREATE FUNCTION follow_variant() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE variant_documents SET product_id = NEW.product_id, position = NEW.position, price = NEW.price,
            compare_at_price = NEW.compare_at_price, sold = NEW.sold
        WHERE store_id = NEW.store_id AND variant_id = NEW.id;
        UPDATE shelf_documents SET price = NEW.price, compare_at_price = NEW.compare_at_price, sold = NEW.sold
        WHERE store_id = NEW.store_id AND product_id = NEW.product_id AND variant_id = NEW.id
            AND (price, compare_at_price, sold) IS DISTINCT FROM (NEW.price, NEW.compare_at_price, NEW.sold);
        RETURN NULL;
    END $$
"""
FIGURES = ("product_id", "position", "price", "compare_at_price", "sold")


def upgrade() -> None:
    op.execute("DROP TRIGGER follow_variant ON variants")
    op.execute("DROP FUNCTION follow_variant()")
    op.execute(FOLLOW_VARIANTS)
    op.execute(
        "CREATE TRIGGER follow_update AFTER UPDATE ON variants REFERENCING NEW TABLE AS come "
        "FOR EACH STATEMENT EXECUTE FUNCTION follow_variants()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER follow_update ON variants")
    op.execute("DROP FUNCTION follow_variants()")
    op.execute(FOLLOW_VARIANT)
    old, new = (", ".join(f"{side}.{name}" for name in FIGURES) for side in ("OLD", "NEW"))
    op.execute(
        f"CREATE TRIGGER follow_variant AFTER UPDATE OF {', '.join(FIGURES)} ON variants FOR EACH ROW "
        f"WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION follow_variant()"
    )
