"""What shoppers read of products and variants: each answer is one prepared statement that joins documents.

Items come as bytes of JSON, already joined by commas; they are passed on, never decoded.
"""
# ruff: noqa: S608 - every part is written here; values travel as parameters

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Final

import msgspec

from app.db.reads import Reads
from app.domain.catalogue.drafts import key_of
from app.domain.catalogue.errors import product_not_found, variant_not_found
from app.domain.catalogue.pieces import PRODUCT_ITEM, joined, variant_item
from app.domain.catalogue.search_text import Synonyms, match, search_text
from app.kit.paging import PageRequest
from app.kit.words import split_words

NOTHING: Final[AbstractSet[str]] = frozenset()


class Items(msgspec.Struct, frozen=True):
    """The items of a page as joined JSON, and how many there are on all pages."""

    text: bytes
    total: int


class Facets(msgspec.Struct, frozen=True):
    """Wanted option values: any within a group, all groups together. Each is option=value, folded."""

    groups: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, chosen: dict[str, list[str]]) -> "Facets":
        return cls(
            tuple(
                tuple(sorted({f"{key_of(option)}={key_of(value)}" for value in values}))
                for option, values in sorted(chosen.items())
                if values
            )
        )


class VariantFilter(msgspec.Struct, frozen=True):
    """What a flat list of variants is narrowed to and ordered by; language and synonyms are the store's."""

    types: tuple[int, ...] = ()
    facets: Facets = Facets()
    words: str = ""
    language: str = "en"
    synonyms: Synonyms = ()
    order_by: str = "date"
    descending: bool | None = None


# Each order with the direction that a reader expects of it when none is asked for. Without words to
# match, search_match is the date.
VARIANT_ORDERS: Final = {
    "date": ("v.created_at", True),
    "title": ("v.full_title", False),
    "price": ("v.price", False),
    "best_selling": ("v.sold", True),
    "review_rating": ("coalesce(r.rating, 0)", True),
    "search_match": ("v.created_at", True),
}


@lru_cache(maxsize=512)
def _variants_sql(
    groups: int, order_by: str, *, typed: bool, searched: bool, descending: bool, expands: frozenset[str]
) -> str:
    place = 4
    wheres = ["v.store_id = $1", "v.listed"]
    if typed:
        wheres.append(f"v.type_id = ANY(${place}::bigint[])")
        place += 1
    for _ in range(groups):
        wheres.append(f"v.facets && ${place}::text[]")
        place += 1
    where = " AND ".join(wheres)
    column, _ = VARIANT_ORDERS[order_by]
    direction = "DESC" if descending else "ASC"
    order = f"{column} {direction}, v.id {direction}"
    rated = "LEFT JOIN review_stats r ON r.store_id = v.store_id AND r.product_id = v.product_id"
    rated = rated if order_by == "review_rating" else ""
    if not searched:
        return f"""
        SELECT {joined(variant_item(expands))} AS items,
            (SELECT count(*) FROM variants v WHERE {where}) AS total
        FROM (
            SELECT v.id FROM variants v {rated} WHERE {where} ORDER BY {order} LIMIT $2 OFFSET $3
        ) page
    """
    if order_by == "search_match":
        # Variants of a product stay together and in their own order.
        order = f"p.rank {direction}, p.id, v.position, v.id"
    return f"""
        WITH asked AS MATERIALIZED (SELECT {match(place)} AS query),
        found AS MATERIALIZED (
            SELECT v.id, row_number() OVER (ORDER BY {order}) AS place
            FROM (
                SELECT id, ts_rank(search, (SELECT query FROM asked)) AS rank FROM products
                WHERE store_id = $1 AND listed AND search @@ (SELECT query FROM asked)
            ) p
            JOIN variants v ON v.product_id = p.id {rated} WHERE {where}
        )
        SELECT {joined(variant_item(expands))} AS items, (SELECT count(*) FROM found) AS total
        FROM (SELECT id FROM found ORDER BY place LIMIT $2 OFFSET $3) page
    """


async def list_variants(
    reads: Reads,
    store_id: int,
    paging: PageRequest,
    wanted: VariantFilter,
    expands: AbstractSet[str] = NOTHING,
) -> Items:
    """A flat list of variants on sale. One statement."""
    words = split_words(wanted.words)
    if wanted.words and not words:
        return Items(b"", 0)
    descending = VARIANT_ORDERS[wanted.order_by][1] if wanted.descending is None else wanted.descending
    sql = _variants_sql(
        len(wanted.facets.groups),
        wanted.order_by,
        typed=bool(wanted.types),
        searched=bool(words),
        descending=descending,
        expands=frozenset(expands),
    )
    arguments: list[object] = [list(wanted.types)] if wanted.types else []
    arguments += [list(group) for group in wanted.facets.groups]
    if words:
        arguments += search_text(words, wanted.language, synonyms=wanted.synonyms).arguments
    row = await reads.fetchrow(sql, store_id, paging.size, paging.skip, *arguments)
    assert row is not None
    return Items(row["items"], row["total"])


_PRODUCTS: Final = f"""
    SELECT {joined(PRODUCT_ITEM)} AS items,
        (SELECT count(*) FROM products WHERE store_id = $1 AND listed) AS total
    FROM (
        SELECT id FROM products WHERE store_id = $1 AND listed
        ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3
    ) page
"""
_PRODUCT: Final = f"""
    SELECT convert_to({PRODUCT_ITEM}, 'UTF8')
    FROM (SELECT id FROM products WHERE store_id = $1 AND handle = $2 AND listed) page
"""


async def list_products(reads: Reads, store_id: int, paging: PageRequest) -> Items:
    """Products on sale with variants, options and images, newest first. One statement."""
    row = await reads.fetchrow(_PRODUCTS, store_id, paging.size, paging.skip)
    assert row is not None
    return Items(row["items"], row["total"])


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
