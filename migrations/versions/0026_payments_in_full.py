"""Payments whose money is held and taken later, and disputes of payments."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

# Which states an attempt can be in, and in which it is alive, before and after.
STATES = "'started', 'action_needed', 'unknown', 'pending', 'captured', 'declined', 'cancelled', 'late'"
NEW_STATES = "'started', 'action_needed', 'unknown', 'pending', 'authorized', 'captured', 'declined', 'cancelled', 'late'"
LIVE = "'started', 'action_needed', 'unknown', 'pending', 'captured'"
NEW_LIVE = "'started', 'action_needed', 'unknown', 'pending', 'authorized', 'captured'"


def change_states(states: str, live: str) -> None:
    op.drop_constraint(op.f("payments_state_check"), "payments", type_="check")
    op.create_check_constraint(op.f("payments_state_check"), "payments", f"state IN ({states})")
    op.drop_index("payments_live_key", table_name="payments")
    op.create_index(
        "payments_live_key",
        "payments",
        ["order_id"],
        unique=True,
        postgresql_where=sa.text(f"state IN ({live})"),
    )


def upgrade() -> None:
    change_states(NEW_STATES, NEW_LIVE)
    op.create_table(
        "payment_disputes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("payment_disputes_payment_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("payment_disputes_pkey")),
        sa.UniqueConstraint(
            "store_id",
            "payment_id",
            "reference",
            name=op.f("payment_disputes_store_id_payment_id_reference_key"),
        ),
    )


def downgrade() -> None:
    op.drop_table("payment_disputes")
    # Money that a service still holds is then known to the service only.
    op.execute("UPDATE payments SET state = 'cancelled' WHERE state = 'authorized'")
    change_states(STATES, LIVE)
