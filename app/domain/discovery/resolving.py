"""What an address of the shop stands for: a thing that is on show, or the place where it is to be found now."""
# ruff: noqa: S608 - every part is written here; values travel as parameters

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import msgspec

from app.db.reads import Reads
from app.domain.catalogue.queries import get_product, get_variant
from app.domain.catalogue.shelves import get_category, get_collection
from app.domain.content.queries import get_blog_category, get_blog_post, get_page
from app.kit.errors import NOT_FOUND, NotFound

MAX_ID: Final = 2**63 - 1
# What the first segment says of those behind it.
KINDS_OF: Final = {
    "products": ("product",),
    "collections": ("collection",),
    "category": ("category",),
    "categories": ("category",),
    "pages": ("page",),
    "blog": ("blog_post", "blog_category"),
    "blogs": ("blog_post", "blog_category"),
}
# What a segment without such a word may be, the likeliest first.
ANY_KIND: Final = ("page", "category", "collection", "product", "blog_category", "blog_post")
# Texts come and go by the clock and by writes that no version of the catalogue counts.
TEXTS: Final = frozenset({"page", "blog_post", "blog_category"})
# What stands below a category or collection, or below a category of the blog.
BELOW: Final = ("category", "collection", "product", "blog_post")
PATHS: Final = {
    "product": "/products/",
    "collection": "/collections/",
    "category": "/category/",
    "page": "/pages/",
    "blog_category": "/blog/",
    "blog_post": "/blog/",
}


class Candidate(msgspec.Struct, frozen=True):
    """One thing that an address may stand for: what must stand above it, and the variant of a product."""

    kind: str
    handle: str
    above: tuple[str, ...] = ()
    variant_id: int = 0


class Resolved(msgspec.Struct, frozen=True):
    """What was found: its type, and its own JSON.

    is_lasting: the address stands for it for as long as the catalogue has its version. Not so where a text is meant,
    or would be as soon as there was one.
    """

    type: str
    object: bytes
    is_lasting: bool


class Moved(msgspec.Struct, frozen=True):
    """Where something is to be found whose handle has changed; `type` is what is there."""

    type: str
    handle: str
    path: str
    status: int = 301


def read_address(segments: Sequence[str]) -> Iterator[Candidate]:
    """Everything that the segments may stand for, the likeliest first."""
    *above, last = segments
    word = above[0] if above else ""
    if word in KINDS_OF:
        for kind in KINDS_OF[word]:
            if len(above) == 1:
                yield Candidate(kind, last)
        if len(above) == 2:
            yield from _below(word, above[1], last)
    elif not above:
        for kind in ANY_KIND:
            yield Candidate(kind, last)
        return
    if len(above) == 1 and (variant_id := _id_of(last)):
        yield Candidate("product", above[0], variant_id=variant_id)
    for kind in BELOW:
        yield Candidate(kind, last, tuple(above))


def _below(word: str, handle: str, last: str) -> Iterator[Candidate]:
    """What three segments mean of which the first is a word of ours."""
    if word == "products":
        if variant_id := _id_of(last):
            yield Candidate("product", handle, variant_id=variant_id)
    elif word != "pages":
        for kind in ("blog_post",) if word.startswith("blog") else BELOW:
            yield Candidate(kind, last, (handle,))


def _id_of(segment: str) -> int | None:
    number = int(segment) if segment.isascii() and segment.isdecimal() and len(segment) < 20 else 0
    return number if 1 <= number <= MAX_ID else None


# Each kind with its table, the column of its handle, and when a shopper can see it.
_TABLES: Final = {
    "product": ("products", "handle", "t.listed"),
    "collection": ("collections", "handle", "t.visible"),
    "category": ("categories", "handle", "t.visible"),
    "page": ("pages", "slug", "t.visible AND t.published_at <= $6"),
    "blog_post": ("blog_posts", "slug", "t.visible AND t.published_at <= $6"),
    "blog_category": ("blog_categories", "slug", "t.visible AND t.published_at <= $6"),
}


def _each(pattern: str) -> str:
    return " UNION ALL ".join(
        pattern.format(kind=kind, table=table, handle=handle, seen=seen)
        for kind, (table, handle, seen) in _TABLES.items()
    )


