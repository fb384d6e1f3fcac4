"""Accounts: whether somebody showed that an account and its mail address are one person's, and links by staff."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0020"
branch_labels = None
depends_on = None

PURPOSE = "login_secrets_purpose_check"


def upgrade() -> None:
    op.add_column("customers", sa.Column("owner_proven_at", sa.DateTime(timezone=True)))
    # Until now an address was verified by such a proof only.
    op.execute("UPDATE customers SET owner_proven_at = email_verified_at WHERE email_verified_at IS NOT NULL")
    op.create_check_constraint(
        "customers_owner_proven_check",
        "customers",
        "owner_proven_at IS NULL OR email_verified_at IS NOT NULL",
    )
    op.drop_constraint(PURPOSE, "login_secrets", type_="check")
    op.create_check_constraint(
        PURPOSE, "login_secrets", "purpose IN ('verify', 'reset', 'link', 'staff_link')"
    )


def downgrade() -> None:
    op.execute("DELETE FROM login_secrets WHERE purpose = 'staff_link'")
    op.drop_constraint(PURPOSE, "login_secrets", type_="check")
    op.create_check_constraint(PURPOSE, "login_secrets", "purpose IN ('verify', 'reset', 'link')")
    op.drop_constraint("customers_owner_proven_check", "customers", type_="check")
    # What was verified without a proof would count as proven again.
    op.execute("UPDATE customers SET email_verified_at = NULL WHERE owner_proven_at IS NULL")
    op.drop_column("customers", "owner_proven_at")
