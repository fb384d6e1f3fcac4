"""Search: pages and posts are found by their words, and what was searched for is counted."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None

# Frozen here as it was: the configurations of migration 0002, by the language of a store.
CONFIGURATION = """
    CAST('storefront_' || CASE split_part(s.language, '-', 1)
        WHEN 'da' THEN 'danish' WHEN 'nl' THEN 'dutch' WHEN 'en' THEN 'english' WHEN 'fi' THEN 'finnish'
        WHEN 'fr' THEN 'french' WHEN 'de' THEN 'german' WHEN 'hu' THEN 'hungarian' WHEN 'it' THEN 'italian'
        WHEN 'no' THEN 'norwegian' WHEN 'nb' THEN 'norwegian' WHEN 'nn' THEN 'norwegian'
        WHEN 'pt' THEN 'portuguese' WHEN 'ro' THEN 'romanian' WHEN 'ru' THEN 'russian'
        WHEN 'es' THEN 'spanish' WHEN 'sv' THEN 'swedish' WHEN 'tr' THEN 'turkish'
        ELSE 'simple' END AS regconfig)
"""
# Tags of a text and its opening, where the table has them.
TEXTS = {"blog_posts": "concat_ws(' ', array_to_string(t.tags, ' '), t.excerpt)", "pages": "''"}


def upgrade() -> None:
    for table, about in TEXTS.items():
        op.add_column(table, sa.Column("search", postgresql.TSVECTOR(), nullable=True))
        op.execute(
            f"UPDATE {table} t SET search = setweight(to_tsvector('storefront_simple', t.title), 'A') "  # noqa: S608 - our own names
            f"|| setweight(to_tsvector({CONFIGURATION}, t.title), 'A') "
            f"|| setweight(to_tsvector({CONFIGURATION}, {about}), 'B') "
            f"|| setweight(to_tsvector({CONFIGURATION}, "
            "regexp_replace(left(t.content, 100000), '<[^>]+>|&[a-z#0-9]+;', ' ', 'g')), 'D') "
            "FROM stores s WHERE s.id = t.store_id"
        )
        op.create_index(f"{table}_search_idx", table, ["search"], postgresql_using="gin")
    op.create_table(
        "search_queries",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("count > 0", name="search_queries_count_check"),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name="search_queries_store_id_fkey"),
        sa.PrimaryKeyConstraint("store_id", "day", "query", name="search_queries_pkey"),
    )
    op.create_index("search_queries_day_idx", "search_queries", ["day"])


def downgrade() -> None:
    op.drop_table("search_queries")
    for table in TEXTS:
        op.drop_column(table, "search")
