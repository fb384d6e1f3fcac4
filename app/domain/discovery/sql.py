"""The one statement of a search: what is found of products, pages and posts, a page of each, as JSON.

$1 the store, $2 and $3 the page, $4 the query as typed, $5 its words, $6 to $11 the text search query, $12 now.
"""
# ruff: noqa: S608 - every part is written here; values travel as parameters

from functools import lru_cache
from typing import Final

from app.domain.catalogue.pieces import joined, variant_item
from app.domain.catalogue.search_text import match
from app.domain.catalogue.word_hits import MOST_FOUND, RANK, Way, product_hits

PRODUCTS: Final = "products"
PAGES: Final = "pages"
POSTS: Final = "blog_posts"
KINDS: Final = (PRODUCTS, PAGES, POSTS)
HIGHLIGHTS: Final = "highlights"

# Every parameter is named here, so that a statement which leaves a kind out still knows its type.
_ASKED: Final = f"""
    asked AS MATERIALIZED (
        SELECT {match(6)} AS query, $2::bigint AS size, $3::bigint AS skip, $4::text AS typed,
            $5::text[] AS words, $11::text AS leading, $12::timestamptz AS now
    )
"""
_RANK: Final = f"""
    {RANK} + CASE WHEN length(p.title) = length($4::text) AND lower(p.title) = lower($4::text) THEN 100 ELSE 0 END
"""
# A code of several parts that was typed whole means what has it, and nothing else.
_NOT_NAMED: Final = (
    r"NOT EXISTS (SELECT FROM exact WHERE $4::text ~ '^\S*\d\S*$' AND cardinality($5::text[]) > 2)"
)
_EXACT: Final = """
    exact AS MATERIALIZED (
        SELECT coded.product_id AS id, min(coded.id) AS variant_id FROM (
            SELECT v.product_id, v.id FROM variants v
            WHERE v.store_id = $1 AND v.listed AND lower(v.sku) = lower($4::text) AND v.sku <> ''
            UNION ALL
            SELECT v.product_id, v.id FROM variants v
            WHERE v.store_id = $1 AND v.listed AND v.barcode = $4::text AND v.barcode <> ''
        ) coded GROUP BY coded.product_id
    )
"""
_PRODUCT_HITS: Final = """
    products_hits AS MATERIALIZED (
        SELECT id, variant_id, 1000 AS rank FROM exact
        UNION ALL
        SELECT id, NULL::bigint, rank FROM hits WHERE NOT EXISTS (SELECT FROM exact WHERE exact.id = hits.id)
    )
"""
# A product is shown as the variant whose SKU or barcode was typed, else as the one whose title has most of
# the words.
_BEST_VARIANTS: Final = f"""
    SELECT coalesce(best.variant_id, (
        SELECT f.id FROM variants f WHERE f.store_id = $1 AND f.product_id = best.id
        ORDER BY (
            SELECT count(*) FROM unnest($5::text[]) AS word WHERE position(word IN lower(f.title)) > 0
        ) DESC, f.position, f.id LIMIT 1
    )) AS id
    FROM (
        SELECT * FROM products_hits ORDER BY rank DESC, id
        LIMIT greatest(least($2, {MOST_FOUND} - $3), 0) OFFSET $3
    ) best
"""
_TEXT_HITS: Final = """
    {kind}_hits AS MATERIALIZED (
        SELECT t.id, ts_rank(t.search, (SELECT query FROM asked)) AS rank, t.published_at FROM {kind} t
        WHERE t.store_id = $1 AND t.visible AND t.published_at <= $12 AND t.search @@ (SELECT query FROM asked)
    )
"""
# Newer ones come first among what fits as well.
_BEST_TEXTS: Final = """
    SELECT * FROM {kind}_hits ORDER BY rank DESC, published_at DESC, id DESC LIMIT $2 OFFSET $3
"""
_TEXT_FIELDS: Final = {
    PAGES: "'id', t.id, 'title', t.title, 'slug', t.slug,",
    POSTS: """
        'id', t.id, 'title', t.title, 'slug', t.slug, 'excerpt', t.excerpt, 'tags', t.tags, 'media', t.media,
        'category', (
            SELECT json_build_object('id', c.id, 'title', c.title, 'slug', c.slug) FROM blog_categories c
            WHERE c.store_id = t.store_id AND c.id = t.category_id AND c.visible
        ),
    """,
}
_TEXT_ITEM: Final = """(
    SELECT CAST(json_build_object({fields}
        'published_at', CAST(extract(epoch FROM t.published_at) AS bigint),
        'published_at_atom', to_char(t.published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"')
        {more}
    ) AS text)
    FROM {kind} t WHERE t.store_id = $1 AND t.id = page.id
)"""

