"""Search at scale: products in the order of what sells, what variants sold for, and indexes that answer alone."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

FILL_AMOUNTS = """
    UPDATE variants v SET sold_amount = said.amount FROM (
        SELECT l.store_id, l.variant_id, sum(l.line_price - l.discount) AS amount
        FROM order_lines l JOIN orders o ON o.store_id = l.store_id AND o.id = l.order_id
        WHERE o.status IN ('open', 'completed') AND o.placed_at > now() - interval '90 days'
        GROUP BY l.store_id, l.variant_id
    ) said
    WHERE v.store_id = said.store_id AND v.id = said.variant_id
"""


def upgrade() -> None:
    op.add_column(
        "products",
        sa.Column(
            "standing",
            sa.SmallInteger(),
            sa.Computed("floor(2 * ln(1 + sold::double precision))::smallint", persisted=True),
            nullable=False,
        ),
    )
    op.create_index(
        "products_by_standing_idx", "products", ["store_id", "standing", "id"], postgresql_where="listed"
    )
    op.add_column("variants", sa.Column("sold_amount", sa.BigInteger(), server_default="0", nullable=False))
    op.execute(FILL_AMOUNTS)


def downgrade() -> None:
    op.drop_column("variants", "sold_amount")
    op.drop_column("products", "standing")
