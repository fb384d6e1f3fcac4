"""What shoppers read of products and variants: each answer is one prepared statement that joins documents.

Items come as bytes of JSON, already joined by commas; they are passed on, never decoded.
"""
# ruff: noqa: S608 - every part is written here; values travel as parameters

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec
from asyncpg import Record

from app.db.reads import Reads
from app.domain.catalogue.cursors import read_cursor, write_cursor
from app.domain.catalogue.errors import product_not_found, variant_not_found
from app.domain.catalogue.filtering import EVERYTHING, Filters, Shape, arguments, conditions
from app.domain.catalogue.pieces import PRODUCT_ITEM, joined, size_of, variant_item
from app.domain.catalogue.search_text import Synonyms, match, search_text
from app.domain.catalogue.word_hits import MOST_FOUND, RANK, Way, product_hits, way_of
from app.kit.paging import PageRequest
from app.kit.words import split_words

NOTHING: Final[AbstractSet[str]] = frozenset()


class Items(msgspec.Struct, frozen=True):
    """The items of a page as joined JSON, and how many there are on all pages.

    after is the cursor behind the last item, empty where the page is not full; None for lists without cursors.
    is_capped: there are more than `total`, which nobody counted and no page shows.
    """

    text: bytes
    total: int
    after: str | None = None
    is_capped: bool = False


def capped(found: Items, *, more: bool) -> Items:
    """What a search found, of which MOST_FOUND are told at most; more: it knows that there are others."""
    total = min(found.total, MOST_FOUND)
    return Items(found.text, total, is_capped=more or total < found.total)


class VariantFilter(msgspec.Struct, frozen=True):
    """What a flat list of variants is narrowed to and ordered by; language and synonyms are the store's."""

    filters: Filters = EVERYTHING
    words: str = ""
    language: str = "en"
    synonyms: Synonyms = ()
    order_by: str = "date"
    descending: bool | None = None


# Each order with the direction that a reader expects of it when none is asked for. Without words to
# match, search_match is the date. Capitals and accents make no difference to title_key.
VARIANT_ORDERS: Final = {
    "date": ("v.created_at", True),
    "title": ("title_key(v.full_title)", False),
    "price": ("v.price", False),
    "best_selling": ("v.sold", True),
    "review_rating": ("v.rating", True),
    "search_match": ("v.created_at", True),
}

# What a cursor of each order holds.
_KEYS: Final[dict[str, type]] = {
    "date": datetime,
    "title": str,
    "price": int,
    "best_selling": int,
    "review_rating": Decimal,
    "search_match": datetime,
}


@lru_cache(maxsize=512)
def _variants_sql(
    shape: Shape, order_by: str, *, after: bool, descending: bool, expands: frozenset[str]
) -> str:
    asked = conditions(shape, 4)
    place = asked.next
    where = " AND ".join(["v.store_id = $1", "v.listed", *asked.of_variants, *asked.of_products])
    owner = "JOIN products p ON p.store_id = $1 AND p.id = v.product_id" if asked.of_products else ""
    column, _ = VARIANT_ORDERS[order_by]
    direction = "DESC" if descending else "ASC"
    begin = f"AND ({column}, v.id) {'<' if descending else '>'} (${place}, ${place + 1})" if after else ""
    counted = f"(SELECT count(*) FROM variants v {owner} WHERE {where})"
    return f"""
        SELECT {joined(variant_item(expands))} AS items,
            (array_agg(page.key))[CAST($2 AS integer)] AS key, (array_agg(page.id))[CAST($2 AS integer)] AS id,
            {size_of("variants") if shape == Shape() else counted} AS total
        FROM (
            SELECT v.id, {column} AS key FROM variants v {owner} WHERE {where} {begin}
            ORDER BY {column} {direction}, v.id {direction} LIMIT $2 OFFSET $3
        ) page
    """


@lru_cache(maxsize=512)
def _found_variants_sql(
    shape: Shape, order_by: str, way: Way, *, descending: bool, expands: frozenset[str]
) -> str:
    """Variants of what fits words. Those of the products that fit best are looked at, MOST_FOUND of them at most.

    LIMIT in the look-up of a product's variants keeps it one: a join would read the variants of all products first.
    """
    asked = conditions(shape, 4)
    fits = " AND ".join(["v.store_id = $1", "v.product_id = p.id", "v.listed", *asked.of_variants])
    narrowed = [*asked.of_products]
    if asked.of_variants:
        narrowed.append(f"EXISTS (SELECT FROM variants v WHERE {fits})")
    direction = "DESC" if descending else "ASC"
    # Variants of a product stay together and in their own order.
    by_match = order_by == "search_match"
    key = "p.rank" if by_match else "v.key"
    order = f"key {direction}, {'product_id, position, id' if by_match else f'id {direction}'}"
    column = "" if by_match else f", {VARIANT_ORDERS[order_by][0]} AS key"
    return f"""
        WITH asked AS MATERIALIZED (
            SELECT {match(asked.next)} AS query, ${asked.next + 5}::text AS leading
        ),
        {product_hits(RANK, asked.next, way, narrowed)},
        found AS MATERIALIZED (
            SELECT v.id, v.position, p.id AS product_id, {key} AS key
            FROM (SELECT id, rank FROM hits ORDER BY rank DESC, id) p
            CROSS JOIN LATERAL (
                SELECT v.id, v.position{column} FROM variants v WHERE {fits}
                ORDER BY v.position, v.id LIMIT {MOST_FOUND}
            ) v LIMIT {MOST_FOUND + 1}
        )
        SELECT {joined(variant_item(expands))} AS items, (SELECT count(*) FROM found) AS total,
            (SELECT more.found FROM more) AS more
        FROM (
            SELECT id FROM (SELECT * FROM found LIMIT {MOST_FOUND}) best ORDER BY {order} LIMIT $2 OFFSET $3
        ) page
    """


