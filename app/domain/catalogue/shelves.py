"""What shoppers read of collections and categories: the shelves that products stand on.

A page has one item for each product, shown as its first variant, or the first that fits the filters.
"""

from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Final

from app.db.reads import Reads
from app.domain.catalogue.errors import category_not_found, collection_not_found
from app.domain.catalogue.pieces import variant_item, variant_joins
from app.domain.catalogue.queries import NOTHING, Facets, Items
from app.kit.paging import PageRequest

_COLLECTION: Final = """json_build_object(
    'id', c.id, 'title', c.title, 'body_html', c.body_html, 'visible', c.visible, 'handle', c.handle,
    'seo_title', c.seo_title, 'seo_description', c.seo_description, 'seo_keywords', c.seo_keywords,
    'media', c.media, 'product_conditions', c.rules, 'condition', c.condition{more})"""
_CATEGORY: Final = """json_build_object(
    'id', k.id, 'title', k.title, 'body_html', k.body_html, 'visible', k.visible, 'handle', k.handle,
    'seo_title', k.seo_title, 'seo_description', k.seo_description, 'seo_keywords', k.seo_keywords,
    'media', k.media, 'product_conditions', json_build_array(), 'condition', 'any',
    'parent_id', k.parent_id{more})"""
_ITS_CATEGORY: Final = (
    ", 'category', (SELECT "  # noqa: S608 - every part is written here
    + _CATEGORY.format(more="")
    + """ FROM category_collections l
        JOIN categories k ON k.store_id = l.store_id AND k.id = l.category_id AND k.visible
        WHERE l.store_id = c.store_id AND l.collection_id = c.id ORDER BY k.position, k.id LIMIT 1)"""
)
_ITS_COLLECTIONS: Final = (
    ", 'collections', (SELECT coalesce(json_agg("  # noqa: S608 - every part is written here
    + _COLLECTION.format(more="")
    + """ ORDER BY l.position, c.id), '[]') FROM category_collections l
        JOIN collections c ON c.store_id = l.store_id AND c.id = l.collection_id AND c.visible
        WHERE l.store_id = k.store_id AND l.category_id = k.id)"""
)


@lru_cache(maxsize=16)
def _heads_sql(kind: str, *, expanded: bool, one: bool) -> str:
    if kind == "collection":
        head, source = _COLLECTION.format(more=_ITS_CATEGORY if expanded else ""), "collections c"
        alias, order = "c", "c.title, c.id"
    else:
        head, source = _CATEGORY.format(more=_ITS_COLLECTIONS if expanded else ""), "categories k"
        alias, order = "k", "k.parent_id NULLS FIRST, k.position, k.id"
    where = f"{alias}.store_id = $1 AND {alias}.visible"
    if one:
        return f"SELECT CAST({head} AS text) FROM {source} WHERE {where} AND {alias}.handle = $2"  # noqa: S608 - every part is written here
    return f"""
        SELECT coalesce(string_agg(page.head, ',' ORDER BY page.place), '') AS items,
            (SELECT count(*) FROM {source} WHERE {where}) AS total
        FROM (
            SELECT CAST({head} AS text) AS head, row_number() OVER (ORDER BY {order}) AS place
            FROM {source} WHERE {where} ORDER BY {order} LIMIT $2 OFFSET $3
        ) page
    """  # noqa: S608 - every part is written here


async def _list_heads(
    reads: Reads, store_id: int, paging: PageRequest, kind: str, *, expanded: bool
) -> Items:
    row = await reads.fetchrow(
        _heads_sql(kind, expanded=expanded, one=False), store_id, paging.size, paging.skip
    )
    assert row is not None
    return Items(row["items"], row["total"])


async def list_collections(reads: Reads, store_id: int, paging: PageRequest, *, expanded: bool) -> Items:
    """Visible collections by title, expanded each with its category."""
    return await _list_heads(reads, store_id, paging, "collection", expanded=expanded)


async def list_categories(reads: Reads, store_id: int, paging: PageRequest, *, expanded: bool) -> Items:
    """Visible categories, roots first, expanded each with its collections."""
    return await _list_heads(reads, store_id, paging, "category", expanded=expanded)


