"""What shelves show of a product stands ready in one place: a page is one look-up for each of its products."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

# As of 0016, and the same for the product that the variant stands for.
FOLLOW_VARIANT = """
    CREATE OR REPLACE FUNCTION follow_variant() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE variant_documents SET product_id = NEW.product_id, position = NEW.position, price = NEW.price,
            compare_at_price = NEW.compare_at_price, sold = NEW.sold
        WHERE store_id = NEW.store_id AND variant_id = NEW.id;
        {more}
        RETURN NULL;
    END $$
"""
FOLLOW_SHELF = """
        UPDATE shelf_documents SET price = NEW.price, compare_at_price = NEW.compare_at_price, sold = NEW.sold
        WHERE store_id = NEW.store_id AND product_id = NEW.product_id AND variant_id = NEW.id
            AND (price, compare_at_price, sold) IS DISTINCT FROM (NEW.price, NEW.compare_at_price, NEW.sold);
"""
EVENTS = {"INSERT": "NEW", "UPDATE": "NEW", "DELETE": "OLD"}


def upgrade() -> None:
    op.create_table(
        "shelf_documents",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("variant_id", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("compare_at_price", sa.BigInteger(), nullable=True),
        sa.Column("sold", sa.BigInteger(), nullable=False),
        sa.Column("siblings", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("item", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id", "product_id"],
            ["products.store_id", "products.id"],
            name="shelf_documents_store_id_product_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("store_id", "product_id", name="shelf_documents_pkey"),
        postgresql_with={"fillfactor": 70, "toast_tuple_target": 8160},
    )
    op.execute("""
        INSERT INTO shelf_documents (store_id, product_id, variant_id, price, compare_at_price, sold, siblings, item)
        SELECT DISTINCT ON (d.store_id, d.product_id)
            d.store_id, d.product_id, d.variant_id, d.price, d.compare_at_price, d.sold, d.siblings,
            convert_to(concat('{', d.core, ',', d.flat, ',"specifications":', d.specs_object, ',', d.page), 'UTF8')
        FROM variant_documents d WHERE d.page IS NOT NULL
        ORDER BY d.store_id, d.product_id, d.position, d.variant_id
    """)
    op.execute(FOLLOW_VARIANT.format(more=FOLLOW_SHELF))
    for event, side in EVENTS.items():
        op.execute(
            f"CREATE TRIGGER note_{event.lower()} AFTER {event} ON shelf_documents "
            f"REFERENCING {side} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_change('aloud')"
        )


def downgrade() -> None:
    op.execute(FOLLOW_VARIANT.format(more=""))
    op.drop_table("shelf_documents")
