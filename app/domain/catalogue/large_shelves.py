"""Large collections and categories: their filters, and lists in any order, from bits that a process keeps.

To count 100,000 variants for each reader takes a database a quarter of a second. So each process keeps what
filters look at as bits (bitmaps.py), some megabytes, for as long as nothing of the catalogue has changed, and
at most for so many seconds after that. Shelves with few products are read from the database each time.

In a small shop all of it is read as fast as a single shelf is counted. There the filters of all but the smallest
shelves come from it too, and it is read anew as soon as anything has changed: these counts are never old.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from app.db.reads import Reads
from app.domain.catalogue.bitmap_counts import Judged, count_filters
from app.domain.catalogue.bitmap_loading import load_catalogue
from app.domain.catalogue.bitmaps import (
    Catalogue,
    Shelf,
    hits_of,
    page_by_places,
    page_by_price,
    shelf_of,
)
from app.domain.catalogue.filtering import Filters
from app.kit.paging import PageRequest

T = TypeVar("T")

# A shelf with more products is large; a shop whose shelves are not is small.
MOST_READ: Final = 1_000
# So many are counted by the database in no more time than it takes to look whether anything has changed.
FEW: Final = 20
# Whether a shelf is large is looked up so often.
LOOK_SECONDS: Final = 60.0
MOST_SHELVES: Final = 1_000
MOST_STORES: Final = 8
PRICE_ORDER: Final = "price"


@dataclass
class _Kept:
    """A catalogue of a version, and what was read of its shelves and orders since."""

    catalogue: Catalogue
    version: int
    checked_at: float
    parts: dict[Hashable, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Size:
    """How many products a shelf and its shop have, and until when that is believed."""

    until: float
    shelf: int
    shop: int


class LargeShelves:
    """What this process keeps. `seconds`: how old it may be, 0 keeps nothing; `version_of`: that of a store."""

    def __init__(
        self,
        reads: Reads,
        version_of: Callable[[int], Awaitable[int]],
        *,
        seconds: float,
        most_read: int = MOST_READ,
        few: int = FEW,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reads = reads
        self._version_of = version_of
        self._seconds = seconds
        self._most_read = most_read
        self._few = few
        self._clock = clock
        self._kept: dict[int, _Kept] = {}
        self._sizes: dict[Hashable, _Size] = {}
        self._reading: dict[Hashable, asyncio.Task[Any]] = {}

    async def has(self, store_id: int, key: Hashable, sql: str, *args: object) -> bool:
        """Whether the shelf of this key is large.

        `sql` answers how many products it has, of which it counts as many as its last parameter, and the shop.
        """
        return self._seconds > 0 and (await self._size(store_id, key, sql, args)).shelf > self._most_read

    async def counts(self, store_id: int, key: Hashable, sql: str, *args: object) -> bool:
        """Whether the filters of the shelf are counted here: it is large, or no small one of a small shop."""
        if self._seconds <= 0:
            return False
        size = await self._size(store_id, key, sql, args)
        return size.shelf > self._most_read or (size.shop <= self._most_read and size.shelf > self._few)

    async def _size(self, store_id: int, key: Hashable, sql: str, args: tuple[object, ...]) -> "_Size":
        known, now = self._sizes.get(key), self._clock()
        if known is None or known.until < now:
            row = await self._reads.fetchrow(sql, store_id, *args, self._most_read + 1)
            assert row is not None
            known = _Size(now + LOOK_SECONDS, row["shelf"], row["shop"])
            if len(self._sizes) >= MOST_SHELVES:
                self._sizes.clear()
            self._sizes[key] = known
        return known

    async def count(self, store_id: int, members: str, handle: str, filters: Filters) -> bytes | None:
        """The filters of a shelf with their counts, as a JSON array; None where it has no products any more.

        members: the statement that answers the ids of its products in its own order.
        """
        known = self._kept.get(store_id)
        is_small = known is None or len(known.catalogue.products) <= self._most_read
        kept = await (self._newest(store_id) if is_small else self._get(store_id))
        shelf = await self._shelf(kept, store_id, members, handle)
        return count_filters(kept.catalogue, shelf.bits, filters) if shelf.bits else None

    async def list_variants(
        self,
        store_id: int,
        members: str,
        handle: str,
        paging: PageRequest,
        *,
        filters: Filters,
        order: str | None,
        down: bool,
    ) -> tuple[list[int], int] | None:
        """The variants of a page, one for each product, and how many there are on all pages; None as in count.

        order: `price`, or the statement that answers the products of the store in the order asked for; None for the
        shelf's own.
        """
        kept = await self._get(store_id)
        shelf = await self._shelf(kept, store_id, members, handle)
        if not shelf.bits:
            return None
        hits = hits_of(Judged(kept.catalogue, filters).fits(shelf.bits))
        begin = {"skip": paging.skip, "size": paging.size}
        if order == PRICE_ORDER:
            return page_by_price(kept.catalogue, hits, down=down, **begin), hits.total
        places = (
            shelf.places[:: -1 if down else 1] if order is None else await self._order(kept, store_id, order)
        )
        return page_by_places(kept.catalogue, hits, places, **begin), hits.total

    async def _shelf(self, kept: _Kept, store_id: int, members: str, handle: str) -> Shelf:
        async def read() -> Shelf:
            found = await self._reads.fetchval(members, store_id, handle)
            return shelf_of(kept.catalogue.places(found or ()))

        return await self._part(kept, (store_id, members, handle), read)

    async def _order(self, kept: _Kept, store_id: int, order: str) -> Any:
        async def read() -> Any:
            return kept.catalogue.places(await self._reads.fetchval(order, store_id) or ())

        return await self._part(kept, (store_id, order), read)

    async def _part(self, kept: _Kept, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        if key not in kept.parts:
            kept.parts[key] = await self._once((id(kept), key), read)
        found: T = kept.parts[key]
        return found

    async def _get(self, store_id: int) -> _Kept:
        kept = self._kept.get(store_id)
        if kept is None:
            return await self._once(store_id, lambda: self._load(store_id))
        age = self._clock() - kept.checked_at
        if age < self._seconds / 2:
            return kept
        if await self._version_of(store_id) == kept.version:
            kept.checked_at = self._clock()
            return kept
        loading = self._begin(store_id, lambda: self._load(store_id))
        return kept if age < self._seconds else await asyncio.shield(loading)

    async def _newest(self, store_id: int) -> _Kept:
        """As it is by the version that is known now."""
        version = await self._version_of(store_id)
        kept = self._kept.get(store_id)
        if kept is None or kept.version != version:
            kept = await self._once(store_id, lambda: self._load(store_id))
        if kept.version < version:
            # Somebody had begun to read it before.
            kept = await self._once(store_id, lambda: self._load(store_id))
        return kept

    async def _load(self, store_id: int) -> _Kept:
        # Read before the catalogue, which may be newer than its version, never older.
        version, begun = await self._version_of(store_id), self._clock()
        kept = _Kept(await load_catalogue(self._reads, store_id), version, begun)
        self._kept.pop(store_id, None)
        if len(self._kept) >= MOST_STORES:
            del self._kept[next(iter(self._kept))]
        self._kept[store_id] = kept
        return kept

    async def _once(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Read it once for all who ask meanwhile."""
        found: T = await asyncio.shield(self._begin(key, read))
        return found

    def _begin(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        task = self._reading.get(key)
        if task is None:

            async def reading() -> T:
                return await read()

            task = self._reading[key] = asyncio.create_task(reading())
            task.add_done_callback(lambda done: self._end(key, done))
        return task

    def _end(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        self._reading.pop(key, None)
        # Whoever waited for it was told; nobody else needs to be.
        if not task.cancelled():
            task.exception()
