"""The filters of a shelf of a large shop with their counts, as filter_counts.py counts those of a small one."""

import re
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappush, heappushpop
from typing import Any, Final

import msgspec

from app.domain.catalogue.bitmaps import (
    Catalogue,
    Slots,
    Word,
    any_of,
    both,
    common,
    products_of,
    within,
    without,
)
from app.domain.catalogue.filter_counts import MOST_WORDS, RESERVED
from app.domain.catalogue.filtering import TAGS, TYPES, VENDORS, Filters

PRICE: Final = "price"
AVAILABILITY: Final = "availability"
_PLAIN: Final = re.compile(r"[a-z0-9_-]+")


class Judged:
    """The conditions of filters, each as bits: those of variants by slot, those of products as one number."""

    def __init__(self, catalogue: Catalogue, filters: Filters) -> None:
        self._whole = catalogue.whole
        self._variants: dict[str, Slots] = {
            f"option:{key}": any_of(catalogue.facets.get(facet, {}) for facet in facets)
            for key, facets in filters.options
        }
        if filters.price_from is not None or filters.price_to is not None:
            self._variants[PRICE] = {
                slot: prices.between(filters.price_from, filters.price_to)
                for slot, prices in enumerate(catalogue.prices)
            }
        if filters.available is not None:
            in_stock = without(catalogue.whole, catalogue.sold_out)
            self._variants[AVAILABILITY] = in_stock if filters.available else catalogue.sold_out
        self._products: dict[str, int] = {}
        if filters.types:
            self._products[TYPES] = _any_word(catalogue.types, map(str, filters.types))
        if filters.vendors:
            self._products[VENDORS] = _any_word(catalogue.vendors, map(str.lower, filters.vendors))
        if filters.tags:
            self._products[TAGS] = _any_word(catalogue.tags, map(str.lower, filters.tags))

    def fits(self, shelf: int, *, but: str = "") -> Slots:
        """The variants of the shelf for which all conditions hold, one of them left aside."""
        found = within(self._whole, shelf & self._of_products(but))
        for name, slots in self._variants.items():
            if name != but:
                found = both(found, slots)
        return found

    def _of_products(self, but: str) -> int:
        bits = -1
        for name, own in self._products.items():
            if name != but:
                bits &= own
        return bits


def _any_word(words: Sequence[Word], keys: Iterable[str]) -> int:
    wanted, bits = set(keys), 0
    for word in words:
        if word.key in wanted:
            bits |= word.bits
    return bits


def count_filters(catalogue: Catalogue, shelf: int, filters: Filters) -> bytes:
    """The filters of these products with the number of them that each value leads to, as a JSON array."""
    judged = Judged(catalogue, filters)
    fits = judged.fits(shelf)
    chosen = {key: judged.fits(shelf, but=f"option:{key}") for key, _ in filters.options}
    found = [*_options(catalogue, fits, chosen)]
    for kind, name, words, asked in (
        (TYPES, "Type", catalogue.types, filters.types),
        (VENDORS, "Vendor", catalogue.vendors, filters.vendors),
        (TAGS, "Tag", catalogue.tags, filters.tags),
    ):
        among = products_of(judged.fits(shelf, but=kind) if asked else fits)
        most = None if kind == TYPES else MOST_WORDS
        values = [_value(word.key, word.name, count) for word, count in _frequent(words, among, most)]
        found += [_filter(kind, kind, name, f"{kind}[]", values)] if values else []
    found += _availability(catalogue, judged.fits(shelf, but=AVAILABILITY))
    found += _price(catalogue, judged.fits(shelf, but=PRICE))
    return msgspec.json.encode(found)


def _options(catalogue: Catalogue, fits: Slots, chosen: Mapping[str, Slots]) -> Iterable[dict[str, Any]]:
    for option in catalogue.options:
        among = chosen.get(option.key, fits)
        counted = ((value, common(catalogue.facets[value.facet], among)) for value in option.values)
        values = [_value(value.key, value.name, count) for value, count in counted if count]
        if values:
            plain = _PLAIN.fullmatch(option.key) and option.key not in RESERVED
            parameter = f"{option.key}[]" if plain else f"filter_by[{option.key}][]"
            yield _filter("option", option.key, option.name, parameter, values)


def _frequent(words: Sequence[Word], among: int, most: int | None) -> list[tuple[Word, int]]:
    """The words that these products have, in their order; the most frequent where there are too many.

    Words come the most frequent first: once so many were found, those that are rarer than all of them in the whole
    shop need not be counted.
    """
    found: list[tuple[int, int, Word]] = []
    best: list[int] = []
    for word in words:
        if most is not None and len(best) == most and word.total < best[0]:
            break
        count = (word.bits & among).bit_count()
        if count:
            found.append((-count, word.rank, word))
            if most is not None:
                heappushpop(best, count) if len(best) == most else heappush(best, count)
    told = sorted(found, key=lambda one: one[:2])[:most]
    return [(word, -count) for count, _, word in sorted(told, key=lambda one: one[1])]


def _availability(catalogue: Catalogue, fits: Slots) -> list[dict[str, Any]]:
    counts = (
        ("in_stock", "In stock", products_of(without(fits, catalogue.sold_out)).bit_count()),
        ("out_of_stock", "Sold out", products_of(both(fits, catalogue.sold_out)).bit_count()),
    )
    values = [_value(*one) for one in counts if one[2]]
    return [_filter(AVAILABILITY, AVAILABILITY, "Availability", AVAILABILITY, values)] if values else []


def _price(catalogue: Catalogue, fits: Slots) -> list[dict[str, Any]]:
    ends = [ends for slot, bits in fits.items() if (ends := catalogue.prices[slot].ends(bits))]
    if not ends:
        return []
    least, most = min(low for low, _ in ends), max(high for _, high in ends)
    return [{**_filter(PRICE, PRICE, "Price", "price_from", []), "min": least, "max": most}]


def _value(key: str, name: str, count: int) -> dict[str, Any]:
    return {"key": key, "name": name, "count": count}


def _filter(kind: str, key: str, name: str, parameter: str, values: list[dict[str, Any]]) -> dict[str, Any]:
    return {"kind": kind, "key": key, "name": name, "parameter": parameter, "values": values}
