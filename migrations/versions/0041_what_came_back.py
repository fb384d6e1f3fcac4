"""What was paid back after it had been shipped and sent back, so that all the rest is still shipped."""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("order_lines", sa.Column("came_back", sa.Integer(), server_default="0", nullable=False))
    op.create_check_constraint(
        op.f("order_lines_came_back_check"), "order_lines", "came_back BETWEEN 0 AND shipped"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("order_lines_came_back_check"), "order_lines", type_="check")
    op.drop_column("order_lines", "came_back")
