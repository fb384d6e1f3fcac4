"""Which products fit what somebody typed, best first: all of them where they are few, else the best of those that sell.

A search that fits more than MOST_FOUND products, as one for a common word or for the first letter of one, cannot look
at each of them within milliseconds, and nobody reads that far. It looks at the products that sell best and at the
first that the index has, so that what it costs does not grow with the shop.
"""
# ruff: noqa: S608 - every part is written here; values travel as parameters

from collections.abc import Sequence
from typing import Final, Literal

from app.domain.catalogue.search_text import FEW_LETTERS, SearchText, match_leading

# A search finds so many at most; up to there all are ranked, and the total is exact.
MOST_FOUND: Final = 1000
# Of a broad search the products that sell best are looked at, up to here.
BEST_SELLERS: Final = 1000
# If so many of the best sellers fit the first letters of a word, the index is not asked.
ENOUGH: Final = 100

# letters: the first ones of a word, alone. leading: the index is asked for the words before a last one of few letters,
# which is looked for in what they find.
Way = Literal["usual", "letters", "leading"]

_FITS: Final = "p.search @@ (SELECT query FROM asked)"
# What sells comes first among what fits as well.
RANK: Final = "ts_rank(p.search, (SELECT query FROM asked)) * (1 + ln(1 + p.sold) / 10)"


def way_of(words: Sequence[str], query: SearchText) -> Way:
    """How what stands for these words is looked for best."""
    if len(words) == 1 and len(words[0]) <= FEW_LETTERS:
        return "letters"
    return "leading" if query.leading else "usual"


def product_hits(rank: str, place: int, way: Way = "usual", narrowed: Sequence[str] = ()) -> str:
    """The CTEs `hits` (id, rank) and `more` (found), beside a CTE `asked` with the text search query.

    The arguments of the query begin at $place. rank and narrowed are SQL over p (id, title, type_id, vendor, tags,
    sold, search); $1 is the store. more.found says whether more products fit than are in `hits`.
    """
    fits = " AND ".join([_FITS, *narrowed])
    # IS TRUE keeps the index from looking for the last word after all.
    found = f"p.search @@ {match_leading(place)} AND ({_FITS}) IS TRUE" if way == "leading" else _FITS
    few = f"""few AS MATERIALIZED (
        SELECT p.id, {rank} AS rank FROM products p
        WHERE p.store_id = $1 AND p.listed AND {" AND ".join([found, *narrowed])} {{unless}}
        LIMIT {MOST_FOUND + 1}
    )"""
    best = f"""best AS MATERIALIZED (
        SELECT p.id, {rank} AS rank FROM (
            SELECT id, title, type_id, vendor, tags, sold, search FROM products
            WHERE store_id = $1 AND listed ORDER BY standing DESC, id DESC LIMIT {{most}}
        ) p WHERE {fits}
    )"""
    is_broad = f"(SELECT count(*) FROM few) > {MOST_FOUND}"
    if way == "letters":
        enough = f"(SELECT count(*) FROM best) >= {ENOUGH}"
        beyond = f"""{enough} AND EXISTS (
            SELECT FROM products WHERE store_id = $1 AND listed
            ORDER BY standing DESC, id DESC OFFSET {BEST_SELLERS} LIMIT 1
        )"""
        parts = [best.format(most=BEST_SELLERS), few.format(unless=f"AND NOT {enough}")]
        more = f"{is_broad} OR {beyond}"
    else:
        most = f"CASE WHEN {is_broad} THEN {BEST_SELLERS} ELSE 0 END"
        parts = [few.format(unless=""), best.format(most=most)]
        more = is_broad
    return f"""
    {", ".join(parts)},
    hits AS MATERIALIZED (SELECT * FROM few UNION SELECT * FROM best),
    more AS MATERIALIZED (SELECT {more} AS found)
    """