# Marks stand in text that has no markup left: every other angle bracket in it is escaped before.
_ESCAPED: Final = "replace(replace(replace({text}, '&', '&amp;'), '<', '&lt;'), '>', '&gt;')"
_STRIPPED: Final = (
    "replace(replace(regexp_replace(left({text}, 20000), '<[^>]*>', ' ', 'g'), '<', '&lt;'), '>', '&gt;')"
)
_HEADLINE: Final = (
    "ts_headline($6::text::regconfig, {text}, (SELECT query FROM asked),"
    " 'StartSel=<mark>, StopSel=</mark>, {how}')"
)
_MARKED: Final = "json_build_object('title', {title}, 'body', {body})"
# Candidates by what the trigram index finds fast: words that are alike, and for mistakes that leave few trigrams
# alike, those that begin as the word does, as it would with its first letters swapped, or end as it does. Trigrams
# are compared last: of all this it takes longest. LIMIT keeps the look-ups of parts what they are: PostgreSQL would
# make joins over all words of them. A word as it was typed is right only where something on show has it: an error may
# have stood in a title once.
_NEAR: Final = """
    CASE WHEN {nothing} THEN (
        SELECT json_agg(json_build_array(asked.word, near.word))
        FROM unnest($5::text[]) AS asked (word)
        CROSS JOIN LATERAL (
            (SELECT w.word FROM search_words w
            WHERE w.store_id = $1 AND (
                w.word LIKE left(asked.word, CASE WHEN length(asked.word) < 7 THEN 2 ELSE 3 END) || '%'
                OR w.word LIKE substr(asked.word, 2, 1) || left(asked.word, 1) || '%'
                OR w.word LIKE left(asked.word, 1) || substr(asked.word, 3, 1) || '%'
                OR w.word LIKE '%' || right(asked.word, CASE WHEN length(asked.word) < 6 THEN 2 ELSE 3 END)
                OR w.word % asked.word
            ) AND (abs(length(w.word) - length(asked.word)) <= 2 OR w.word % asked.word)
                AND CASE WHEN w.word = asked.word THEN {shown} ELSE true END
            ORDER BY similarity(w.word, asked.word) DESC, w.word LIMIT 40)
            UNION ALL
            SELECT left(asked.word, place) || ' ' || substr(asked.word, place + 1)
            FROM generate_series(3, length(asked.word) - 3) AS place
            WHERE (SELECT true FROM search_words w WHERE w.store_id = $1
                    AND w.word = left(asked.word, place) LIMIT 1)
                AND (SELECT true FROM search_words w WHERE w.store_id = $1
                    AND w.word = substr(asked.word, place + 1) LIMIT 1)
        ) near
    ) END
"""

_ON_SHOW: Final = {
    PRODUCTS: "t.listed",
    PAGES: "t.visible AND t.published_at <= $12",
    POSTS: "t.visible AND t.published_at <= $12",
}
_SHOWN: Final = """
    (SELECT true FROM {kind} t WHERE t.store_id = $1 AND {on_show} AND t.search @@ (
        plainto_tsquery($6::text::regconfig, asked.word) || plainto_tsquery('storefront_simple', asked.word)
    ) LIMIT 1) IS TRUE
"""


@lru_cache(maxsize=256)
def search_sql(kinds: tuple[str, ...], expands: frozenset[str], way: Way, *, mending: bool) -> str:
    """For each kind its items and its total; mending: where nothing is found, `near` has words that are like it.

    Nearness by trigrams finds candidates, and two known words that were written as one; which of them was
    meant is decided by edits (spelling.py). Of products MOST_FOUND are shown; `more` says whether more fit.
    """
    hits = []
    for kind in kinds:
        if kind == PRODUCTS:
            hits += [_EXACT, product_hits(_RANK, 6, way, [_NOT_NAMED]), _PRODUCT_HITS]
        else:
            hits.append(_TEXT_HITS.format(kind=kind))
    columns = [
        f"(SELECT {joined(_item(kind, expands))} FROM ({_best(kind)}) page) AS {kind},"
        f" (SELECT count(*) FROM {kind}_hits) AS {kind}_total"
        for kind in kinds
    ]
    nothing = " AND ".join(f"NOT EXISTS (SELECT FROM {kind}_hits)" for kind in kinds)
    shown = " OR ".join(_SHOWN.format(kind=kind, on_show=_ON_SHOW[kind]) for kind in kinds)
    columns.append(f"{_NEAR.format(nothing=nothing, shown=shown)} AS near" if mending else "NULL AS near")
    columns.append("(SELECT found FROM more) AS more" if PRODUCTS in kinds else "false AS more")
    return f"WITH {', '.join([_ASKED, *hits])} SELECT {', '.join(columns)}"


def _best(kind: str) -> str:
    return _BEST_VARIANTS if kind == PRODUCTS else _BEST_TEXTS.format(kind=kind)


def _item(kind: str, expands: frozenset[str]) -> str:
    marked = HIGHLIGHTS in expands
    if kind != PRODUCTS:
        more = f", '{HIGHLIGHTS}', {_marked('t.title', 't.content')}" if marked else ""
        return _TEXT_ITEM.format(kind=kind, fields=_TEXT_FIELDS[kind], more=more)
    item = variant_item(expands - {HIGHLIGHTS}, by_key=True)
    if not marked:
        return item
    return f"""concat(left({item}, -1), ',"{HIGHLIGHTS}":', (
        SELECT {_marked("p.title", "p.body_html")} FROM variants v
        JOIN products p ON p.store_id = v.store_id AND p.id = v.product_id
        WHERE v.store_id = $1 AND v.id = page.id
    ), '}}')"""


def _marked(title: str, body: str) -> str:
    """Both with the words that matched in <mark>: the title whole, of the body the places that tell most."""
    return _MARKED.format(
        title=_HEADLINE.format(text=_ESCAPED.format(text=title), how="HighlightAll=true"),
        body=_HEADLINE.format(
            text=_STRIPPED.format(text=body), how="MaxFragments=2, MaxWords=20, MinWords=8"
        ),
    )
