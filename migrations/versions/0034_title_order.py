"""Titles are ordered as people look for them: capitals and accents make no difference."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

# unaccent depends on its rules, which nobody changes here, and is therefore not IMMUTABLE by itself, as an index wants
# it. The body is bound when it is made, so that no search path of a session or of a restored dump changes it.
TITLE_KEY = """
    CREATE FUNCTION title_key(title text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(unaccent(CAST('unaccent' AS regdictionary), title))
"""
SORT_BY_TITLE = """
    UPDATE collection_products m SET sort_text = {key} FROM collections c, products p
    WHERE c.store_id = m.store_id AND c.id = m.collection_id AND c.sort_order = 'title'
        AND p.store_id = m.store_id AND p.id = m.product_id AND m.sort_text <> {key}
"""


def _order_by(key: str) -> None:
    op.drop_index("variants_by_title_idx", "variants")
    op.create_index(
        "variants_by_title_idx",
        "variants",
        ["store_id", sa.text(key.format("full_title")), "id"],
        postgresql_where=sa.text("listed"),
    )


def upgrade() -> None:
    op.execute(TITLE_KEY)
    _order_by("title_key({})")
    op.execute(SORT_BY_TITLE.format(key="title_key(p.title)"))


def downgrade() -> None:
    _order_by("{}")
    op.execute(SORT_BY_TITLE.format(key="lower(p.title)"))
    op.execute("DROP FUNCTION title_key")
