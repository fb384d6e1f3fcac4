"""Makes a large shop of the demo shop: its catalogue copied many times over, inside the database.

A copy differs from its original as products of a shop differ: a name, a handle, SKUs, a price, sales and a moment
of its own, and one word more, which all products of that copy have and no others. What depends on a product or
a collection is copied with it, so that a table that is added later is there too.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg

from app.cli.demo import load_demo_if_empty
from app.db.session import database_address
from app.domain.catalogue.documents import shelves_sql
from app.kit.colors import lab_of, spot_of
from app.settings import load_settings

# Ids of the originals begin here and have six digits: those of copy n are the same with n written before them,
# by which the ids inside of documents are found as well.
FIRST_ID: Final = 100_001
SPAN: Final = 1_000_000
LAST_ID: Final = 2_000_000_000
# What documents hold where plans are looked at, by column; the others have an id alone.
LEAN: Final = {"images": "'[]'", "options": "'[]'", "specs_list": "'[]'", "specs_object": "'{}'"}
# One collection, below one category, that has all products.
EVERYTHING: Final = "everything"
MARK: Final = "\x1a"
DOCUMENTS: Final = ("product_documents", "variant_documents")
SYLLABLES: Final = [first + last for first in "bdfgklmnprstv" for last in "aeiou"][:64]
# In the order in which they refer to each other; whatever else hangs on them follows.
ROOTS: Final = (
    "products", "collections", "product_options", "option_values", "product_images", "variants",
)  # fmt: skip
OWNERS: Final = ("variant_id", "product_id", "option_id", "value_id", "collection_id")
REFERENCES: Final = (*OWNERS, "image_id", "lead_variant_id")
LISTS_OF_IDS: Final = ("siblings", "related", "bought_with", "similar_to")
# What happened to the original did not happen to its copies.
LEFT_OUT: Final = (
    "cart_lines", "order_lines", "reservations", "stock_movements", "stock_wishes", "product_questions",
    "product_reviews", "category_collections", "list_sizes", "shelf_documents",
)  # fmt: skip
# Columns of documents that are no text.
FIGURES: Final = (
    "store_id", "product_id", "variant_id", "siblings", "position", "price", "compare_at_price", "sold",
)  # fmt: skip
# Columns of products and variants that differ, by what o (the original) and n (the copy's number) make of them.
OWN: Final[Mapping[tuple[str, str], str]] = {
    ("products", "title"): "o.title || ' ' || initcap(pg_temp.own_name(o.id, n))",
    ("products", "tags"): "o.tags || pg_temp.series(n)",
    ("products", "sold"): "pg_temp.sales(o.id, n)",
    ("products", "search"): "o.search || setweight(to_tsvector('storefront_simple', pg_temp.own_name(o.id, n)), 'A')"
    " || setweight(to_tsvector('storefront_simple', pg_temp.series(n)), 'C')",
    ("variants", "full_title"): "o.full_title || ' ' || pg_temp.own_name(o.product_id, n)",
    ("variants", "sku"): "CASE WHEN o.sku <> '' THEN o.sku || '-' || n ELSE '' END",
    ("variants", "barcode"): "CASE WHEN o.barcode <> '' THEN o.barcode || '-' || n ELSE '' END",
    ("variant_colors", "rgb"): "(o.rgb + n * 7919) % 16777216",
    ("variants", "price"): "o.price + n * 37 % 5000",
    ("variants", "sold"): "pg_temp.sales(o.id, n) / 3",
    ("variants", "sold_amount"): "pg_temp.sales(o.id, n) / 3 * 1000",
    ("variant_documents", "price"): "o.price + n * 37 % 5000",
    ("variant_documents", "sold"): "pg_temp.sales(o.variant_id, n) / 3",
}  # fmt: skip
_FUNCTIONS: Final = f"""
CREATE FUNCTION pg_temp.syllable(n bigint) RETURNS text IMMUTABLE LANGUAGE sql RETURN
    ('{{{",".join(SYLLABLES)}}}'::text[])[n % {len(SYLLABLES)} + 1];
CREATE FUNCTION pg_temp.series(n bigint) RETURNS text IMMUTABLE LANGUAGE sql RETURN
    pg_temp.syllable(n) || pg_temp.syllable(n / {len(SYLLABLES)}) || 'rund';
CREATE FUNCTION pg_temp.own_name(id bigint, n bigint) RETURNS text IMMUTABLE LANGUAGE sql RETURN
    pg_temp.syllable(id) || pg_temp.syllable(id / 7 + n) || pg_temp.syllable(n * 13 + id / 3) || pg_temp.syllable(n / 3);
