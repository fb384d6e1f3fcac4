"""The statements that write a chunk of products, each answering as product_id what it changed.

Rows travel as one JSON parameter, and only what differs is touched.
"""

from typing import Final

PRODUCT_FIELDS: Final = (
    "handle", "title", "body_html", "vendor", "type", "product_category", "tags", "status", "published",
    "template_suffix", "published_scope", "gift_card", "seo_title", "seo_description", "metafields",
)  # fmt: skip
VARIANT_FIELDS: Final = (
    "product_id", "position", "title", "sku", "barcode", "price", "compare_at_price", "cost", "grams",
    "weight_unit", "taxable", "tax_code", "requires_shipping", "fulfillment_service",
    "inventory_management", "image_src", "seo_title", "seo_description", "metafields", "colors",
)  # fmt: skip

ADD_TYPES: Final = """
INSERT INTO product_types (store_id, name)
SELECT :store_id, r.name FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (name text) ORDER BY r.name
ON CONFLICT (store_id, name) DO NOTHING
"""

# A handle that is taken is left alone. The redirect is written with it, by the trigger keep_redirect.
RENAME: Final = """
UPDATE products p SET handle = r.handle
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (handle text, former_handle text)
WHERE p.store_id = :store_id AND p.handle = r.former_handle
  AND NOT EXISTS (SELECT FROM products t WHERE t.store_id = :store_id AND t.handle = r.handle)
RETURNING p.id
"""
_HEAD: Final = (
    "title", "body_html", "vendor", "type_id", "product_category", "tags", "status", "published",
    "template_suffix", "published_scope", "gift_card", "seo_title", "seo_description", "metafields",
)  # fmt: skip
PUT_PRODUCTS: Final = f"""
INSERT INTO products AS p (store_id, handle, created_at, updated_at, published_at, {", ".join(_HEAD)})
SELECT :store_id, r.handle, :now, :now, r.published_at, r.title, r.body_html, r.vendor, t.id,
    r.product_category, r.tags, r.status, r.published, r.template_suffix, r.published_scope, r.gift_card,
    r.seo_title, r.seo_description, r.metafields
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (handle text, title text, body_html text, vendor text,
    type text, product_category text, tags text[], status text, published boolean, published_at timestamptz,
    template_suffix text, published_scope text, gift_card boolean, seo_title text, seo_description text,
    metafields jsonb)
LEFT JOIN product_types t ON t.store_id = :store_id AND t.name = r.type
ON CONFLICT (store_id, handle) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _HEAD)}
WHERE ({", ".join(f"p.{name}" for name in _HEAD)})
    IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _HEAD)})
RETURNING p.id
"""  # noqa: S608 - names of columns, all ours

FIND_PRODUCTS: Final = """
SELECT p.handle, p.id FROM products p
JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (handle text) USING (handle)
WHERE p.store_id = :store_id
"""

_IMAGES: Final = """jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (product_id bigint, position integer,
    src text, alt text, width integer, height integer, tags text[])"""
DROP_IMAGES: Final = f"""
DELETE FROM product_images i USING (SELECT DISTINCT product_id FROM {_IMAGES}) own
WHERE i.store_id = :store_id AND i.product_id = own.product_id
  AND NOT EXISTS (SELECT 1 FROM {_IMAGES} WHERE r.product_id = i.product_id AND r.src = i.src)
RETURNING i.product_id
"""  # noqa: S608 - no value in it
PUT_IMAGES: Final = f"""
UPDATE product_images i SET position = r.position, alt = r.alt, width = coalesce(r.width, i.width),
    height = coalesce(r.height, i.height), tags = r.tags, updated_at = :now
FROM {_IMAGES}
WHERE i.store_id = :store_id AND i.product_id = r.product_id AND i.src = r.src
  AND (i.position, i.alt, i.width, i.height, i.tags) IS DISTINCT FROM
      (r.position, r.alt, coalesce(r.width, i.width), coalesce(r.height, i.height), r.tags)
RETURNING i.product_id
"""  # noqa: S608 - no value in it
ADD_IMAGES: Final = f"""
INSERT INTO product_images (store_id, product_id, position, src, alt, width, height, tags, created_at,
    updated_at)
SELECT :store_id, r.product_id, r.position, r.src, r.alt, r.width, r.height, r.tags, :now, :now
FROM {_IMAGES}
WHERE NOT EXISTS (SELECT 1 FROM product_images i
    WHERE i.store_id = :store_id AND i.product_id = r.product_id AND i.src = r.src)
ORDER BY r.product_id, r.position
RETURNING product_id
"""  # noqa: S608 - no value in it