async def list_variants(
    reads: Reads,
    store_id: int,
    paging: PageRequest,
    wanted: VariantFilter,
    expands: AbstractSet[str] = NOTHING,
) -> Items:
    """A flat list of variants on sale. One statement. With words, of the MOST_FOUND that fit them best."""
    words = split_words(wanted.words)
    if wanted.words and not words:
        return Items(b"", 0)
    descending = VARIANT_ORDERS[wanted.order_by][1] if wanted.descending is None else wanted.descending
    shape = Shape.of(wanted.filters)
    values = arguments(wanted.filters)
    if words:
        query = search_text(words, wanted.language, synonyms=wanted.synonyms)
        sql = _found_variants_sql(
            shape,
            wanted.order_by,
            way_of(words, query),
            descending=descending,
            expands=frozenset(expands),
        )
        values += query.arguments
        # What is found is ranked as a whole, so that each page costs the same: its number will do.
        skip = (paging.number - 1) * paging.size
        row = await reads.fetchrow(sql, store_id, paging.size, skip, *values)
        assert row is not None
        return capped(Items(row["items"], row["total"]), more=row["more"])
    sql = _variants_sql(
        shape,
        wanted.order_by,
        after=bool(paging.after),
        descending=descending,
        expands=frozenset(expands),
    )
    if paging.after:
        values += read_cursor(paging.after, wanted.order_by, down=descending, keys=_KEYS)
    row = await reads.fetchrow(sql, store_id, paging.size, paging.skip, *values)
    assert row is not None
    return _page(row, wanted.order_by, down=descending)


_PRODUCTS: Final = """
    SELECT {items} AS items,
        (array_agg(page.created_at))[CAST($2 AS integer)] AS key, (array_agg(page.id))[CAST($2 AS integer)] AS id,
        {total} AS total
    FROM (
        SELECT id, created_at FROM products WHERE store_id = $1 AND listed {begin}
        ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3
    ) page
"""
_PRODUCT_PAGE: Final = {"items": joined(PRODUCT_ITEM), "total": size_of("products")}
_FIRST_PRODUCTS: Final = _PRODUCTS.format(**_PRODUCT_PAGE, begin="")
_NEXT_PRODUCTS: Final = _PRODUCTS.format(**_PRODUCT_PAGE, begin="AND (created_at, id) < ($4, $5)")
_PRODUCT: Final = f"""
    SELECT convert_to({PRODUCT_ITEM}, 'UTF8')
    FROM (SELECT id FROM products WHERE store_id = $1 AND handle = $2 AND listed) page
"""


async def list_products(reads: Reads, store_id: int, paging: PageRequest) -> Items:
    """Products on sale with variants, options and images, newest first. One statement."""
    sql, begin = _FIRST_PRODUCTS, tuple[object, ...]()
    if paging.after:
        sql, begin = _NEXT_PRODUCTS, read_cursor(paging.after, "date", down=True, keys=_KEYS)
    row = await reads.fetchrow(sql, store_id, paging.size, paging.skip, *begin)
    assert row is not None
    return _page(row, "date", down=True)


def _page(row: Record, order: str, *, down: bool) -> Items:
    """A page with the cursor behind it, from the key and the id of the last row of a full one."""
    full = row["id"] is not None
    after = write_cursor(order, down=down, key=row["key"], row_id=row["id"]) if full else ""
    return Items(row["items"], row["total"], after)


async def get_product(reads: Reads, store_id: int, handle: str) -> bytes:
    """The JSON of one product on sale. Raises NotFound."""
    found: bytes | None = await reads.fetchval(_PRODUCT, store_id, handle)
    if found is None:
        raise product_not_found()
    return found


@lru_cache(maxsize=64)
def _by_ids_sql(expands: frozenset[str]) -> str:
    return f"""
        SELECT {joined(variant_item(expands), "ORDER BY page.place")} FROM (
            SELECT v.id, min(wanted.place) AS place
            FROM unnest($2::bigint[]) WITH ORDINALITY AS wanted (id, place)
            JOIN variants v ON v.store_id = $1 AND v.id = wanted.id AND v.listed GROUP BY v.id
        ) page
    """


async def list_variants_by_ids(
    reads: Reads, store_id: int, ids: Sequence[int], expands: AbstractSet[str] = NOTHING
) -> bytes:
    """The variants of these ids that are on sale, in the order asked for, as joined JSON."""
    found: bytes = await reads.fetchval(_by_ids_sql(frozenset(expands)), store_id, list(ids))
    return found


@lru_cache(maxsize=64)
def _variant_sql(expands: frozenset[str]) -> str:
    return f"""
        SELECT convert_to({variant_item(expands, figures=True)}, 'UTF8')
        FROM (SELECT id FROM variants WHERE store_id = $1 AND id = $2 AND listed) page
    """


async def get_variant(
    reads: Reads, store_id: int, variant_id: int, expands: AbstractSet[str] = NOTHING
) -> bytes:
    """The JSON of one variant on sale, with its review and question figures. Raises NotFound."""
    found: bytes | None = await reads.fetchval(_variant_sql(frozenset(expands)), store_id, variant_id)
    if found is None:
        raise variant_not_found()
    return found
