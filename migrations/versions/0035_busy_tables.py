"""What each sale asks for: is there a collection with a rule about stock, and which jobs are due."""

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Each write that moves stock asks whether its store has such a collection (0015); without the index it reads all
    # of the store's collections to find that there is none.
    op.create_index(
        "collections_by_stock_idx",
        "collections",
        ["store_id"],
        postgresql_where="""kind = 'rule' AND rules @> '[{"field": "stock"}]'""",
    )
    # What is done is kept for a month, so the usual fifth of the table would be very many dead entries before the
    # queue's own indexes, which hold but a handful that are due, are cleaned.
    op.execute(
        "ALTER TABLE jobs SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000)"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE jobs RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)")
    op.drop_index("collections_by_stock_idx", table_name="collections")
