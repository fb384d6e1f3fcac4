"""What a search finds: products, pages and posts by their words, mended where nobody writes them so.

One statement where something is found as typed; two more at most where words have to be mended.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

import msgspec

from app.db.reads import Reads
from app.domain.catalogue.queries import NOTHING, Items, capped
from app.domain.catalogue.search_text import Synonyms, search_text
from app.domain.catalogue.word_hits import way_of
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
    """A page of each kind. `meant` is the query as it was understood, empty where only parts of it were found or read."""

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
) -> Found:
    """What the query means, best first; of products those on sale, each shown as its best fitting variant.

    All words must be found; where they are not, typing errors are mended, then any word suffices. Of products
    MOST_FOUND are found at most.
    """
    nothing = Found({kind: Items(b"", 0) for kind in wanted.kinds})
    words = split_words(wanted.query)
    if not words:
        return nothing
    is_read = len(split_words(wanted.query, MOST_WORDS + 1)) == len(words)

    async def run(chosen: Sequence[str], joined: str, meant: str) -> tuple[Found, str | None]:
        asked = search_text(chosen, wanted.language, joined=joined, synonyms=wanted.synonyms)
        sql = search_sql(
            wanted.kinds, frozenset(wanted.expands), way_of(chosen, asked), mending=chosen is words
        )
        row = await reads.fetchrow(
            sql, store_id, paging.size, paging.skip, wanted.query.strip(), list(chosen), *asked.arguments, now
        )
        assert row is not None
        pages = {kind: Items(row[kind], row[f"{kind}_total"]) for kind in wanted.kinds}
        if PRODUCTS in pages:
            pages[PRODUCTS] = capped(pages[PRODUCTS], more=row["more"])
        return Found(pages, meant), row["near"]

    found, near = await run(words, " & ", wanted.query if is_read else "")
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
        found, _ = await run(known, " & ", " ".join(known) if is_read else "")
        if not found.is_empty:
            return found
    found, _ = await run(known, " | ", "")
    return found


async def search_products(
    reads: Reads,
    store_id: int,
    wanted: Wanted,
    paging: PageRequest,
    *,
    now: datetime,
) -> Items:
    """The same for products alone."""
    products = msgspec.structs.replace(wanted, kinds=(PRODUCTS,))
    found = await search(reads, store_id, products, paging, now=now)
    return found.pages[PRODUCTS]
