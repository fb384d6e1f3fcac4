"""The SQL pieces that join a document with what changes by the minute: price, stock, reviews.

Aliases everywhere: v variants, d variant_documents, s stock_items, p products, pd product_documents.
"""

from collections.abc import Set as AbstractSet
from typing import Final

VARIANT_EXPANDS: Final = frozenset(
    {"all_images", "product", "options", "related_products", "reviews", "questions"}
)
# How many of the newest reviews and questions an expand answers; its count tells of all.
MOST_TOLD: Final = 20

# Untracked variants have no count: they answer 0 and are never out of stock.
LIVE: Final = """
    ',"price":' || v.price || ',"compare_at_price":' || coalesce(CAST(v.compare_at_price AS text), 'null')
    || ',"inventory_policy":"' || coalesce(s.policy, 'deny')
    || '","inventory_quantity":' || coalesce(s.on_hand - s.reserved, 0)
    || ',"old_inventory_quantity":' || coalesce(s.on_hand - s.reserved, 0)
    || CASE WHEN coalesce(s.available, true)
        THEN ',"out_of_stock":false,"allow_to_purchase":true'
        ELSE ',"out_of_stock":true,"allow_to_purchase":false' END
"""
_COLLECTION_TITLE: Final = """
    coalesce((
        SELECT CAST(to_json(c.title) AS text) FROM collection_products m
        JOIN collections c ON c.store_id = m.store_id AND c.id = m.collection_id AND c.visible
        WHERE m.store_id = p.store_id AND m.product_id = p.id ORDER BY c.id LIMIT 1
    ), 'null')
"""
# Chosen by hand, else the best selling products of the same type.
_RELATED: Final = """
    CASE WHEN p.related <> '{}' THEN CAST(to_json(p.related) AS text) ELSE coalesce((
        SELECT '[' || string_agg(CAST(near.lead_variant_id AS text), ',') || ']' FROM (
            SELECT n.lead_variant_id FROM products n
            WHERE n.store_id = p.store_id AND n.type_id = p.type_id AND n.listed AND n.id <> p.id
            ORDER BY n.sold DESC, n.id LIMIT 8
        ) near
    ), '[]') END
"""
# What is told of a product by shoppers, newest first. Mail addresses stay with the shop.
_TOLD: Final = """
    json_build_object('count', (
        SELECT count(*) FROM {table} n WHERE n.store_id = v.store_id AND n.product_id = v.product_id
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
            SELECT * FROM {table} n WHERE n.store_id = v.store_id AND n.product_id = v.product_id
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
    "reviews": f"|| ',\"reviews\":' || CAST({_REVIEWS} AS text)",
    "questions": f"|| ',\"questions\":' || CAST({_QUESTIONS} AS text)",
    "all_images": """|| ',"all_images":' || pd.images""",
    "options": """|| ',"options":' || d.options""",
    "product": f"""|| ',"product":{{' || pd.brief || ',"tags":' || CAST(to_json(p.tags) AS text)
        || ',"product_collection":' || {_COLLECTION_TITLE} || '}}'""",
    "related_products": f"""|| ',"related_products":' || {_RELATED}""",
}
_PAGE: Final = """
    || ',' || pd.page || ',"order_qty":' || v.sold || ',"related_inventory_quantity":' || (
        SELECT coalesce(sum(o.on_hand - o.reserved), 0) FROM variants sibling
        JOIN stock_items o ON o.store_id = sibling.store_id AND o.variant_id = sibling.id
        WHERE sibling.store_id = v.store_id AND sibling.product_id = v.product_id
    )
"""
# How a variant's own parts are reached from v.
PARTS: Final = """
    JOIN variant_documents d ON d.store_id = v.store_id AND d.variant_id = v.id
    LEFT JOIN stock_items s ON s.store_id = v.store_id AND s.variant_id = v.id
"""
PRODUCT: Final = "JOIN products p ON p.store_id = v.store_id AND p.id = v.product_id"
PRODUCT_PARTS: Final = (
    "JOIN product_documents pd ON pd.store_id = v.store_id AND pd.product_id = v.product_id"
)

# A whole product with its variants, from p and pd.
PRODUCT_ITEM: Final = f"""
    '{{' || pd.brief || ',"tags":' || CAST(to_json(array_to_string(p.tags, ', ')) AS text)
    || ',"product_collection":' || {_COLLECTION_TITLE}
    || ',"variants":[' || coalesce((
        SELECT string_agg('{{' || d.core || ',' || d.nested || {LIVE} || ',"specifications":' || d.specs_list
            || '}}', ',' ORDER BY v.position, v.id)
        FROM variants v {PARTS}
        WHERE v.store_id = p.store_id AND v.product_id = p.id
    ), '') || '],"options":' || pd.options || ',"images":' || pd.images || ',"all_images":' || pd.images
    || '}}'
"""  # noqa: S608 - every part is written here


def variant_item(
    expands: AbstractSet[str], *, page: bool = False, by_key: bool = False, tail: str = ""
) -> str:
    """The JSON text of one variant in a list; page adds what collection pages show beside.

    by_key: specifications as an object instead of a list. tail: more members, as SQL beginning with ||.
    """
    specs = "d.specs_object" if by_key else "d.specs_list"
    more = " ".join(_EXPANDS[name] for name in sorted(expands & VARIANT_EXPANDS))
    return (
        f"'{{' || d.core || ',' || d.flat || {LIVE} || ',\"specifications\":' || {specs}"
        f" {_PAGE if page else ''} {more} {tail} || '}}'"
    )


def variant_joins(expands: AbstractSet[str], *, page: bool = False, has_product: bool = False) -> str:
    """The joins that variant_item needs from v, with as few tables as the extras allow.

    has_product: the statement has the product as p already.
    """
    joins = [PARTS]
    if expands & {"product", "related_products"} and not has_product:
        joins.append(PRODUCT)
    if page or expands & {"product", "all_images"}:
        joins.append(PRODUCT_PARTS)
    return " ".join(joins)
