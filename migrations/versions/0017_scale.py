"""Reads that cost the same in large shops: what can be chosen by type, which orders were placed of late, words of texts."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# Frozen here as it was: the values that a variant on sale has.
FILL_CHOICES = """
    UPDATE option_values w SET option_key = o.key, type_id = CASE
        WHEN p.listed AND (o.name, w.name) <> ('Title', 'Default Title') AND EXISTS (
            SELECT FROM variant_values u WHERE u.store_id = w.store_id AND u.value_id = w.id
        ) THEN p.type_id END
    FROM product_options o JOIN products p ON p.store_id = o.store_id AND p.id = o.product_id
    WHERE o.store_id = w.store_id AND o.id = w.option_id
"""
# Words of posts and pages, for mending typing errors; those of products are there.
ABOUT = {"blog_posts": "concat_ws(' ', array_to_string(t.tags, ' '), t.excerpt)", "pages": "''"}
FILL_WORDS = """
    INSERT INTO search_words (store_id, word)
    SELECT DISTINCT t.store_id, w.word FROM {table} t
    CROSS JOIN LATERAL unnest(tsvector_to_array(to_tsvector('storefront_simple', concat_ws(' ', t.title, {about},
        regexp_replace(left(t.content, 100000), '<[^>]+>|&[a-z#0-9]+;', ' ', 'g'))))) AS w (word)
    WHERE length(w.word) BETWEEN 3 AND 40 AND w.word !~ '[0-9]'
    ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    for table, about in ABOUT.items():
        op.execute(FILL_WORDS.format(table=table, about=about))
    op.add_column("option_values", sa.Column("type_id", sa.BigInteger(), nullable=True))
    op.add_column("option_values", sa.Column("option_key", sa.Text(), server_default="", nullable=False))
    op.execute(FILL_CHOICES)
    op.create_index(
        "option_values_choices_idx",
        "option_values",
        ["store_id", "type_id", "option_key", "key", "position", "id"],
        postgresql_where="type_id IS NOT NULL",
    )
    op.create_index(
        "orders_placed_idx",
        "orders",
        ["store_id", "placed_at"],
        postgresql_where="status IN ('open', 'completed')",
    )


def downgrade() -> None:
    op.drop_index("orders_placed_idx", "orders")
    op.drop_column("option_values", "option_key")
    op.drop_column("option_values", "type_id")
