"""What a search finds: products, pages and posts by their words, mended where nobody writes them so.

One statement where something is found as typed; two more at most where words have to be mended.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

import msgspec

from app.db.reads import Reads
from app.domain.catalogue.queries import NOTHING, Items
from app.domain.catalogue.search_text import Synonyms, search_text
from app.domain.discovery.broad import BroadHits, Hits, hits_of
from app.domain.discovery.spelling import closest
from app.domain.discovery.sql import KINDS, PRODUCTS, search_sql
from app.kit.paging import PageRequest
from app.kit.words import MOST_WORDS, split_words


class Wanted(msgspec.Struct, frozen=True):
    """What is looked for, and where: in which kinds of things, and in the words of which store."""

    query: str
    language: str
    synonyms: Synonyms = ()
    kinds: tuple[str, ...] = KINDS
    expands: AbstractSet[str] = NOTHING


class Found(msgspec.Struct, frozen=True):
    """A page of each kind. `meant` is the query as it was understood, empty where only parts of it were found."""

    pages: Mapping[str, Items]
    meant: str = ""

    @property
    def is_empty(self) -> bool:
        return not any(items.total for items in self.pages.values())


async def search(
    reads: Reads,
    store_id: int,
    wanted: Wanted,
    paging: PageRequest,
    *,
    now: datetime,
    broad: BroadHits | None = None,
) -> Found:
    """What the query means, best first; of products those on sale, each shown as its best fitting variant.

    All words must be found; where they are not, typing errors are mended, then any word suffices. `broad` keeps
    what a search with very many hits found; without it every search is made anew.
    """
    nothing = Found({kind: Items(b"", 0) for kind in wanted.kinds})
    words = split_words(wanted.query)
    if not words:
        return nothing

    async def run(chosen: Sequence[str], joined: str, meant: str) -> tuple[Found, str | None]:
        asked = search_text(chosen, wanted.language, joined=joined, synonyms=wanted.synonyms)
        values = (list(chosen), *asked.arguments, now)
        pages, near = await _look(reads, store_id, wanted, paging, values, chosen is words, broad)
        return Found(pages, meant), near

    found, near = await run(words, " & ", wanted.query)
    if not found.is_empty:
        return found
    candidates: dict[str, list[str]] = {}
    for asked, word in msgspec.json.decode(near, type=list[tuple[str, str]]) if near else ():
        candidates.setdefault(asked, []).append(word)
    mended = [closest(word, candidates.get(word, [])) for word in words]
    known = [part for word in mended if word is not None for part in word.split()][:MOST_WORDS]
    if not known:
        return nothing
    if None not in mended:
        found, _ = await run(known, " & ", " ".join(known))
        if not found.is_empty:
            return found
    found, _ = await run(known, " | ", "")
    return found


async def _look(
    reads: Reads,
    store_id: int,
    wanted: Wanted,
    paging: PageRequest,
    values: Sequence[Any],
    mending: bool,
    broad: BroadHits | None,
) -> tuple[dict[str, Items], str | None]:
    """One statement: a page of each kind, and words that are like the typed ones where nothing is found.

    The best hits of a broad search are kept by its words, and taken from there.
    """
    typed = wanted.query.strip()
    key = (store_id, typed, *map(str, values[:-1]))
    keeping = broad if PRODUCTS in wanted.kinds else None
    hits = keeping.find(key) if keeping else None
    known = _page_of(hits, paging) if hits else None
    sql = search_sql(
        wanted.kinds,
        frozenset(wanted.expands),
        mending=mending and known is None,
        known=known is not None,
    )
    row = await reads.fetchrow(sql, store_id, paging.size, paging.skip, typed, *values, *(known or ()))
    assert row is not None
    pages = {kind: Items(row[kind], row[f"{kind}_total"]) for kind in wanted.kinds}
    if hits and known:
        pages[PRODUCTS] = Items(row[PRODUCTS], hits.total)
    elif keeping and row["best"] is not None:
        keeping.keep(key, hits_of(row["best"], row["named"], pages[PRODUCTS].total))
    elif keeping:
        keeping.forget(key)
    return pages, row["near"]


def _page_of(hits: Hits, paging: PageRequest) -> tuple[list[int], list[int | None]] | None:
    """The products of a page and the variants that were named; None where the page reaches beyond what is kept."""
    end = min(paging.skip + paging.size, hits.total)
    if end > len(hits.product_ids):
        return None
    places = range(paging.skip, end)
    return list(hits.product_ids[paging.skip : end]), [hits.variant_ids.get(place) for place in places]


async def search_products(
    reads: Reads,
    store_id: int,
    wanted: Wanted,
    paging: PageRequest,
    *,
    now: datetime,
    broad: BroadHits | None = None,
) -> Items:
    """The same for products alone."""
    products = msgspec.structs.replace(wanted, kinds=(PRODUCTS,))
    found = await search(reads, store_id, products, paging, now=now, broad=broad)
    return found.pages[PRODUCTS]
