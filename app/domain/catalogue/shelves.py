"""What shoppers read of collections and categories: the shelves that products stand on.

A page has one item for each product, shown as its first variant, or the first that fits the filters.
"""
# ruff: noqa: S608 - every part is written here; values travel as parameters

from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Final

from app.db.reads import Reads
from app.domain.catalogue.cursors import read_cursor, read_place, write_cursor, write_place
from app.domain.catalogue.errors import category_not_found, collection_not_found
from app.domain.catalogue.filter_counts import counts_sql
from app.domain.catalogue.filtering import EVERYTHING, Filters, Shape, arguments, conditions
from app.domain.catalogue.large_shelves import PRICE_ORDER, LargeShelves
from app.domain.catalogue.pieces import joined, lead_item, shelf_item, size_of
from app.domain.catalogue.queries import NOTHING, Items
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
    ", 'category', (SELECT "
    + _CATEGORY.format(more="")
    + """ FROM category_collections l
        JOIN categories k ON k.store_id = l.store_id AND k.id = l.category_id AND k.visible
        WHERE l.store_id = c.store_id AND l.collection_id = c.id ORDER BY k.position, k.id LIMIT 1)"""
)
_ITS_COLLECTIONS: Final = (
    ", 'collections', (SELECT coalesce(json_agg("
    + _COLLECTION.format(more="")
    + """ ORDER BY l.position, c.id), '[]') FROM category_collections l
        JOIN collections c ON c.store_id = l.store_id AND c.id = l.collection_id AND c.visible
        WHERE l.store_id = k.store_id AND l.category_id = k.id)"""
)


@lru_cache(maxsize=16)
def _heads_sql(kind: str, *, expanded: bool, one: bool) -> str:
    if kind == "collection":
        head, source = _COLLECTION.format(more=_ITS_CATEGORY if expanded else ""), "collections c"
        alias, order = "c", "title_key(c.title), c.id"
    else:
        head, source = _CATEGORY.format(more=_ITS_COLLECTIONS if expanded else ""), "categories k"
        alias, order = "k", "k.parent_id NULLS FIRST, k.position, k.id"
    where = f"{alias}.store_id = $1 AND {alias}.visible"
    if one:
        return f"SELECT convert_to(CAST({head} AS text), 'UTF8') FROM {source} WHERE {where} AND {alias}.handle = $2"
    return f"""
        SELECT {joined("page.head", "ORDER BY page.place")} AS items,
            (SELECT count(*) FROM {source} WHERE {where}) AS total
        FROM (
            SELECT CAST({head} AS text) AS head, row_number() OVER (ORDER BY {order}) AS place
            FROM {source} WHERE {where} ORDER BY {order} LIMIT $2 OFFSET $3
        ) page
    """


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


async def get_collection(reads: Reads, store_id: int, handle: str, *, expanded: bool) -> bytes:
    """One visible collection as JSON. Raises NotFound."""
    found: bytes | None = await reads.fetchval(
        _heads_sql("collection", expanded=expanded, one=True), store_id, handle
    )
    if found is None:
        raise collection_not_found()
    return found


async def get_category(reads: Reads, store_id: int, handle: str, *, expanded: bool) -> bytes:
    """One visible category as JSON. Raises NotFound."""
    found: bytes | None = await reads.fetchval(
        _heads_sql("category", expanded=expanded, one=True), store_id, handle
    )
    if found is None:
        raise category_not_found()
    return found


# Orders that a reader can ask for, over p (the product) and v (the variant shown), and their direction.
SHELF_ORDERS: Final = {
    "date": ("p.created_at", True),
    "published_at": ("p.published_at", True),
    "title": ("title_key(p.title)", False),
    "price": ("v.price", False),
    "best_selling": ("p.sold", True),
}

