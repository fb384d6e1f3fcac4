"""Money that comes in outside of any service, in one part or several; when gift cards were switched, and why."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

LIVE = "state IN ('started', 'action_needed', 'unknown', 'pending', 'authorized', 'captured') AND source_id IS NULL"


def make_live_key(where: str) -> None:
    op.drop_index("payments_live_key", table_name="payments")
    op.create_index(
        "payments_live_key", "payments", ["order_id"], unique=True, postgresql_where=sa.text(where)
    )


def upgrade() -> None:
    make_live_key(f"{LIVE} AND NOT (service = 'manual' AND state = 'captured')")
    op.create_index(
        "payments_receipt_key",
        "payments",
        ["order_id", "reference"],
        unique=True,
        postgresql_where=sa.text("service = 'manual' AND reference IS NOT NULL"),
    )
    op.create_table(
        "gift_card_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("gift_card_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "event IN ('switched_off', 'switched_on')", name=op.f("gift_card_events_event_check")
        ),
        sa.ForeignKeyConstraint(
            ["gift_card_id"], ["gift_cards.id"], name=op.f("gift_card_events_gift_card_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("gift_card_events_pkey")),
    )
    op.create_index(op.f("gift_card_events_gift_card_id_idx"), "gift_card_events", ["gift_card_id"])
    op.execute(
        "INSERT INTO gift_card_events (store_id, gift_card_id, at, event) "
        "SELECT store_id, id, disabled_at, 'switched_off' FROM gift_cards WHERE disabled_at IS NOT NULL"
    )


def downgrade() -> None:
    """Orders that were paid in several parts outside of any service have no place in what was before."""
    op.drop_table("gift_card_events")
    op.drop_index("payments_receipt_key", table_name="payments")
    make_live_key(LIVE)