CREATE FUNCTION pg_temp.sales(id bigint, n bigint) RETURNS bigint IMMUTABLE LANGUAGE sql RETURN
    (id * 7919 + n * 104729) % 997 * ((id * 31 + n * 17) % 89) / 89;
CREATE FUNCTION pg_temp.marked(document text) RETURNS text IMMUTABLE LANGUAGE sql RETURN
    regexp_replace(document, '("[a-z_]*id":|variant=)(1\\d{{5}})', '\\1{MARK}\\2', 'g')
"""

_EVERYTHING: Final = f"""
INSERT INTO collections (store_id, id, handle, title) SELECT id, {LAST_ID}, '{EVERYTHING}', 'Everything' FROM stores;
INSERT INTO categories (store_id, id, handle, title) SELECT id, {LAST_ID}, '{EVERYTHING}', 'Everything' FROM stores;
INSERT INTO category_collections (store_id, category_id, collection_id)
    SELECT id, {LAST_ID}, {LAST_ID} FROM stores;
INSERT INTO collection_products (store_id, collection_id, product_id, position, listed)
    SELECT store_id, {LAST_ID}, id, id, listed FROM products
"""

# No trigger has counted what was copied.
_COUNT: Final = """
DELETE FROM list_sizes;
INSERT INTO list_sizes (store_id, list, collection_id, transaction, size)
    SELECT store_id, 'products', 0, 0, count(*) FROM products WHERE listed GROUP BY store_id
    UNION ALL SELECT store_id, 'variants', 0, 0, count(*) FROM variants WHERE listed GROUP BY store_id
    UNION ALL SELECT store_id, 'collection_products', collection_id, 0, count(*) FROM collection_products
        WHERE listed GROUP BY store_id, collection_id
"""

# A paid order of three lines for every third variant, within the last 80 days; what sells best follows `sales`.
_SELL: Final = f"""
INSERT INTO orders (id, store_id, checkout_id, checkout_token, number, name, email, status, currency, tax_included,
    items_total, discount_total, shipping_total, tax_total, total, created_at, placed_at)
SELECT {LAST_ID} + n, s.id, {LAST_ID} + n, 'grown-' || n, {LAST_ID} / 2 + n, 'G' || n, 'shopper@example.com', 'open',
    s.currency, s.tax_included, 3000, 0, 0, 0, 3000, now() - n % 80 * interval '1 day', now() - n % 80 * interval '1 day'
FROM stores s, generate_series(1, (SELECT count(*) / 3 FROM variants)) n;
INSERT INTO order_lines (store_id, order_id, position, variant_id, product_id, title, variant_title, quantity, price,
    line_price, discount, tax, tax_rate, grams, requires_shipping)
SELECT v.store_id, {LAST_ID} + 1 + (v.row * 7919 + line) % (v.variants / 3), line, v.id, v.product_id, v.full_title,
    v.title, 1 + v.row % 3, 1000, 1000 * (1 + v.row % 3), 0, 0, 0, 100, true
FROM (SELECT *, row_number() OVER (ORDER BY id) AS row, count(*) OVER () AS variants FROM variants) v,
    generate_series(1, 1 + v.sold::int % 3) line