_SET: Final = (
    "position", "sku", "barcode", "price", "compare_at_price", "cost", "grams", "weight_unit", "taxable",
    "tax_code", "requires_shipping", "fulfillment_service", "inventory_management", "seo_title",
    "seo_description", "metafields", "colors",
)  # fmt: skip
_VARIANTS: Final = """(
    SELECT r.*, i.id AS image_id
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (product_id bigint, position integer, title text,
        sku text, barcode text, price bigint, compare_at_price bigint, cost bigint, grams numeric(14, 4),
        weight_unit text, taxable boolean, tax_code text, requires_shipping boolean,
        fulfillment_service text, inventory_management text, image_src text, seo_title text,
        seo_description text, metafields jsonb, colors text[])
    LEFT JOIN product_images i ON i.store_id = :store_id AND i.product_id = r.product_id
        AND i.src = r.image_src
) r"""
# What a checkout holds of a variant that goes stays with inventory until the checkout has ended.
DROP_VARIANTS: Final = """
DELETE FROM variants v
USING (SELECT DISTINCT product_id FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (product_id bigint)) own
WHERE v.store_id = :store_id AND v.product_id = own.product_id AND NOT EXISTS (
    SELECT 1 FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (product_id bigint, title text)
    WHERE r.product_id = v.product_id AND r.title = v.title)
RETURNING v.product_id, v.id
"""
PUT_VARIANTS: Final = f"""
UPDATE variants v SET {", ".join(f"{name} = r.{name}" for name in _SET)}, image_id = r.image_id,
    updated_at = :now
FROM {_VARIANTS}
WHERE v.store_id = :store_id AND v.product_id = r.product_id AND v.title = r.title
  AND ({", ".join(f"v.{name}" for name in _SET)}, v.image_id)
      IS DISTINCT FROM ({", ".join(f"r.{name}" for name in _SET)}, r.image_id)
RETURNING v.product_id
"""  # noqa: S608 - names of columns, all ours
ADD_VARIANTS: Final = f"""
INSERT INTO variants (store_id, product_id, title, image_id, created_at, updated_at, {", ".join(_SET)})
SELECT :store_id, r.product_id, r.title, r.image_id, :now, :now, {", ".join(f"r.{name}" for name in _SET)}
FROM {_VARIANTS}
WHERE NOT EXISTS (SELECT 1 FROM variants v
    WHERE v.store_id = :store_id AND v.product_id = r.product_id AND v.title = r.title)
ORDER BY r.product_id, r.position
RETURNING product_id
"""  # noqa: S608 - names of columns, all ours

