"""Filters of a large shop as sets of bits: who fits, how many, and in which order, in a few milliseconds.

A product has a place, a variant its place and a slot: the first variant of each product is in slot 0, the second in
slot 1. What is said of variants is one number for each slot, whose bits are products; so what must hold for the same
variant is an AND within a slot, and "any of its variants" an OR over them. Products with most variants come
first, so that higher slots are short numbers.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import Final

import msgspec

# Bits by slot; a slot without any is left out.
Slots = dict[int, int]
# How many steps there are between the cheapest and the dearest variant for which the bits are ready.
STEPS: Final = 64
# So many are sorted; of more the cheapest are found by going through all prices until a page is full.
MOST_SORTED: Final = 4000
_ONES: Final = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))


class Word(msgspec.Struct, frozen=True):
    """A type, vendor or tag, by its key, and the products that have it. `rank`: its place in the order of words."""

    key: str
    name: str
    bits: int
    total: int
    rank: int


class Value(msgspec.Struct, frozen=True):
    """One value of an option; facet is option=value folded."""

    facet: str
    key: str
    name: str


class Option(msgspec.Struct, frozen=True):
    key: str
    name: str
    values: Sequence[Value]


class Prices:
    """The variants of one slot by price, and which of them cost at most so much."""

    def __init__(self, by_place: Sequence[int], product_ids: Sequence[int]) -> None:
        self.by_place = by_place
        ordered = sorted(zip(by_place, product_ids, range(len(by_place)), strict=False))
        self.places = array("l", (place for _, _, place in ordered))
        self.sorted = array("q", (by_place[place] for place in self.places))
        self._step = max(1, len(self.places) // STEPS)
        self._ready = [0]
        for start in range(0, len(self.places), self._step):
            self._ready.append(self._ready[-1] | bits_of(self.places[start : start + self._step]))

    def between(self, least: int | None, most: int | None) -> int:
        """The products whose variant of this slot costs no less and no more."""
        begin = 0 if least is None else bisect_left(self.sorted, least)
        end = len(self.sorted) if most is None else bisect_right(self.sorted, most)
        return self._first(end) & ~self._first(begin) if end > begin else 0

    def _first(self, count: int) -> int:
        steps = count // self._step
        return self._ready[steps] | bits_of(self.places[steps * self._step : count])

    def ends(self, among: int) -> tuple[int, int] | None:
        """The lowest and the highest price of these products."""
        if not among:
            return None
        low = next(at for at, ready in enumerate(self._ready) if ready & among) - 1
        rest = len(self._ready) - 1
        high = next(at for at in range(rest) if among & ~self._ready[rest - at - 1])
        return (
            next(price for price, place in self._part(low) if among >> place & 1),
            next(price for price, place in reversed(self._part(rest - high - 1)) if among >> place & 1),
        )

    def _part(self, step: int) -> list[tuple[int, int]]:
        part = slice(step * self._step, (step + 1) * self._step)
        return list(zip(self.sorted[part], self.places[part], strict=True))


class Catalogue(msgspec.Struct, frozen=True):
    """What is on sale in a store. products: ids by place; variants: ids by slot and place."""

    products: Sequence[int]
    place_of: Mapping[int, int]
    variants: Sequence[Sequence[int]]
    whole: Slots
    facets: Mapping[str, Slots]
    sold_out: Slots
    prices: Sequence[Prices]
    types: Sequence[Word]
    vendors: Sequence[Word]
    tags: Sequence[Word]
    options: Sequence[Option]

    def places(self, product_ids: Iterable[int]) -> Sequence[int]:
        """The places of products, in their order; of those without a variant on sale there is none."""
        return array("l", (self.place_of[each] for each in product_ids if each in self.place_of))


class Shelf(msgspec.Struct, frozen=True):
    """The products of a collection or category, in its own order, and as bits."""

    places: Sequence[int]
    bits: int


def shelf_of(places: Sequence[int]) -> Shelf:
    return Shelf(places, bits_of(places))


def bits_of(places: Sequence[int]) -> int:
    """A number with these bits."""
    if not places:
        return 0
    raw = bytearray(max(places) // 8 + 1)
    for place in places:
        raw[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(raw, "little")


def places_of(bits: int) -> Iterator[int]:
    """The bits of a number, lowest first."""
    raw = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    return (at * 8 + one for at, byte in enumerate(raw) if byte for one in _ONES[byte])


def any_of(slots: Iterable[Slots]) -> Slots:
    """What is in any of them."""
    found: Slots = {}
    for one in slots:
        for slot, bits in one.items():
            found[slot] = found.get(slot, 0) | bits
    return found


def both(some: Slots, others: Slots) -> Slots:
    """What is in both, for the same variant."""
    return {slot: bits & others[slot] for slot, bits in some.items() if slot in others}


def within(slots: Slots, products: int) -> Slots:
    return {slot: bits & products for slot, bits in slots.items()}


def without(some: Slots, others: Slots) -> Slots:
    return {slot: bits & ~others.get(slot, 0) for slot, bits in some.items()}


def products_of(slots: Slots) -> int:
    """The products that have a variant among them."""
    found = 0
    for bits in slots.values():
        found |= bits
    return found


def common(some: Slots, others: Slots) -> int:
    """How many products have a variant that is in both."""
    found = 0
    for slot, bits in others.items():
        if slot in some:
            found |= bits & some[slot]
    return found.bit_count()


class Hits(msgspec.Struct, frozen=True):
    """Variants that fit, one for each product: the first that does."""

    shown: Slots
    total: int


def hits_of(fits: Slots) -> Hits:
    rest, shown = -1, {}
    for slot in sorted(fits):
        shown[slot] = fits[slot] & rest
        rest &= ~fits[slot]
    return Hits(shown, (~rest).bit_count())


def page_by_places(
    catalogue: Catalogue, hits: Hits, order: Iterable[int], *, skip: int, size: int
) -> list[int]:
    """The variants of a page, by an order of all products."""
    if skip >= hits.total:
        return []
    bits = products_of(hits.shown)
    raw = bits.to_bytes(len(catalogue.products) // 8 + 1, "little")
    fitting = (place for place in order if raw[place >> 3] >> (place & 7) & 1)
    return [_shown(catalogue, hits, place) for place in islice(fitting, skip, skip + size)]


def page_by_price(catalogue: Catalogue, hits: Hits, *, down: bool, skip: int, size: int) -> list[int]:
    """The variants of a page, by the price of what is shown and then by product."""
    if hits.total <= MOST_SORTED:
        found = sorted(_all_priced(catalogue, hits), reverse=down)
        return [variant for _, _, variant in found[skip : skip + size]]
    slots = (_by_price(catalogue, slot, bits, down=down) for slot, bits in hits.shown.items() if bits)
    return [variant for _, _, variant in islice(merge(*slots, reverse=down), skip, skip + size)]


def _shown(catalogue: Catalogue, hits: Hits, place: int) -> int:
    slot = next(slot for slot, bits in hits.shown.items() if bits >> place & 1)
    return catalogue.variants[slot][place]


def _all_priced(catalogue: Catalogue, hits: Hits) -> Iterator[tuple[int, int, int]]:
    for slot, bits in hits.shown.items():
        prices, variants = catalogue.prices[slot].by_place, catalogue.variants[slot]
        for place in places_of(bits):
            yield prices[place], catalogue.products[place], variants[place]


def _by_price(catalogue: Catalogue, slot: int, bits: int, *, down: bool) -> Iterator[tuple[int, int, int]]:
    prices, variants = catalogue.prices[slot], catalogue.variants[slot]
    raw = bits.to_bytes(len(variants) // 8 + 1, "little")
    way = range(len(prices.places) - 1, -1, -1) if down else range(len(prices.places))
    for at in way:
        place = prices.places[at]
        if raw[place >> 3] >> (place & 7) & 1:
            yield prices.sorted[at], catalogue.products[place], variants[place]
