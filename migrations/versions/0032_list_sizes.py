"""How many rows a list has stands beside it, so that no reader counts them."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

# What is listed, and which collection it belongs to; 0 where the list is that of the whole store.
LISTS = {"products": "0", "variants": "0", "collection_products": "collection_id"}
# Like versions of a catalogue (0016): each transaction adds a row of its own, so that none waits for another, and now
# and then one adds up those that it finds free.
COUNT = """
    CREATE FUNCTION count_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        mine CONSTANT bigint := CAST(CAST(pg_current_xact_id() AS text) AS bigint);
    BEGIN
        IF TG_OP = 'INSERT' THEN
            {insert}
        ELSIF TG_OP = 'DELETE' THEN
            {delete}
        ELSE
            {update}
        END IF;
        IF FOUND AND mine % 64 = 0 THEN
            WITH free AS (
                SELECT s.store_id, s.collection_id, s.transaction FROM list_sizes own
                JOIN list_sizes s ON s.store_id = own.store_id AND s.list = own.list
                    AND s.collection_id = own.collection_id AND s.transaction <> mine
                WHERE own.list = '{table}' AND own.transaction = mine FOR UPDATE OF s SKIP LOCKED
            ),
            gone AS (
                DELETE FROM list_sizes s USING free
                WHERE s.store_id = free.store_id AND s.list = '{table}' AND s.collection_id = free.collection_id
                    AND s.transaction = free.transaction
                RETURNING s.store_id, s.collection_id, s.size
            )
            UPDATE list_sizes own SET size = own.size + more.size
            FROM (SELECT store_id, collection_id, sum(size) AS size FROM gone GROUP BY store_id, collection_id) more
            WHERE own.store_id = more.store_id AND own.list = '{table}' AND own.collection_id = more.collection_id
                AND own.transaction = mine;
        END IF;
        RETURN NULL;
    END $$
"""
ADD = """
    INSERT INTO list_sizes AS own (store_id, list, collection_id, transaction, size)
    SELECT moved.store_id, '{table}', moved.collection_id, mine, sum(moved.size) FROM ({rows}) moved
    GROUP BY moved.store_id, moved.collection_id HAVING sum(moved.size) <> 0
    ON CONFLICT (store_id, list, collection_id, transaction) DO UPDATE SET size = own.size + excluded.size;
"""
COME = "SELECT store_id, {collection} AS collection_id, 1 AS size FROM come WHERE listed"
GONE = "SELECT store_id, {collection} AS collection_id, -1 AS size FROM gone WHERE listed"
ROWS = {"insert": COME, "delete": GONE, "update": f"{COME} UNION ALL {GONE}"}
TABLES = {
    "insert": "NEW TABLE AS come",
    "delete": "OLD TABLE AS gone",
    "update": "OLD TABLE AS gone NEW TABLE AS come",
}
FILL = """
    INSERT INTO list_sizes (store_id, list, collection_id, transaction, size)
    SELECT store_id, '{table}', {collection} AS collection_id, 0, count(*) FROM {table} WHERE listed GROUP BY 1, 3
"""


def upgrade() -> None:
    op.create_table(
        "list_sizes",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("list", sa.Text(), nullable=False),
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "list", "collection_id", "transaction", name="list_sizes_pkey"),
    )
    for table, collection in LISTS.items():
        adds = {
            event: ADD.format(table=table, rows=rows.format(collection=collection))
            for event, rows in ROWS.items()
        }
        op.execute(COUNT.format(table=table, **adds))
        for event, sides in TABLES.items():
            op.execute(
                f"CREATE TRIGGER count_{event} AFTER {event.upper()} ON {table} "
                f"REFERENCING {sides} FOR EACH STATEMENT EXECUTE FUNCTION count_{table}()"
            )
        op.execute(FILL.format(table=table, collection=collection))


def downgrade() -> None:
    for table in LISTS:
        for event in TABLES:
            op.execute(f"DROP TRIGGER count_{event} ON {table}")
        op.execute(f"DROP FUNCTION count_{table}()")
    op.drop_table("list_sizes")
