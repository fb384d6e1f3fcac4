"""The statements that load a batch of products: each takes all rows at once and touches only what differs.

Rows travel as one JSON parameter. Which columns an UPDATE sets follows from the columns of the file, so
that a column that the file does not have keeps its value.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, DateTime, Text, TextClause, bindparam, text
from sqlalchemy.types import TypeEngine

# The driver asks the server for the types of parameters; where a SELECT lists one, it must be told.
_TYPES: Final[Mapping[str, TypeEngine[Any]]] = {
    "store_id": BigInteger(),
    "now": DateTime(timezone=True),
    "ids": ARRAY(BigInteger()),
    "handles": ARRAY(Text()),
    "extra": ARRAY(Text()),
}


def _statement(sql: str) -> TextClause:
    return text(sql).bindparams(
        *(bindparam(name, type_=kind) for name, kind in _TYPES.items() if f":{name}" in sql)
    )


STATE: Final = _statement(
    """
    SELECT p.handle, CAST(jsonb_build_object(
        'id', p.id,
        'options', ARRAY(
            SELECT jsonb_build_object('id', o.id, 'name', o.name, 'linked_to', o.linked_to, 'values', (
                SELECT coalesce(jsonb_object_agg(w.name, w.id), '{}') FROM option_values w
                WHERE w.store_id = o.store_id AND w.option_id = o.id
            ))
            FROM product_options o WHERE o.store_id = p.store_id AND o.product_id = p.id
            ORDER BY o.position
        ),
        'variants', ARRAY(
            SELECT jsonb_build_object('id', v.id, 'image_id', v.image_id, 'values', ARRAY(
                SELECT w.name FROM variant_values vv
                JOIN product_options o ON o.store_id = vv.store_id AND o.id = vv.option_id
                JOIN option_values w ON w.store_id = vv.store_id AND w.id = vv.value_id
                WHERE vv.store_id = v.store_id AND vv.variant_id = v.id ORDER BY o.position
            ))
            FROM variants v WHERE v.store_id = p.store_id AND v.product_id = p.id
            ORDER BY v.position, v.id
        ),
        'images', (
            SELECT coalesce(jsonb_object_agg(i.src, i.id), '{}') FROM product_images i
            WHERE i.store_id = p.store_id AND i.product_id = p.id
        )
    ) AS text) AS state
    FROM products p WHERE p.store_id = :store_id AND p.handle = ANY(:handles)
    """
)
# The lock comes before STATE, in a statement of its own, in key order.
LOCK: Final = _statement(
    """
    SELECT id FROM products WHERE store_id = :store_id AND handle = ANY(:handles)
    ORDER BY id FOR NO KEY UPDATE
    """
)

ADD_TYPES: Final = _statement(
    """
    INSERT INTO product_types (store_id, name)
    SELECT DISTINCT :store_id, n.type
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (type text)
    WHERE n.type <> '' AND NOT EXISTS (
        SELECT FROM product_types t WHERE t.store_id = :store_id AND t.name = n.type
    )
    ON CONFLICT DO NOTHING
    """
)

# Our columns and their types, by the name of the file's column. type, published and metafields are special.
PRODUCT_TYPES: Final[Mapping[str, str]] = {
    "title": "text",
    "body_html": "text",
    "vendor": "text",
    "product_category": "text",
    "tags": "text[]",
    "status": "text",
    "published": "boolean",
    "gift_card": "boolean",
    "seo_title": "text",
    "seo_description": "text",
}
VARIANT_TYPES: Final[Mapping[str, str]] = {
    "sku": "text",
    "barcode": "text",
    "price": "bigint",
    "compare_at_price": "bigint",
    "cost": "bigint",
    "grams": "numeric",
    "weight_unit": "text",
    "taxable": "boolean",
    "tax_code": "text",
    "requires_shipping": "boolean",
    "fulfillment_service": "text",
    "inventory_management": "text",
    "image_id": "bigint",
    "colors": "text[]",
}
# What a new row holds where the file has no such column.
_DEFAULTS: Final[Mapping[str, str]] = {
    "body_html": "''", "vendor": "''", "product_category": "''", "tags": "'{}'", "status": "'active'",
    "published": "true", "gift_card": "false", "seo_title": "''", "seo_description": "''",
    "sku": "''", "barcode": "''", "grams": "0", "weight_unit": "'g'", "taxable": "true", "tax_code": "''",
    "requires_shipping": "true", "fulfillment_service": "'manual'", "inventory_management": "''",
    "colors": "'{}'",
}  # fmt: skip

_PRODUCT_ROWS: Final = f"""
    SELECT n.*, t.id AS type_id
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (
        place integer, id bigint, handle text, type text, metafields jsonb,
        {", ".join(f"{name} {kind}" for name, kind in PRODUCT_TYPES.items())}
    )
    LEFT JOIN product_types t ON t.store_id = :store_id AND t.name = n.type
