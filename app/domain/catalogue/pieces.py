"""The SQL that puts one item together: ready-made documents, and beside them price, stock and reviews.

An item is a scalar subquery over the row `page` around it: a handful of look-ups by primary key, whatever
PostgreSQL believes of the size of a page. $1 is always the store. Aliases everywhere: d variant_documents, or
shelf_documents for the first variant of a product, s stock_items, p products, pd product_documents, r review_stats,
l the document of a product's first variant.
"""
# ruff: noqa: S608 - every part is written here; values travel as parameters

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

VARIANT_EXPANDS: Final = frozenset(
    {"all_images", "product", "options", "related_products", "reviews", "questions"}
)
# How many of the newest reviews and questions an expand answers; its count tells of all.
MOST_TOLD: Final = 20

_PRICE: Final = """
    ',"price":', d.price, ',"compare_at_price":', coalesce(CAST(d.compare_at_price AS text), 'null'),
"""
# Untracked variants have no count: they answer 0 and are never out of stock.
_NO_STOCK: Final = """
    ',"inventory_policy":"deny","inventory_quantity":0,"old_inventory_quantity":0'
    ',"out_of_stock":false,"allow_to_purchase":true'
"""
_LEVEL: Final = """
    ',"inventory_policy":"', {policy}, '","inventory_quantity":', {left}, ',"old_inventory_quantity":', {left},
    CASE WHEN {available} THEN ',"out_of_stock":false,"allow_to_purchase":true'
        ELSE ',"out_of_stock":true,"allow_to_purchase":false' END
"""
LIVE: Final = _PRICE + _LEVEL.format(
    policy="coalesce(s.policy, 'deny')",
    left="coalesce(s.on_hand - s.reserved, 0)",
    available="coalesce(s.available, true)",
)
_COLLECTION_TITLE: Final = """
    coalesce((
        SELECT CAST(to_json(c.title) AS text) FROM collection_products m
        JOIN collections c ON c.store_id = m.store_id AND c.id = m.collection_id AND c.visible
        WHERE m.store_id = p.store_id AND m.product_id = p.id ORDER BY c.id LIMIT 1
    ), 'null')
"""
# Of the product p: chosen by hand and on sale; else what was bought in the same orders, then what shares tags, then
# what sells of the type.
RELATED: Final = """
    coalesce(CASE WHEN p.related <> '{}' THEN (
        SELECT '[' || string_agg(CAST(v.id AS text), ',' ORDER BY chosen.place) || ']'
        FROM unnest(p.related) WITH ORDINALITY AS chosen (id, place)
        JOIN variants v ON v.store_id = p.store_id AND v.id = chosen.id AND v.listed
    ) END, (
        SELECT '[' || string_agg(CAST(near.lead_variant_id AS text), ',' ORDER BY near.place) || ']' FROM (
            SELECT n.lead_variant_id, min(found.place) AS place
            FROM (
                SELECT id, place FROM unnest(p.bought_with || p.similar_to) WITH ORDINALITY AS own (id, place)
                UNION ALL
                SELECT id, 1000 + row_number() OVER (ORDER BY sold DESC, id) FROM (
                    SELECT t.id, t.sold FROM products t
                    WHERE t.store_id = p.store_id AND t.type_id = p.type_id AND t.listed AND t.id <> p.id
                    ORDER BY t.sold DESC, t.id LIMIT 8
                ) sellers
            ) found
            JOIN products n ON n.store_id = p.store_id AND n.id = found.id AND n.listed
                AND n.lead_variant_id IS NOT NULL
            GROUP BY n.lead_variant_id ORDER BY place LIMIT 8
        ) near
    ), '[]')
"""
# What is told of a product by shoppers, newest first. Mail addresses stay with the shop.
_TOLD: Final = """
    json_build_object('count', (
        SELECT count(*) FROM {table} n WHERE n.store_id = d.store_id AND n.product_id = d.product_id
            AND n.status = 'approved' {only}
    ), 'list', coalesce((
        SELECT json_agg(json_build_object(
            'id', n.id, 'product_id', n.product_id, 'product_variant_id', n.variant_id,
            'customer_id', n.customer_id, 'reviewed_by', n.reviewed_by, 'user_name', n.user_name,
            'user_email', '', 'status', n.status,
            'created_at', CAST(extract(epoch FROM n.created_at) AS bigint),
            'updated_at', CAST(extract(epoch FROM n.updated_at) AS bigint), {fields}
        ))
        FROM (
            SELECT * FROM {table} n WHERE n.store_id = d.store_id AND n.product_id = d.product_id
                AND n.status = 'approved' {only}
            ORDER BY n.created_at DESC, n.id DESC LIMIT {most}
        ) n
    ), '[]'))
"""
_REVIEWS: Final = _TOLD.format(
    table="product_reviews",
    only="",
    most=MOST_TOLD,
    fields="'review_title', n.title, 'review_description', n.description, 'rating', n.rating,"
    " 'verified', n.verified, 'images', n.images",
)
_QUESTIONS: Final = _TOLD.format(
    table="product_questions",
    only="AND n.type = 'question'",
    most=MOST_TOLD,
    fields="""'content', n.content, 'type', n.type, 'related_to', n.related_to,
        'answered_at', CAST(extract(epoch FROM n.answered_at) AS bigint), 'answers', coalesce((
            SELECT json_agg(json_build_object('id', a.id, 'content', a.content, 'user_name', a.user_name,
                'created_at', CAST(extract(epoch FROM a.created_at) AS bigint)) ORDER BY a.id)
            FROM product_questions a
            WHERE a.store_id = n.store_id AND a.related_to = n.id AND a.status = 'approved'
        ), '[]')""",
)
_EXPANDS: Final = {
    "all_images": """',"all_images":', pd.images""",
    "options": """',"options":', d.options""",
    "product": f"""',"product":{{', pd.brief, ',"tags":', to_json(p.tags),
        ',"product_collection":', {_COLLECTION_TITLE}, '}}'""",
    "related_products": f"""',"related_products":', {RELATED}""",
    "reviews": f"',\"reviews\":', {_REVIEWS}",
    "questions": f"',\"questions\":', {_QUESTIONS}",
}
# Where d is no document of a variant.
_LEAD_EXPANDS: Final = {
    "options": """',"options":', (SELECT own.options FROM variant_documents own
        WHERE own.store_id = d.store_id AND own.variant_id = d.variant_id)"""
}
_SHELF: Final = """
    ',"order_qty":', d.sold, ',"related_inventory_quantity":', coalesce(s.related, 0)
"""
# What is ready of an item: with the document of the variant shown and that of the product's first one.
_READY: Final = """
    '{{', {own}.core, ',', {own}.flat, ',"specifications":', {own}.specs_object, ',', {lead}.page
"""
# The same for each product's first variant, which is what shelves show: as bytes, with nothing left to be joined.
READY_LEAD: Final = f"convert_to(concat({_READY.format(own='d', lead='d')}), 'UTF8')"
_FIGURES: Final = """
    ',"reviews_info":{"rating":', CAST(coalesce(r.rating, 0) AS double precision),
    ',"count":', coalesce(r.count, 0), '},"questions_info":{"count":', coalesce(r.questions, 0), '}'
"""
_STOCK: Final = "LEFT JOIN stock_items s ON s.store_id = d.store_id AND s.variant_id = d.variant_id"
# One look-up finds the stock of a variant and of all that belong to its product.
_SHELF_STOCK: Final = f"""
    CROSS JOIN LATERAL (
        SELECT sum(o.on_hand - o.reserved) AS related,
            max(concat({_LEVEL.format(policy="o.policy", left="o.on_hand - o.reserved", available="o.available")}))
                FILTER (WHERE o.variant_id = d.variant_id) AS level
        FROM stock_items o WHERE o.store_id = $1 AND o.variant_id = ANY({{siblings}})
    ) s
"""
_SHELF_LIVE: Final = f"{_PRICE} coalesce(s.level, {_NO_STOCK}), {_SHELF}"
# The first variant of the product of d, whose document has what is said of all of them.
_LEAD: Final = """
    CROSS JOIN LATERAL (
        SELECT page, siblings FROM variant_documents lead
        WHERE lead.store_id = $1 AND lead.product_id = d.product_id
        ORDER BY lead.position, lead.variant_id LIMIT 1
    ) l
"""
_PRODUCT: Final = "JOIN products p ON p.store_id = d.store_id AND p.id = d.product_id"
_PRODUCT_PARTS: Final = (
    "JOIN product_documents pd ON pd.store_id = d.store_id AND pd.product_id = d.product_id"
)
_OF_VARIANT: Final = "FROM variant_documents d {joins} WHERE d.store_id = $1 AND d.variant_id = page.id"
_REVIEWED: Final = "LEFT JOIN review_stats r ON r.store_id = d.store_id AND r.product_id = d.product_id"