"""


def series_word(number: int) -> str:
    """The word that all products of this copy have, and no others."""
    count = len(SYLLABLES)
    return f"{SYLLABLES[number % count]}{SYLLABLES[number // count % count]}rund"


async def load_demo(url: str) -> None:
    """Fill an empty, migrated database with the demo shop, with ids that can be told in its documents."""
    connection = await asyncpg.connect(database_address(url).asyncpg)
    try:
        for table in ROOTS:
            await connection.execute(f"ALTER TABLE {table} ALTER COLUMN id RESTART WITH {FIRST_ID}")
    finally:
        await connection.close()
    await asyncio.to_thread(load_demo_if_empty, load_settings({"DATABASE_URL": url}))


async def grow(url: str, *, variants: int, lean: bool = False) -> int:
    """Copy the catalogue of a database that load_demo has filled until it has so many variants; answers the copies.

    lean: with empty documents, for tests that look at plans and never at answers.
    """
    connection = await asyncpg.connect(database_address(url).asyncpg)
    try:
        originals = await connection.fetchval(f"SELECT count(*) FROM variants WHERE id < {SPAN}")
        copies = int(variants // originals)
        async with connection.transaction():
            # References are right as they were copied: checking three million of them takes longer than writing.
            if await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
                await connection.execute("SET LOCAL session_replication_role = 'replica'")
            await connection.execute(_FUNCTIONS)
            kept = await _drop_indexes(connection)
            await _mix_colors(connection, copies)
            for table, columns in await _tables(connection):
                await connection.execute(_copy(table, columns, copies, lean=lean))
            await connection.execute(
                "INSERT INTO search_words (store_id, word) SELECT DISTINCT o.store_id, word FROM products o,"
                f" generate_series(1, {copies}) n, unnest(ARRAY[pg_temp.own_name(o.id, n), pg_temp.series(n)]) word"
                f" WHERE o.id < {SPAN} ON CONFLICT DO NOTHING"
            )
            # Made of the documents of variants, as the shop makes them.
            await connection.execute(f"INSERT INTO shelf_documents {shelves_sql(f'd.product_id >= {SPAN}')}")
            await connection.execute(_EVERYTHING)
            await connection.execute(_COUNT)
            await connection.execute(_SELL)
            for statement in kept:
                await connection.execute(statement)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
    return copies


async def _tables(connection: Any) -> list[tuple[str, Sequence[Any]]]:
    """Each table that is copied with its columns: the roots first, then what has a column of OWNERS."""
    rows = await connection.fetch(
        "SELECT c.table_name, c.column_name FROM information_schema.columns c"
        " JOIN information_schema.tables t USING (table_schema, table_name)"
        " WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.is_generated = 'NEVER'"
        " ORDER BY c.table_name, c.ordinal_position"
    )
    columns: dict[str, list[str]] = {}
    for row in rows:
        columns.setdefault(row["table_name"], []).append(row["column_name"])
    follow = [
        table
        for table, names in columns.items()
        if table not in (*ROOTS, *LEFT_OUT) and not set(OWNERS).isdisjoint(names)
    ]
    return [(table, columns[table]) for table in (*ROOTS, *follow)]


def _copy(table: str, columns: Sequence[str], copies: int, *, lean: bool) -> str:
    values = [OWN.get((table, column), _usual(column)) for column in columns]
    owner = "id" if table in ROOTS else next(name for name in OWNERS if name in columns)
    source = f"(SELECT * FROM {table} WHERE {owner} < {SPAN})"
    if table in DOCUMENTS:
        others = [column for column in columns if column in FIGURES or column.endswith("_at")]
        texts = [column for column in columns if column not in others]
        # Ids are looked for once in each original: 160 times as many searches would take most of the time.
        marked = ", ".join(f"pg_temp.marked({text}) AS {text}" for text in texts)
        source = f"(SELECT {', '.join(others)}, {marked} FROM {table} WHERE {owner} < {SPAN} OFFSET 0)"
        values = [
            _document(column, owner, lean=lean)
            if column in texts
            else OWN.get((table, column), _usual(column))
            for column in columns
        ]
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)}"
        f" FROM generate_series(1, {copies}) n, {source} o ORDER BY n, o.{owner}"
    )


def _document(column: str, owner: str, *, lean: bool) -> str:
    if not lean:
        return f"replace(o.{column}, '{MARK}', n::text)"
    return LEAN.get(column, f"""'"id":' || o.{owner} + n * {SPAN}""")


def _usual(column: str) -> str:
    if column == "id" or column in REFERENCES:
        return f"o.{column} + n * {SPAN}"
    if column in LISTS_OF_IDS:
        return f"ARRAY(SELECT each + n * {SPAN} FROM unnest(o.{column}) WITH ORDINALITY AS u (each, at) ORDER BY at)"
    if column == "handle":
        return "o.handle || '-' || n"
    if column == "uuid":
        return "gen_random_uuid()"
    return f"o.{column} + n * interval '7 seconds'" if column.endswith("_at") else f"o.{column}"


async def _mix_colors(connection: Any, copies: int) -> None:
    """Give the store the colours that copies have."""
    rows = await connection.fetch("SELECT DISTINCT store_id, rgb FROM variant_colors")
    mixed = {
        (row["store_id"], (row["rgb"] + n * 7919) % 16777216) for row in rows for n in range(1, copies + 1)
    }
    spots = [(store_id, rgb, *spot_of(lab_of(rgb))) for store_id, rgb in sorted(mixed)]
    await connection.executemany(
        "INSERT INTO color_spots VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING", spots
    )


async def _drop_indexes(connection: Any) -> list[str]:
    """Drop what is faster made anew at the end; answers the statements that make it."""
    rows = await connection.fetch(
        "SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS made FROM pg_index i"
        " WHERE i.indrelid = ANY($1::regclass[]) AND NOT i.indisunique"
        " AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)",
        [table for table, _ in await _tables(connection)],
    )
    for row in rows:
        await connection.execute(f"DROP INDEX {row['name']}")
    return [row["made"] for row in rows]
