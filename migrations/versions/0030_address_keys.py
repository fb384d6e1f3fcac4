"""Mail addresses are compared in lower case and no further: `ß` and `ss` are letters of two different people."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_TABLES: Final = ("customers", "subscriptions", "stock_wishes")


def upgrade() -> None:
    connection = op.get_bind()
    for name in _TABLES:
        table = sa.table(name, sa.column("id"), sa.column("email"), sa.column("email_key"))
        # All others have the same key either way. PostgreSQL's lower() depends on its locale, Python's does not.
        query = sa.select(table.c.id, table.c.email).where(table.c.email.op("~")("[^ -~]"))
        for row_id, email in connection.execute(query).all():
            connection.execute(sa.update(table).where(table.c.id == row_id).values(email_key=email.lower()))
    connection.execute(
        sa.text(
            "UPDATE login_secrets s SET email_key = c.email_key FROM customers c "
            "WHERE c.id = s.customer_id AND c.email ~ '[^ -~]' AND s.purpose <> 'verify'"
        )
    )


def downgrade() -> None:
    """The keys stay: what they were may have been the same for two addresses by now."""
