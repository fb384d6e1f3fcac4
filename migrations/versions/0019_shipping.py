"""Shipping: bands of items, a price for each further item, pick-ups without a zone, and carriers' live rates."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ONCE = "shipping_options_store_id_zone_id_title_key"


def upgrade() -> None:
    op.add_column("shipping_options", sa.Column("min_items", sa.Integer()))
    op.add_column("shipping_options", sa.Column("max_items", sa.Integer()))
    op.add_column(
        "shipping_options", sa.Column("extra_item", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column("shipping_options", sa.Column("location", sa.Text()))
    op.add_column("shipping_options", sa.Column("carrier", sa.Text()))
    op.add_column("shipping_options", sa.Column("carrier_service", sa.Text()))
    op.add_column(
        "shipping_options", sa.Column("only_live", sa.Boolean(), server_default="false", nullable=False)
    )
    op.alter_column("shipping_options", "zone_id", nullable=True)
    op.drop_constraint(op.f(ONCE), "shipping_options")
    op.create_unique_constraint(
        op.f(ONCE), "shipping_options", ["store_id", "zone_id", "title"], postgresql_nulls_not_distinct=True
    )
    op.create_check_constraint(
        op.f("shipping_options_extra_item_check"), "shipping_options", "extra_item >= 0"
    )
    op.create_check_constraint(
        op.f("shipping_options_location_check"),
        "shipping_options",
        "(zone_id IS NULL) = (location IS NOT NULL)",
    )
    op.add_column("checkouts", sa.Column("rates", postgresql.JSONB()))


def downgrade() -> None:
    op.drop_column("checkouts", "rates")
    op.execute("DELETE FROM shipping_options WHERE zone_id IS NULL")
    op.drop_constraint(op.f("shipping_options_location_check"), "shipping_options", type_="check")
    op.drop_constraint(op.f("shipping_options_extra_item_check"), "shipping_options", type_="check")
    op.drop_constraint(op.f(ONCE), "shipping_options")
    op.create_unique_constraint(op.f(ONCE), "shipping_options", ["store_id", "zone_id", "title"])
    op.alter_column("shipping_options", "zone_id", nullable=False)
    for name in (
        "min_items",
        "max_items",
        "extra_item",
        "location",
        "carrier",
        "carrier_service",
        "only_live",
    ):
        op.drop_column("shipping_options", name)
