"""Newsletter: what was asked for with an address is kept apart from what its owner agreed to."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "subscriptions",
        sa.Column("form_uuid", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
    )
    op.alter_column("subscriptions", "form_uuid", server_default=None)
    op.add_column("subscriptions", sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE subscriptions SET confirmed_at = consent_at WHERE status <> 'pending'")
    op.drop_constraint("subscriptions_store_id_email_key_key", "subscriptions", type_="unique")
    op.create_unique_constraint(
        "subscriptions_store_id_form_uuid_key", "subscriptions", ["store_id", "form_uuid"]
    )
    for name, where in (
        ("subscriptions_request_key", "confirmed_at IS NULL"),
        ("subscriptions_confirmed_key", "confirmed_at IS NOT NULL"),
    ):
        op.create_index(name, "subscriptions", ["store_id", "email_key"], unique=True, postgresql_where=where)


def downgrade() -> None:
    op.drop_index("subscriptions_confirmed_key", table_name="subscriptions")
    op.drop_index("subscriptions_request_key", table_name="subscriptions")
    op.drop_constraint("subscriptions_store_id_form_uuid_key", "subscriptions", type_="unique")
    # One row per address again: the one that its owner agreed to, where there is one.
    op.execute(
        "DELETE FROM subscriptions r USING subscriptions c WHERE r.store_id = c.store_id "
        "AND r.email_key = c.email_key AND r.confirmed_at IS NULL AND c.confirmed_at IS NOT NULL"
    )
    op.create_unique_constraint(
        "subscriptions_store_id_email_key_key", "subscriptions", ["store_id", "email_key"]
    )
    op.drop_column("subscriptions", "confirmed_at")
    op.drop_column("subscriptions", "form_uuid")
