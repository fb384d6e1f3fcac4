"""What was paid back before it was in any parcel, and so is not shipped any more."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("order_lines", sa.Column("dropped", sa.Integer(), server_default="0", nullable=False))
    op.execute("UPDATE order_lines SET dropped = least(refunded, quantity - shipped) WHERE refunded > 0")
    op.create_check_constraint(
        op.f("order_lines_dropped_check"), "order_lines", "dropped BETWEEN 0 AND quantity - shipped"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("order_lines_dropped_check"), "order_lines", type_="check")
    op.drop_column("order_lines", "dropped")