_STANDS: Final = _each(
    "SELECT t.id, t.{handle} AS handle FROM {table} t"
    " WHERE a.kind = '{kind}' AND t.store_id = $1 AND t.{handle} = a.handle AND {seen}"
)
_MOVED: Final = _each(
    "SELECT t.id, t.{handle} AS handle FROM redirects r JOIN {table} t ON t.store_id = $1 AND t.id = r.target_id"
    " WHERE a.kind = '{kind}' AND r.store_id = $1 AND r.kind = '{kind}' AND r.handle = a.handle AND {seen}"
)
# What stands above must be there, by its handle of now or a former one; what is meant is the last segment.
_ABOVE: Final = """
    NOT EXISTS (
        SELECT FROM unnest(string_to_array(a.above, '/')) AS up (handle) WHERE NOT CASE a.kind
            WHEN 'blog_post' THEN
                EXISTS (SELECT FROM blog_categories t WHERE t.store_id = $1 AND t.slug = up.handle AND t.visible)
                OR EXISTS (SELECT FROM redirects r
                    WHERE r.store_id = $1 AND r.kind = 'blog_category' AND r.handle = up.handle)
            ELSE
                EXISTS (SELECT FROM categories t WHERE t.store_id = $1 AND t.handle = up.handle AND t.visible)
                OR EXISTS (SELECT FROM collections t WHERE t.store_id = $1 AND t.handle = up.handle AND t.visible)
                OR EXISTS (SELECT FROM redirects r WHERE r.store_id = $1
                    AND r.kind IN ('category', 'collection') AND r.handle = up.handle)
        END
    )
"""
# What has a handle now comes before what had it once.
_RESOLVE: Final = f"""
    SELECT a.kind, found.id, found.handle, found.moved, a.variant_id, a.place
    FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) WITH ORDINALITY
        AS a (kind, handle, above, variant_id, place)
    CROSS JOIN LATERAL (
        SELECT now.id, now.handle, false AS moved FROM ({_STANDS}) now
        UNION ALL
        SELECT once.id, once.handle, true FROM ({_MOVED}) once
    ) found
    WHERE {_ABOVE} AND (a.variant_id = 0 OR EXISTS (
        SELECT FROM variants v
        WHERE v.store_id = $1 AND v.id = a.variant_id AND v.product_id = found.id AND v.listed
    ))
    ORDER BY found.moved, a.place LIMIT 1
"""


async def resolve(reads: Reads, store_id: int, segments: Sequence[str], *, now: datetime) -> Resolved:
    """What one to three segments stand for. Two statements, one for what has moved. Raises NotFound."""
    asked = list(read_address(segments))
    row = await reads.fetchrow(
        _RESOLVE,
        store_id,
        [one.kind for one in asked],
        [one.handle for one in asked],
        ["/".join(one.above) for one in asked],
        [one.variant_id for one in asked],
        now,
    )
    if row is None:
        raise NotFound(NOT_FOUND, "There is nothing at this address.")
    kind, variant_id = row["kind"], row["variant_id"]
    # What is there now yields to what stands before it alone, what has moved to anything that is there.
    first = asked if row["moved"] else asked[: row["place"]]
    is_lasting = not any(one.kind in TEXTS for one in first)
    if row["moved"]:
        path = f"{PATHS[kind]}{row['handle']}" + (f"?variant={variant_id}" if variant_id else "")
        moved = Moved("variant" if variant_id else kind, row["handle"], path)
        return Resolved("redirect", msgspec.json.encode(moved), is_lasting)
    if variant_id:
        return Resolved("variant", await get_variant(reads, store_id, variant_id), is_lasting)
    return Resolved(kind, await _read(reads, store_id, kind, row["handle"], row["id"]), is_lasting)


async def _read(reads: Reads, store_id: int, kind: str, handle: str, found_id: int) -> bytes:
    match kind:
        case "product":
            return await get_product(reads, store_id, handle)
        case "collection":
            return await get_collection(reads, store_id, handle, expanded=False)
        case "category":
            return await get_category(reads, store_id, handle, expanded=False)
        case "page":
            return await get_page(reads, store_id, found_id)
        case "blog_post":
            return await get_blog_post(reads, store_id, found_id)
        case _:
            return await get_blog_category(reads, store_id, found_id)
