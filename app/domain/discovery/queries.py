"""What a search finds: products by their words, mended where nobody writes them so, and by SKU or barcode.

One statement where the words are found as typed; two more at most where they have to be mended.
"""
# ruff: noqa: S608 - every part is written here; values travel as parameters

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Final

from app.db.reads import Reads
from app.domain.catalogue.pieces import joined, variant_item
from app.domain.catalogue.queries import NOTHING, Items
from app.domain.catalogue.search_text import MOST_WORDS, match, search_text, split_words
from app.domain.discovery.spelling import closest
from app.kit.paging import PageRequest


@lru_cache(maxsize=64)
def _search_sql(expands: frozenset[str]) -> str:
    """$4 the query as typed, $5 its words; then the text search query.

    A product is shown as the variant whose SKU or barcode was typed, else as the one whose title has most
    of the words. What sells comes first among what fits as well.
    """
    return f"""
        WITH asked AS MATERIALIZED (SELECT {match(6)} AS query),
        exact AS MATERIALIZED (
            SELECT v.product_id AS id, min(v.id) AS variant_id FROM variants v
            WHERE v.store_id = $1 AND v.listed AND lower(v.sku) = lower($4::text) AND v.sku <> ''
            GROUP BY v.product_id
            UNION
            SELECT v.product_id, min(v.id) FROM variants v
            WHERE v.store_id = $1 AND v.listed AND v.barcode = $4::text AND v.barcode <> ''
            GROUP BY v.product_id
        ),
        hits AS MATERIALIZED (
            SELECT id, max(variant_id) AS variant_id, sum(rank) AS rank FROM (
                SELECT p.id, NULL::bigint AS variant_id, ts_rank(p.search, (SELECT query FROM asked))
                    * (1 + ln(1 + p.sold) / 10) + CASE WHEN lower(p.title) = lower($4::text) THEN 100 ELSE 0 END
                    AS rank
                FROM products p
                WHERE p.store_id = $1 AND p.listed AND p.search @@ (SELECT query FROM asked)
                UNION ALL
                SELECT id, variant_id, 1000 FROM exact
            ) found GROUP BY id
        )
        SELECT {joined(variant_item(expands, by_key=True))} AS items, (SELECT count(*) FROM hits) AS total
        FROM (
            SELECT coalesce(best.variant_id, (
                SELECT f.id FROM variants f WHERE f.store_id = $1 AND f.product_id = best.id
                ORDER BY (
                    SELECT count(*) FROM unnest($5::text[]) AS word WHERE position(word IN lower(f.title)) > 0
                ) DESC, f.position, f.id LIMIT 1
            )) AS id
            FROM (SELECT * FROM hits ORDER BY rank DESC, id LIMIT $2 OFFSET $3) best
        ) page
    """


# Nearness by trigrams finds candidates, and two known words that were written as one; which of them was meant
# is decided by edits (spelling.py).
_CANDIDATES: Final = """
    SELECT asked.word AS asked, near.word AS near
    FROM unnest($2::text[]) AS asked (word)
    CROSS JOIN LATERAL (
        (SELECT w.word FROM search_words w
        WHERE w.store_id = $1 AND (w.word % asked.word OR left(w.word, 1) = left(asked.word, 1)
            AND abs(length(w.word) - length(asked.word)) <= 2 AND similarity(w.word, asked.word) > 0.1)
        ORDER BY similarity(w.word, asked.word) DESC, w.word LIMIT 20)
        UNION ALL
        SELECT left(asked.word, place) || ' ' || substr(asked.word, place + 1)
        FROM generate_series(3, length(asked.word) - 3) AS place
        WHERE EXISTS (SELECT FROM search_words w WHERE w.store_id = $1 AND w.word = left(asked.word, place))
            AND EXISTS (
                SELECT FROM search_words w WHERE w.store_id = $1 AND w.word = substr(asked.word, place + 1)
            )
    ) near
"""


async def search_products(
    reads: Reads,
    store_id: int,
    query: str,
    paging: PageRequest,
    *,
    language: str,
    expands: AbstractSet[str] = NOTHING,
) -> Items:
    """Products on sale that the query means, best first, each shown as its best fitting variant.

    All words must be found; where they are not, typing errors are mended, then any word suffices.
    """
    words = split_words(query)
    if not words:
        return Items(b"", 0)

    async def run(chosen: Sequence[str], joined: str) -> Items:
        row = await reads.fetchrow(
            _search_sql(frozenset(expands)),
            store_id,
            paging.size,
            paging.skip,
            query.strip(),
            list(chosen),
            *search_text(chosen, language, joined=joined).arguments,
        )
        assert row is not None
        return Items(row["items"], row["total"])

    found = await run(words, " & ")
    if found.total:
        return found
    candidates: dict[str, list[str]] = {}
    for row in await reads.fetch(_CANDIDATES, store_id, words):
        candidates.setdefault(row["asked"], []).append(row["near"])
    mended = [closest(word, candidates.get(word, [])) for word in words]
    known = [part for word in mended if word is not None for part in word.split()][:MOST_WORDS]
    if not known:
        return found
    if None not in mended:
        found = await run(known, " & ")
    return found if found.total else await run(known, " | ")
