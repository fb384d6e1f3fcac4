"""Search at scale: products in the order of what sells, for searches that fit very many."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0025"
branch_labels = None
depends_on = None


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


def downgrade() -> None:
    op.drop_column("products", "standing")