"""  # noqa: S608 - names are ours
_VARIANT_ROWS: Final = f"""
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (
        place integer, id bigint, product_id bigint, position integer, title text, metafields jsonb,
        {", ".join(f"{name} {kind}" for name, kind in VARIANT_TYPES.items())}
    )
"""  # noqa: S608 - names are ours


def _filled(names: Collection[str]) -> str:
    return ", ".join(
        f"coalesce(n.{name}, {_DEFAULTS[name]})" if name in _DEFAULTS else f"n.{name}" for name in names
    )


# The names in these statements are ours, from the tables above; what a file says travels as parameters.
INSERT_PRODUCTS: Final = _statement(
    f"""
    INSERT INTO products (store_id, handle, type_id, metafields, published_at, created_at, updated_at,
        {", ".join(PRODUCT_TYPES)})
    SELECT :store_id, n.handle, n.type_id, n.metafields,
        CASE WHEN coalesce(n.published, true) THEN :now END, :now, :now,
        {_filled(PRODUCT_TYPES)}
    FROM ({_PRODUCT_ROWS}) n ORDER BY n.place
    RETURNING handle, id
    """  # noqa: S608 - names are ours
)
INSERT_VARIANTS: Final = _statement(
    f"""
    INSERT INTO variants (store_id, product_id, position, title, metafields, created_at, updated_at,
        {", ".join(VARIANT_TYPES)})
    SELECT :store_id, n.product_id, n.position, n.title, n.metafields, :now, :now, {_filled(VARIANT_TYPES)}
    FROM ({_VARIANT_ROWS}) n ORDER BY n.place
    RETURNING product_id, position, id
    """  # noqa: S608 - names are ours
)


def update_products(names: Collection[str], *, has_type: bool) -> TextClause:
    """The UPDATE for a file with these columns; answers the ids of rows that differed."""
    columns = {name: f"n.{name}" for name in PRODUCT_TYPES if name in names}
    if has_type:
        columns["type_id"] = "n.type_id"
    columns["metafields"] = "(p.metafields - :extra) || n.metafields"
    if "published" in columns:
        columns["published_at"] = "CASE WHEN n.published THEN coalesce(p.published_at, :now) END"
    return _statement(
        f"""
        UPDATE products p SET {", ".join(f"{name} = {value}" for name, value in columns.items())}
        FROM ({_PRODUCT_ROWS}) n
        WHERE p.store_id = :store_id AND p.id = n.id
          AND ({", ".join(f"p.{name}" for name in columns)}) IS DISTINCT FROM ({", ".join(columns.values())})
        RETURNING p.id
        """  # noqa: S608 - names are ours
    )


def update_variants(names: Collection[str]) -> TextClause:
    """The UPDATE for a file with these columns; answers the products of rows that differed."""
    columns = {name: f"n.{name}" for name in ("position", "title")}
    columns |= {name: f"n.{name}" for name in VARIANT_TYPES if name in names}
    columns["metafields"] = "(v.metafields - :extra) || n.metafields"
    return _statement(
        f"""
        UPDATE variants v SET updated_at = :now,
            {", ".join(f"{name} = {value}" for name, value in columns.items())}
        FROM ({_VARIANT_ROWS}) n
        WHERE v.store_id = :store_id AND v.id = n.id
          AND ({", ".join(f"v.{name}" for name in columns)}) IS DISTINCT FROM ({", ".join(columns.values())})
        RETURNING v.product_id, v.id
        """  # noqa: S608 - names are ours
    )


MOVE_VARIANTS: Final = _statement(
    """
    UPDATE variants v SET position = n.position
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (id bigint, position integer)
    WHERE v.store_id = :store_id AND v.id = n.id AND v.position <> n.position
    RETURNING v.product_id
    """
)
DROP_VARIANTS: Final = _statement("DELETE FROM variants WHERE store_id = :store_id AND id = ANY(:ids)")
DROP_OPTIONS: Final = _statement(
    "DELETE FROM product_options WHERE store_id = :store_id AND product_id = ANY(:ids)"
)

INSERT_OPTIONS: Final = _statement(
    """
    INSERT INTO product_options (store_id, product_id, name, key, position, linked_to)
    SELECT :store_id, n.product_id, n.name, n.key, n.position, n.linked_to
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS n (place integer, product_id bigint, name text, key text, position integer, linked_to text)
    ORDER BY n.place
    RETURNING product_id, position, id
    """
)
UPDATE_OPTIONS: Final = _statement(
    """
    UPDATE product_options o SET name = n.name, key = n.key, linked_to = coalesce(n.linked_to, o.linked_to)
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (id bigint, name text, key text, linked_to text)
    WHERE o.store_id = :store_id AND o.id = n.id
      AND (o.name, o.key, o.linked_to) IS DISTINCT FROM (n.name, n.key, coalesce(n.linked_to, o.linked_to))
    RETURNING o.product_id
    """
)
INSERT_VALUES: Final = _statement(
    """
    INSERT INTO option_values (store_id, option_id, name, key, position)
    SELECT :store_id, n.option_id, n.name, n.key, n.position
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS n (place integer, option_id bigint, name text, key text, position integer)
    ORDER BY n.place
    RETURNING option_id, name, id
    """
)
INSERT_VARIANT_VALUES: Final = _statement(
    """
    INSERT INTO variant_values (store_id, variant_id, option_id, value_id)
    SELECT :store_id, n.variant_id, n.option_id, n.value_id
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS n (variant_id bigint, option_id bigint, value_id bigint)
    """
)

INSERT_IMAGES: Final = _statement(
    """
    INSERT INTO product_images (store_id, product_id, position, src, alt, created_at, updated_at)
    SELECT :store_id, n.product_id, n.position, n.src, coalesce(n.alt, ''), :now, :now
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS n (place integer, product_id bigint, position integer, src text, alt text)
    ORDER BY n.place
    RETURNING product_id, src, id
    """
)
UPDATE_IMAGES: Final = _statement(
    """
    UPDATE product_images i SET position = n.position, alt = coalesce(n.alt, i.alt), updated_at = :now
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (id bigint, position integer, alt text)
    WHERE i.store_id = :store_id AND i.id = n.id
      AND (i.position, i.alt) IS DISTINCT FROM (n.position, coalesce(n.alt, i.alt))
    RETURNING i.product_id
    """
)
DROP_IMAGES: Final = _statement(
    """
    WITH freed AS (
        UPDATE variants SET image_id = NULL WHERE store_id = :store_id AND image_id = ANY(:ids)
    )
    DELETE FROM product_images WHERE store_id = :store_id AND id = ANY(:ids) RETURNING product_id
    """
)

SET_MARKETS: Final = _statement(
    """
    INSERT INTO market_prices AS m (store_id, variant_id, market, included, price, compare_at_price)
    SELECT :store_id, n.variant_id, n.market,
        CASE WHEN n.has_included THEN n.included ELSE coalesce(o.included, true) END,
        CASE WHEN n.has_price THEN n.price ELSE o.price END,
        CASE WHEN n.has_compare THEN n.compare_at_price ELSE o.compare_at_price END
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (
        variant_id bigint, market text, has_included boolean, included boolean,
        has_price boolean, price bigint, has_compare boolean, compare_at_price bigint
    )
    LEFT JOIN market_prices o
        ON o.store_id = :store_id AND o.variant_id = n.variant_id AND o.market = n.market
    ON CONFLICT (store_id, variant_id, market) DO UPDATE
        SET included = excluded.included, price = excluded.price, compare_at_price = excluded.compare_at_price
        WHERE (m.included, m.price, m.compare_at_price)
            IS DISTINCT FROM (excluded.included, excluded.price, excluded.compare_at_price)
    RETURNING (
        SELECT v.product_id FROM variants v WHERE v.store_id = m.store_id AND v.id = m.variant_id
    ) AS product_id
    """
)
TOUCH_PRODUCTS: Final = _statement(
    """
    UPDATE products SET updated_at = :now, version = version + 1
    WHERE store_id = :store_id AND id = ANY(:ids)
    """
)