_COLLECTION_MEMBERS: Final = """
    SELECT m.product_id, m.position, m.sort_text FROM collection_products m
    WHERE m.store_id = $1 AND m.collection_id = (SELECT id FROM shelf) AND m.listed
"""
_COLLECTION_SHELF: Final = "SELECT id FROM collections WHERE store_id = $1 AND handle = $2 AND visible"

# A category and all below it: its collections one after the other, each in its own order. Of a product in several of
# them the first place counts; a place is one text, so that it can be compared as one.
_CATEGORY_MEMBERS: Final = """
    SELECT m.product_id, 0::bigint AS position,
        min(lpad(CAST(l.position AS text), 9, '0') || lpad(CAST(m.position + (1::bigint << 62) AS text), 19, '0')
            || m.sort_text) AS sort_text
    FROM below
    JOIN category_collections l ON l.store_id = $1 AND l.category_id = below.id
    JOIN collections c ON c.store_id = $1 AND c.id = l.collection_id AND c.visible
    JOIN collection_products m ON m.store_id = $1 AND m.collection_id = l.collection_id AND m.listed
    GROUP BY m.product_id
"""
# What a cursor holds of either's own order: see cursors.write_place.
_KEYS: Final[dict[str, type]] = {"collection": str, "category": str}
_MEMBERS: Final = {"collection": _COLLECTION_MEMBERS, "category": _CATEGORY_MEMBERS}
_CATEGORY_SHELF: Final = "SELECT id FROM categories WHERE store_id = $1 AND handle = $2 AND visible"
_BELOW: Final = """below AS (
    SELECT id FROM shelf
    UNION
    SELECT k.id FROM categories k JOIN below ON k.parent_id = below.id WHERE k.store_id = $1 AND k.visible
)"""


@lru_cache(maxsize=128)
def _page_sql(kind: str, *, after: bool, descending: bool, expands: frozenset[str]) -> str:
    """A page in a shelf's own order: of a collection it walks one index and touches only itself.

    The first row is the shelf and its size, each further one an item with its place. Items come one by one: as
    one value they would be copied five times on their way, in pieces of memory that the system takes back each time.
    """
    way = "DESC" if descending else "ASC"
    place = "(m.position, m.sort_text, m.product_id)"
    begin = f"WHERE {place} {'<' if descending else '>'} ($5, $6, $7)" if after else ""
    # What stands below a category is put together anyway; the size of a collection is known.
    total = "(SELECT count(*) FROM members)"
    if kind == "collection":
        total = size_of("collection_products", "(SELECT id FROM shelf)")
    return f"""
    WITH RECURSIVE {_shelf(kind)},
    members AS {"NOT " if kind == "collection" else ""}MATERIALIZED ({_MEMBERS[kind]})
    SELECT CAST(NULL AS bytea) AS item, (SELECT id FROM shelf) AS id, {total} AS position, NULL AS sort_text
    UNION ALL
    SELECT {lead_item(expands)}, page.id, page.position, page.sort_text
    FROM (
        SELECT product_id AS id, position, sort_text FROM members m {begin}
        ORDER BY m.position {way}, m.sort_text {way}, m.product_id {way} LIMIT $3 OFFSET $4
    ) page
    """


@lru_cache(maxsize=256)
def _hits_sql(kind: str, shape: Shape, order_by: str | None, *, descending: bool) -> str:
    """The variants that stand for all products of a page's list, in order."""
    way = "DESC" if descending else "ASC"
    if order_by is None:
        order = f"m.position {way}, m.sort_text {way}, m.product_id {way}"
    else:
        order = f"{SHELF_ORDERS[order_by][0]} {way} NULLS LAST, p.id {way}"
    if shape == Shape():
        shown, fits = "JOIN variants v ON v.store_id = $1 AND v.id = p.lead_variant_id", ""
    else:
        asked = conditions(shape, 3)
        of_variants = "".join(f" AND {condition}" for condition in asked.of_variants)
        # LIMIT makes it a look-up for each product: joined, the store's variants that fit would all be read first.
        shown = f"""CROSS JOIN LATERAL (
            SELECT v.id, v.price FROM variants v
            WHERE v.store_id = $1 AND v.product_id = m.product_id AND v.listed{of_variants}
            ORDER BY v.position, v.id LIMIT 1
        ) v"""
        fits = f"WHERE {' AND '.join(asked.of_products)}" if asked.of_products else ""
    return f"""
    WITH RECURSIVE {_shelf(kind)}
    SELECT (SELECT id FROM shelf) AS shelf, coalesce(array_agg(v.id ORDER BY {order}), '{{}}') AS ids
    FROM ({_MEMBERS[kind]}) m JOIN products p ON p.store_id = $1 AND p.id = m.product_id {shown} {fits}
    """