async def get_collection(reads: Reads, store_id: int, handle: str, *, expanded: bool) -> str:
    """One visible collection as JSON. Raises NotFound."""
    found: str | None = await reads.fetchval(
        _heads_sql("collection", expanded=expanded, one=True), store_id, handle
    )
    if found is None:
        raise collection_not_found()
    return found


async def get_category(reads: Reads, store_id: int, handle: str, *, expanded: bool) -> str:
    """One visible category as JSON. Raises NotFound."""
    found: str | None = await reads.fetchval(
        _heads_sql("category", expanded=expanded, one=True), store_id, handle
    )
    if found is None:
        raise category_not_found()
    return found


# Orders that a reader can ask for, over p (the product) and v (the variant shown), and their direction.
SHELF_ORDERS: Final = {
    "date": ("p.created_at", True),
    "published_at": ("p.published_at", True),
    "title": ("p.title", False),
    "price": ("v.price", False),
    "best_selling": ("p.sold", True),
}

_COLLECTION_MEMBERS: Final = """
    SELECT m.product_id, m.position, m.sort_text FROM collection_products m
    WHERE m.store_id = $1 AND m.collection_id = (SELECT id FROM shelf) AND m.listed
"""
_COLLECTION_SHELF: Final = "SELECT id FROM collections WHERE store_id = $1 AND handle = $2 AND visible"

# A category and all below it; of a product in several of their collections the first place counts.
_CATEGORY_MEMBERS: Final = """
    SELECT m.product_id, min(l.position * 1000000::bigint) AS position, min(m.sort_text) AS sort_text
    FROM below
    JOIN category_collections l ON l.store_id = $1 AND l.category_id = below.id
    JOIN collections c ON c.store_id = $1 AND c.id = l.collection_id AND c.visible
    JOIN collection_products m ON m.store_id = $1 AND m.collection_id = l.collection_id AND m.listed
    GROUP BY m.product_id
"""
_CATEGORY_SHELF: Final = "SELECT id FROM categories WHERE store_id = $1 AND handle = $2 AND visible"
_BELOW: Final = """below AS (
    SELECT id FROM shelf
    UNION
    SELECT k.id FROM categories k JOIN below ON k.parent_id = below.id WHERE k.store_id = $1 AND k.visible
)"""


@lru_cache(maxsize=512)
def _shelf_sql(
    kind: str, groups: int, order_by: str | None, *, descending: bool, expands: frozenset[str]
) -> str:
    """Without filters and orders of their own, pages of a collection walk one index and touch only themselves."""
    fits = "".join(f" AND f.facets && ${5 + place}::text[]" for place in range(groups))
    members = _COLLECTION_MEMBERS if kind == "collection" else _CATEGORY_MEMBERS
    shelf = _COLLECTION_SHELF if kind == "collection" else _CATEGORY_SHELF
    withs = f"shelf AS ({shelf})" + ("" if kind == "collection" else f", {_BELOW}")
    source, shown = f"({members}) m", "p.lead_variant_id"
    lead = "JOIN products p ON p.store_id = $1 AND p.id = m.product_id"
    if groups:
        source += f""" JOIN LATERAL (
            SELECT f.id FROM variants f WHERE f.store_id = $1 AND f.product_id = m.product_id{fits}
            ORDER BY f.position, f.id LIMIT 1
        ) fit ON true"""  # noqa: S608 - every part is written here
        shown = "fit.id"
    if order_by is None:
        order = "m.position, m.sort_text, m.product_id"
        page = f"SELECT m.product_id, {'fit.id' if groups else '0::bigint'} AS id FROM {source}"  # noqa: S608 - every part is written here
    else:
        direction = "DESC" if descending else "ASC"
        order = f"{SHELF_ORDERS[order_by][0]} {direction} NULLS LAST, p.id {direction}"
        page = f"""SELECT m.product_id, {shown} AS id FROM {source} {lead}
            JOIN variants v ON v.store_id = $1 AND v.id = {shown}"""  # noqa: S608 - every part is written here
    chosen = "page.id" if groups or order_by is not None else "p.lead_variant_id"
    inner = variant_joins(expands, page=True, has_product=True)
    return f"""
        WITH RECURSIVE {withs}
        SELECT (SELECT id FROM shelf) AS shelf, (SELECT count(*) FROM {source}) AS total,
            coalesce(string_agg({variant_item(expands, page=True, by_key=True)}, ',' ORDER BY page.place), '')
                AS items
        FROM (
            SELECT found.*, row_number() OVER () AS place
            FROM ({page} ORDER BY {order} LIMIT $3 OFFSET $4) found
        ) page
        JOIN products p ON p.store_id = $1 AND p.id = page.product_id
        JOIN variants v ON v.store_id = $1 AND v.id = {chosen} {inner}
    """  # noqa: S608 - every part is written here; values travel as parameters