# A whole product with its variants, for the product page.id.
PRODUCT_ITEM: Final = f"""(
    SELECT concat('{{', pd.brief, ',"tags":', to_json(array_to_string(p.tags, ', ')),
        ',"product_collection":', {_COLLECTION_TITLE},
        ',"variants":[', (
            SELECT string_agg(
                concat('{{', d.core, ',', d.nested, {LIVE}, ',"specifications":', d.specs_list, '}}'),
                ',' ORDER BY d.position, d.variant_id)
            FROM variant_documents d {_STOCK}
            WHERE d.store_id = p.store_id AND d.product_id = p.id
        ), '],"options":', pd.options, ',"images":', pd.images, ',"all_images":', pd.images, '}}')
    FROM products p JOIN product_documents pd ON pd.store_id = p.store_id AND pd.product_id = p.id
    WHERE p.store_id = $1 AND p.id = page.id
)"""


def size_of(table: str, collection: str = "0") -> str:
    """How many listed rows of a table there are in the store, or of collection_products in one collection."""
    return f"""(
        SELECT coalesce(sum(z.size), 0) FROM list_sizes z
        WHERE z.store_id = $1 AND z.list = '{table}' AND z.collection_id = {collection}
    )"""


def joined(item: str, order: str = "") -> str:
    """The items of a page side by side, as bytes of JSON; without an order the page's own is kept."""
    return f"convert_to(coalesce(string_agg({item}, ',' {order}), ''), 'UTF8')"