@lru_cache(maxsize=64)
def _items_sql(expands: frozenset[str]) -> str:
    item = shelf_item(expands)
    return f"""
    SELECT {joined(item, "ORDER BY page.place")} AS items
    FROM unnest(CAST($2 AS bigint[])) WITH ORDINALITY AS page (id, place)
    """


@lru_cache(maxsize=2)
def _size_sql(kind: str) -> str:
    return f"""
    WITH RECURSIVE {_shelf(kind)}
    SELECT count(*) AS shelf, {size_of("products")} AS shop FROM (SELECT FROM ({_MEMBERS[kind]}) m LIMIT $3) found
    """


@lru_cache(maxsize=2)
def _ids_sql(kind: str) -> str:
    return f"""
    WITH RECURSIVE {_shelf(kind)}
    SELECT array_agg(m.product_id ORDER BY m.position, m.sort_text, m.product_id) FROM ({_MEMBERS[kind]}) m
    """


@lru_cache(maxsize=16)
def _all_ordered_sql(order_by: str, *, descending: bool) -> str:
    way = "DESC" if descending else "ASC"
    column, _ = SHELF_ORDERS[order_by]
    return f"""
    SELECT array_agg(p.id ORDER BY {column} {way} NULLS LAST, p.id {way}) FROM products p
    WHERE p.store_id = $1 AND p.listed
    """


def _shelf(kind: str) -> str:
    if kind == "collection":
        return f"shelf AS MATERIALIZED ({_COLLECTION_SHELF})"
    return f"shelf AS MATERIALIZED ({_CATEGORY_SHELF}), {_BELOW}"


def _begin(kind: str, paging: PageRequest, *, down: bool) -> tuple[object, ...]:
    """What a page of a shelf's own order begins behind. Raises Invalid for a cursor that is none of it."""
    if not paging.after:
        return ()
    key, last = read_cursor(paging.after, kind, down=down, keys=_KEYS)
    return (*read_place(key), last)


async def _list_own(
    reads: Reads,
    store_id: int,
    handle: str,
    paging: PageRequest,
    *,
    kind: str,
    down: bool,
    expands: frozenset[str],
) -> Items | None:
    begin = _begin(kind, paging, down=down)
    sql = _page_sql(kind, after=bool(begin), descending=down, expands=expands)
    shelf, *items = await reads.fetch(sql, store_id, handle, paging.size, paging.skip, *begin)
    if shelf["id"] is None:
        return None
    after: str | None = ""
    if len(items) == paging.size:
        last = items[-1]
        key = write_place(last["position"], last["sort_text"])
        after = write_cursor(kind, down=down, key=key, row_id=last["id"])
    return Items(
        b",".join([row["item"] for row in items if row["item"] is not None]), shelf["position"], after
    )


