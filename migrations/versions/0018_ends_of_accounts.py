"""Accounts: a customer's checkouts are found by an index, and no secret is handed over in a table any more."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

PURPOSE = "login_secrets_purpose_check"


def upgrade() -> None:
    op.execute("DELETE FROM login_secrets WHERE purpose = 'handover'")
    op.drop_constraint(PURPOSE, "login_secrets", type_="check")
    op.create_check_constraint(PURPOSE, "login_secrets", "purpose IN ('verify', 'reset', 'link')")
    op.create_index(
        "checkouts_customer_idx",
        "checkouts",
        ["store_id", "customer_id"],
        postgresql_where="customer_id IS NOT NULL",
    )


def downgrade() -> None:
    op.drop_index("checkouts_customer_idx", table_name="checkouts")
    op.drop_constraint(PURPOSE, "login_secrets", type_="check")
    op.create_check_constraint(PURPOSE, "login_secrets", "purpose IN ('verify', 'reset', 'link', 'handover')")