def variant_item(expands: AbstractSet[str], *, by_key: bool = False, figures: bool = False) -> str:
    """The JSON text of the variant page.id.

    by_key: specifications as an object instead of a list. figures: with reviews_info and questions_info.
    """
    specifications = "d.specs_object" if by_key else "d.specs_list"
    parts = ["'{'", "d.core", "','", "d.flat", LIVE, """',"specifications":'""", specifications]
    parts += [_FIGURES] * figures + _expanded(expands) + ["'}'"]
    joins = [_STOCK, *_joined_for(expands)] + [_REVIEWED] * figures
    return f"(SELECT concat({', '.join(parts)}) {_OF_VARIANT.format(joins=' '.join(joins))})"


def shelf_item(expands: AbstractSet[str]) -> str:
    """The JSON text of the variant page.id as collections and categories show it."""
    parts = [_READY.format(own="d", lead="l"), _SHELF_LIVE, *_expanded(expands), "'}'"]
    joins = [_LEAD, _SHELF_STOCK.format(siblings="l.siblings"), *_joined_for(expands)]
    return f"(SELECT concat({', '.join(parts)}) {_OF_VARIANT.format(joins=' '.join(joins))})"


def lead_item(expands: AbstractSet[str]) -> str:
    """The same of the first variant of the product page.id, as bytes."""
    live = ", ".join([_SHELF_LIVE, *_expanded(expands, _EXPANDS | _LEAD_EXPANDS), "'}'"])
    joins = [_SHELF_STOCK.format(siblings="d.siblings"), *_joined_for(expands)]
    return f"""(
        SELECT d.item || convert_to(concat({live}), 'UTF8') FROM shelf_documents d {" ".join(joins)}
        WHERE d.store_id = $1 AND d.product_id = page.id
    )"""


def _expanded(expands: AbstractSet[str], known: Mapping[str, str] = _EXPANDS) -> list[str]:
    return [known[name] for name in sorted(expands)]


def _joined_for(expands: AbstractSet[str]) -> list[str]:
    joins = [_PRODUCT] if expands & {"product", "related_products"} else []
    return joins + [_PRODUCT_PARTS] * bool(expands & {"product", "all_images"})
