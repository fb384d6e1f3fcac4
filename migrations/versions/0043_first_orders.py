"""An index to the promotions that are for a first order, since a customer has one of them all."""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "promotions_first_order_idx",
        "promotions",
        ["store_id"],
        postgresql_where=sa.text("first_order"),
    )


def downgrade() -> None:
    op.drop_index("promotions_first_order_idx", table_name="promotions")