async def _list_shelf(
    reads: Reads,
    store_id: int,
    handle: str,
    paging: PageRequest,
    *,
    kind: str,
    filters: Filters,
    order_by: str | None,
    descending: bool | None,
    expands: AbstractSet[str],
    large: LargeShelves | None,
) -> Items | None:
    """In the shelf's own order one statement; else one for what fits, none on a large shelf, and one for the page."""
    usual = SHELF_ORDERS[order_by][1] if order_by else False
    down = usual if descending is None else descending
    own = order_by is None and not filters
    # Of its own order a collection has an index; what stands below a category has to be put together.
    if large is not None and own and kind == "collection":
        large = None
    if large is not None and not await large.has(store_id, (kind, store_id, handle), _size_sql(kind), handle):
        large = None
    if own:
        _begin(kind, paging, down=down)
    if own and large is None:
        return await _list_own(
            reads, store_id, handle, paging, kind=kind, down=down, expands=frozenset(expands)
        )
    # What fits is ranked as a whole, so that each page costs the same: its number will do.
    paging = PageRequest(paging.number, paging.size)

    if large is not None:
        order = (
            _all_ordered_sql(order_by, descending=down) if order_by not in (None, PRICE_ORDER) else order_by
        )
        page = await large.list_variants(
            store_id, _ids_sql(kind), handle, paging, filters=filters, order=order, down=down
        )
        if page is not None:
            return Items(await reads.fetchval(_items_sql(frozenset(expands)), store_id, page[0]), page[1])
    sql = _hits_sql(kind, Shape.of(filters), order_by, descending=down)
    found = await reads.fetchrow(sql, store_id, handle, *arguments(filters))
    assert found is not None
    if found["shelf"] is None:
        return None
    ids = found["ids"]
    wanted = ids[paging.skip : paging.skip + paging.size]
    return Items(await reads.fetchval(_items_sql(frozenset(expands)), store_id, wanted), len(ids))


async def list_collection_products(
    reads: Reads,
    store_id: int,
    handle: str,
    paging: PageRequest,
    *,
    filters: Filters = EVERYTHING,
    order_by: str | None = None,
    descending: bool | None = None,
    expands: AbstractSet[str] = NOTHING,
    large: LargeShelves | None = None,
) -> Items:
    """The products of a visible collection, in its own order or the one asked for. Raises NotFound."""
    found = await _list_shelf(
        reads, store_id, handle, paging, kind="collection", filters=filters,
        order_by=order_by, descending=descending, expands=expands, large=large,
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
    filters: Filters = EVERYTHING,
    order_by: str | None = None,
    descending: bool | None = None,
    expands: AbstractSet[str] = NOTHING,
    large: LargeShelves | None = None,
) -> Items:
    """The products of a visible category and of those below it, each once. Raises NotFound."""
    found = await _list_shelf(
        reads, store_id, handle, paging, kind="category", filters=filters,
        order_by=order_by, descending=descending, expands=expands, large=large,
    )  # fmt: skip
    if found is None:
        raise category_not_found()
    return found


async def list_collection_filters(
    reads: Reads,
    store_id: int,
    handle: str,
    filters: Filters = EVERYTHING,
    *,
    large: LargeShelves | None = None,
) -> bytes:
    """The filters of a collection with the number of its products for each value, as a JSON array."""
    return await _count(reads, "collection", store_id, handle, filters, large)


async def list_category_filters(
    reads: Reads,
    store_id: int,
    handle: str,
    filters: Filters = EVERYTHING,
    *,
    large: LargeShelves | None = None,
) -> bytes:
    """The filters of a category with the number of products below for each value, as a JSON array."""
    return await _count(reads, "category", store_id, handle, filters, large)


async def _count(
    reads: Reads, kind: str, store_id: int, handle: str, filters: Filters, large: LargeShelves | None
) -> bytes:
    if large is not None and await large.counts(store_id, (kind, store_id, handle), _size_sql(kind), handle):
        counted = await large.count(store_id, _ids_sql(kind), handle, filters)
        if counted is not None:
            return counted
    withs = f"{_shelf(kind)}, members AS MATERIALIZED ({_MEMBERS[kind]})"
    values = arguments(filters)
    if filters.options:
        values.append([key for key, _ in filters.options])
    found: bytes = await reads.fetchval(counts_sql(withs, Shape.of(filters), 3), store_id, handle, *values)
    return found