PUT_OPTIONS: Final = """
INSERT INTO product_options AS o (store_id, product_id, position, name, key, linked_to)
SELECT :store_id, r.product_id, r.position, r.name, r.key, r.linked_to
FROM jsonb_to_recordset(CAST(:rows AS jsonb))
    AS r (product_id bigint, position integer, name text, key text, linked_to text)
ORDER BY r.product_id, r.position
ON CONFLICT (store_id, product_id, position) DO UPDATE
    SET name = excluded.name, key = excluded.key, linked_to = excluded.linked_to
    WHERE (o.name, o.key, o.linked_to) IS DISTINCT FROM (excluded.name, excluded.key, excluded.linked_to)
RETURNING o.product_id
"""
PUT_VALUES: Final = """
WITH put AS (
    INSERT INTO option_values AS w (store_id, option_id, name, key, position)
    SELECT :store_id, o.id, r.name, r.key, r.position
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS r (product_id bigint, option integer, name text, key text, position integer)
    JOIN product_options o ON o.store_id = :store_id AND o.product_id = r.product_id AND o.position = r.option
    ORDER BY o.id, r.position
    ON CONFLICT (store_id, option_id, name) DO UPDATE SET key = excluded.key, position = excluded.position
        WHERE (w.key, w.position) IS DISTINCT FROM (excluded.key, excluded.position)
    RETURNING w.option_id
)
SELECT DISTINCT o.product_id FROM put JOIN product_options o ON o.store_id = :store_id AND o.id = put.option_id
"""
# Values are looked up one by one: without statistics, as in a shop that is being filled, PostgreSQL would join them
# before the options are known, and read all names of the store for each.
PUT_LINKS: Final = """
WITH put AS (
    INSERT INTO variant_values AS x (store_id, variant_id, option_id, value_id)
    SELECT :store_id, v.id, o.id, w.id
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (product_id bigint, title text, option integer, value text)
    JOIN variants v ON v.store_id = :store_id AND v.product_id = r.product_id AND v.title = r.title
    JOIN product_options o ON o.store_id = :store_id AND o.product_id = r.product_id AND o.position = r.option
    CROSS JOIN LATERAL (
        SELECT id FROM option_values WHERE store_id = :store_id AND option_id = o.id AND name = r.value LIMIT 1
    ) w
    ON CONFLICT (store_id, variant_id, option_id) DO UPDATE SET value_id = excluded.value_id
        WHERE x.value_id <> excluded.value_id
    RETURNING x.variant_id
)
SELECT DISTINCT v.product_id FROM put JOIN variants v ON v.store_id = :store_id AND v.id = put.variant_id
"""
DROP_VALUES: Final = """
DELETE FROM option_values w
USING product_options o,
    (SELECT DISTINCT product_id FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (product_id bigint)) own
WHERE w.store_id = :store_id AND o.store_id = w.store_id AND o.id = w.option_id
  AND o.product_id = own.product_id AND NOT EXISTS (
    SELECT 1 FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (product_id bigint, option integer, name text)
    WHERE r.product_id = o.product_id AND r.option = o.position AND r.name = w.name)
RETURNING o.product_id
"""
DROP_OPTIONS: Final = """
DELETE FROM product_options o
USING (SELECT DISTINCT product_id FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (product_id bigint)) own
WHERE o.store_id = :store_id AND o.product_id = own.product_id AND NOT EXISTS (
    SELECT 1 FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (product_id bigint, position integer)
    WHERE r.product_id = o.product_id AND r.position = o.position)
RETURNING o.product_id
"""

_MARKETS: Final = """(
    SELECT v.id AS variant_id, r.* FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (product_id bigint,
        title text, market text, included boolean, price bigint, compare_at_price bigint)
    JOIN variants v ON v.store_id = :store_id AND v.product_id = r.product_id AND v.title = r.title
) r"""
DROP_MARKETS: Final = f"""
DELETE FROM market_prices m
USING variants v,
    (SELECT DISTINCT product_id FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (product_id bigint)) own
WHERE m.store_id = :store_id AND v.store_id = m.store_id AND v.id = m.variant_id
  AND v.product_id = own.product_id
  AND NOT EXISTS (SELECT 1 FROM {_MARKETS} WHERE r.variant_id = m.variant_id AND r.market = m.market)
RETURNING v.product_id
"""  # noqa: S608 - no value in it
PUT_MARKETS: Final = f"""
WITH put AS (
    INSERT INTO market_prices AS m (store_id, variant_id, market, included, price, compare_at_price)
    SELECT :store_id, r.variant_id, r.market, r.included, r.price, r.compare_at_price FROM {_MARKETS}
    ON CONFLICT (store_id, variant_id, market) DO UPDATE
        SET included = excluded.included, price = excluded.price, compare_at_price = excluded.compare_at_price
        WHERE (m.included, m.price, m.compare_at_price)
            IS DISTINCT FROM (excluded.included, excluded.price, excluded.compare_at_price)
    RETURNING m.variant_id
)
SELECT DISTINCT v.product_id FROM put JOIN variants v ON v.store_id = :store_id AND v.id = put.variant_id
"""  # noqa: S608 - no value in it

TOUCH: Final = """
UPDATE products p SET updated_at = :now, version = p.version + 1
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (product_id bigint)
WHERE p.store_id = :store_id AND p.id = r.product_id
"""
WITHOUT_STOCK: Final = """
SELECT v.id, v.product_id, v.title
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (product_id bigint, title text)
JOIN variants v ON v.store_id = :store_id AND v.product_id = r.product_id AND v.title = r.title
WHERE NOT EXISTS (SELECT 1 FROM stock_items s WHERE s.store_id = v.store_id AND s.variant_id = v.id)
"""