async def _list_shelf(
    reads: Reads,
    store_id: int,
    handle: str,
    paging: PageRequest,
    *,
    kind: str,
    facets: Facets,
    order_by: str | None,
    descending: bool | None,
    expands: AbstractSet[str],
) -> Items | None:
    usual = SHELF_ORDERS[order_by][1] if order_by else False
    sql = _shelf_sql(
        kind,
        len(facets.groups),
        order_by,
        descending=usual if descending is None else descending,
        expands=frozenset(expands),
    )
    groups = [list(group) for group in facets.groups]
    row = await reads.fetchrow(sql, store_id, handle, paging.size, paging.skip, *groups)
    assert row is not None
    return None if row["shelf"] is None else Items(row["items"], row["total"])


async def list_collection_products(
    reads: Reads,
    store_id: int,
    handle: str,
    paging: PageRequest,
    *,
    facets: Facets | None = None,
    order_by: str | None = None,
    descending: bool | None = None,
    expands: AbstractSet[str] = NOTHING,
) -> Items:
    """The products of a visible collection, in its own order or the one asked for. Raises NotFound."""
    found = await _list_shelf(
        reads, store_id, handle, paging, kind="collection", facets=facets or Facets(),
        order_by=order_by, descending=descending, expands=expands,
    )  # fmt: skip
    if found is None:
        raise collection_not_found()
    return found


async def list_category_products(
    reads: Reads,
    store_id: int,
    handle: str,
    paging: PageRequest,
    *,
    facets: Facets | None = None,
    order_by: str | None = None,
    descending: bool | None = None,
    expands: AbstractSet[str] = NOTHING,
) -> Items:
    """The products of a visible category and of those below it, each once. Raises NotFound."""
    found = await _list_shelf(
        reads, store_id, handle, paging, kind="category", facets=facets or Facets(),
        order_by=order_by, descending=descending, expands=expands,
    )  # fmt: skip
    if found is None:
        raise category_not_found()
    return found


_FILTERS: Final = f"""
    WITH RECURSIVE shelf AS ({_CATEGORY_SHELF}), {_BELOW},
    members AS ({_CATEGORY_MEMBERS}),
    counted AS (
        SELECT o.key, w.key AS value_key, min(o.name) AS name, min(w.name) AS value,
            count(DISTINCT o.product_id) AS products
        FROM members
        JOIN product_options o ON o.store_id = $1 AND o.product_id = members.product_id
        JOIN option_values w ON w.store_id = $1 AND w.option_id = o.id
        WHERE (o.name, w.name) <> ('Title', 'Default Title')
          AND EXISTS (SELECT 1 FROM variant_values x WHERE x.store_id = $1 AND x.value_id = w.id)
        GROUP BY o.key, w.key
    ),
    filters AS (
        SELECT key, min(name) AS name, json_agg(json_build_object(
            'key', value_key, 'name', value, 'count', products) ORDER BY value) AS choices
        FROM counted GROUP BY key
    )
    SELECT CAST(coalesce(json_agg(json_build_object('key', key, 'name', name, 'values', choices)
        ORDER BY name), '[]') AS text) FROM filters
"""  # noqa: S608 - every part is written here


async def list_category_filters(reads: Reads, store_id: int, handle: str) -> str:
    """The option filters of a category with the number of products below for each value, as a JSON array."""
    found: str = await reads.fetchval(_FILTERS, store_id, handle)
    return found
