"""Documents follow their variants row by row and by key, for however many rows the plan that is kept was made."""

from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

WAYS = ("enable_hashjoin", "enable_mergejoin")


def upgrade() -> None:
    for way in WAYS:
        op.execute(f"ALTER FUNCTION follow_variants() SET {way} = off")


def downgrade() -> None:
    for way in WAYS:
        op.execute(f"ALTER FUNCTION follow_variants() RESET {way}")
