"""Reads what is on sale in a store, and makes the bits of bitmaps.py of it, a little at a time.

The statements run one after the other, so that a write between them may show in some and not in others: whoever
keeps what they say looks again soon.
"""

import asyncio
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from asyncpg import Record

from app.db.reads import Reads
from app.domain.catalogue.bitmaps import Catalogue, Option, Prices, Slots, Value, Word, bits_of

# After so many rows others have their turn: two milliseconds at most.
TURN: Final = 2_000

_VARIANTS: Final = """
    SELECT array_agg(product_id) AS products, array_agg(id) AS ids, array_agg(facet_set_id) AS sets,
        array_agg(price) AS prices
    FROM (
        SELECT product_id, id, facet_set_id, price FROM variants WHERE store_id = $1 AND listed
        ORDER BY product_id, position, id
    ) v
"""
_SOLD_OUT: Final = "SELECT array_agg(variant_id) FROM stock_items WHERE store_id = $1 AND NOT available"
_SETS: Final = "SELECT id, facets FROM facet_sets WHERE store_id = $1"
_TYPES: Final = """
    SELECT CAST(t.id AS text) AS key, t.name, array_agg(p.id) AS ids FROM products p
    JOIN product_types t ON t.store_id = p.store_id AND t.id = p.type_id
    WHERE p.store_id = $1 AND p.listed GROUP BY t.id, t.name ORDER BY t.name, t.id
"""
_VENDORS: Final = """
    SELECT lower(vendor) AS key, min(vendor) AS name, array_agg(id) AS ids FROM products
    WHERE store_id = $1 AND listed AND vendor <> '' GROUP BY lower(vendor) ORDER BY key
"""
_TAGS: Final = """
    SELECT lower(own.tag) AS key, min(own.tag) AS name, array_agg(p.id) AS ids
    FROM products p CROSS JOIN LATERAL unnest(p.tags) AS own (tag)
    WHERE p.store_id = $1 AND p.listed GROUP BY lower(own.tag) ORDER BY key
"""
# What is said of an option and a value by one product that has them, as in filter_counts.py.
_NAMES: Final = """
    SELECT word.key, word.name, word.value_key, word.value, said.facet
    FROM unnest(CAST($2 AS text[]), CAST($3 AS bigint[])) AS said (facet, product_id)
    CROSS JOIN LATERAL (
        SELECT o.key, o.name, w.key AS value_key, w.name AS value, w.position
        FROM product_options o JOIN option_values w ON w.store_id = o.store_id AND w.option_id = o.id
        WHERE o.store_id = $1 AND o.product_id = said.product_id AND o.key || '=' || w.key = said.facet
        ORDER BY o.position, w.position LIMIT 1
    ) word
    ORDER BY min(word.name) OVER (PARTITION BY word.key), word.key, word.position, word.value
"""


async def load_catalogue(reads: Reads, store_id: int) -> Catalogue:
    """All that filters look at of a store's products and variants on sale. A handful of statements."""
    row = await reads.fetchrow(_VARIANTS, store_id)
    assert row is not None
    columns = {name: row[name] or [] for name in ("products", "ids", "sets", "prices")}
    sold_out = frozenset(await reads.fetchval(_SOLD_OUT, store_id) or ())
    sets = {found["id"]: found["facets"] for found in await reads.fetch(_SETS, store_id)}
    made = _Making(columns["products"])
    await made.fill(columns, sold_out)
    facets, samples = await made.facets(sets)
    names = await reads.fetch(_NAMES, store_id, list(samples), list(samples.values()))
    types, vendors, tags = [
        [word async for word in made.words(await reads.fetch(sql, store_id))]
        for sql in (_TYPES, _VENDORS, _TAGS)
    ]
    return Catalogue(
        products=made.products,
        place_of=made.place_of,
        variants=made.variants,
        whole={slot: (1 << len(ids)) - 1 for slot, ids in enumerate(made.variants)},
        facets=facets,
        sold_out={slot: bits_of(places) for slot, places in enumerate(made.sold_out) if places},
        prices=[prices async for prices in made.by_price()],
        types=types,
        vendors=sorted(vendors, key=_frequent_first),
        tags=sorted(tags, key=_frequent_first),
        options=[_option(list(rows)) for _, rows in groupby(names, key=lambda found: found["key"])],
    )


def _frequent_first(word: Word) -> int:
    return -word.total


def _option(rows: Sequence[Record]) -> Option:
    values = [Value(found["facet"], found["value_key"], found["value"]) for found in rows]
    return Option(rows[0]["key"], rows[0]["name"], values)


class _Making:
    """Places and slots, from the ids of products in the order of their variants."""

    def __init__(self, owners: Sequence[int]) -> None:
        starts = list(Counter(owners).items())
        # Where the variants of a product begin, by product; those with most variants have the first places.
        begin, at = {}, 0
        for product_id, count in starts:
            begin[product_id] = (at, count)
            at += count
        starts.sort(key=lambda one: (-one[1], one[0]))
        self.products = array("q", (product_id for product_id, _ in starts))
        self.place_of = {product_id: place for place, product_id in enumerate(self.products)}
        self._begin = begin
        slots = range(starts[0][1] if starts else 0)
        self.variants = [array("q") for _ in slots]
        self.sold_out: list[list[int]] = [[] for _ in slots]
        self._prices = [array("q") for _ in slots]
        self._sets: dict[tuple[int, int], list[int]] = {}

    async def fill(self, columns: Mapping[str, Sequence[int]], sold_out: frozenset[int]) -> None:
        ids, sets, prices = columns["ids"], columns["sets"], columns["prices"]
        for place, product_id in enumerate(self.products):
            at, count = self._begin[product_id]
            for slot in range(count):
                variant_id = ids[at + slot]
                self.variants[slot].append(variant_id)
                self._prices[slot].append(prices[at + slot])
                self._sets.setdefault((slot, sets[at + slot]), []).append(place)
                if variant_id in sold_out:
                    self.sold_out[slot].append(place)
            if place % TURN == 0:
                await asyncio.sleep(0)

    async def facets(self, sets: Mapping[int, Sequence[str]]) -> tuple[dict[str, Slots], dict[str, int]]:
        """The bits of each facet, and of each the lowest id of a product that has it."""
        raw: dict[tuple[str, int], bytearray] = {}
        samples: dict[str, int] = {}
        done = 0
        for (slot, set_id), places in self._sets.items():
            lowest = min(self.products[place] for place in places)
            for facet in sets.get(set_id, ()):
                samples[facet] = min(lowest, samples.get(facet, lowest))
                bits = raw.setdefault((facet, slot), bytearray(len(self.variants[slot]) // 8 + 1))
                for place in places:
                    bits[place >> 3] |= 1 << (place & 7)
            done += len(places)
            if done > TURN:
                done = 0
                await asyncio.sleep(0)
        found: dict[str, Slots] = {}
        for (facet, slot), bits in raw.items():
            found.setdefault(facet, {})[slot] = int.from_bytes(bits, "little")
        return found, samples

    async def words(self, rows: Sequence[Any]) -> AsyncIterator[Word]:
        """The words of products in their order, but those that no product on sale has."""
        done = 0
        for rank, found in enumerate(rows):
            bits = bits_of([self.place_of[each] for each in found["ids"] if each in self.place_of])
            if bits:
                yield Word(found["key"], found["name"], bits, bits.bit_count(), rank)
            done += len(found["ids"])
            if done > TURN:
                done = 0
                await asyncio.sleep(0)

    async def by_price(self) -> AsyncIterator[Prices]:
        for prices in self._prices:
            yield Prices(prices, self.products)
            await asyncio.sleep(0)
