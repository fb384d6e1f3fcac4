"""What each purchase pays for: locks on its store's row, entries of indexes that say nothing, a look for collections."""

from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

# As in 0015, with a look first at whether there is any such collection at all: mostly there is none, and what moved
# need not be compared.
FOLLOW_STOCK = """
    CREATE OR REPLACE FUNCTION follow_stock() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        moved CONSTANT text := 'catalogue.stock_moved';
    BEGIN
        {first}
        IF TG_OP = 'INSERT' THEN
            INSERT INTO jobs (store_id, kind, dedupe_key, payload, run_at)
            SELECT n.store_id, moved, gen_random_uuid(), jsonb_build_object('variant_ids', jsonb_agg(n.variant_id)), now()
            FROM new_rows n
            WHERE EXISTS (SELECT FROM collections c
                WHERE c.store_id = n.store_id AND c.kind = 'rule' AND c.rules @> '[{{"field": "stock"}}]')
            GROUP BY n.store_id;
        ELSE
            INSERT INTO jobs (store_id, kind, dedupe_key, payload, run_at)
            SELECT n.store_id, moved, gen_random_uuid(), jsonb_build_object('variant_ids', jsonb_agg(n.variant_id)), now()
            FROM new_rows n JOIN old_rows o ON o.store_id = n.store_id AND o.variant_id = n.variant_id
            WHERE o.on_hand - o.reserved <> n.on_hand - n.reserved AND EXISTS (SELECT FROM collections c
                WHERE c.store_id = n.store_id AND c.kind = 'rule' AND c.rules @> '[{{"field": "stock"}}]')
            GROUP BY n.store_id;
        END IF;
        IF FOUND THEN
            PERFORM pg_notify('storefront_jobs', '');
        END IF;
        RETURN NULL;
    END $$
"""
FIRST = """IF NOT EXISTS (SELECT FROM collections c WHERE c.kind = 'rule' AND c.rules @> '[{"field": "stock"}]') THEN
            RETURN NULL;
        END IF;"""
# Carts and checkouts hold no money, and nothing looks for them by their store's row; the order's own key stays.
STORE_KEYS = ("carts", "checkouts")


def upgrade() -> None:
    for table in STORE_KEYS:
        op.drop_constraint(f"{table}_store_id_fkey", table, type_="foreignkey")
    op.drop_index("orders_customer_idx", table_name="orders")
    op.create_index(
        "orders_customer_idx",
        "orders",
        ["store_id", "customer_id", "id"],
        postgresql_where="customer_id IS NOT NULL",
    )
    op.drop_index("payments_reference_idx", table_name="payments")
    op.create_index(
        "payments_reference_idx",
        "payments",
        ["service", "reference"],
        postgresql_where="reference IS NOT NULL",
    )
    op.execute(FOLLOW_STOCK.format(first=FIRST))


def downgrade() -> None:
    op.execute(FOLLOW_STOCK.format(first=""))
    op.drop_index("payments_reference_idx", table_name="payments")
    op.create_index("payments_reference_idx", "payments", ["service", "reference"])
    op.drop_index("orders_customer_idx", table_name="orders")
    op.create_index("orders_customer_idx", "orders", ["store_id", "customer_id", "id"])
    for table in STORE_KEYS:
        op.create_foreign_key(f"{table}_store_id_fkey", table, "stores", ["store_id"], ["id"])
