"""Which products a very broad search found, kept for some seconds.

Ranking tens of thousands of products for the first letter of a word takes 50 ms and more, and everybody's words
begin with the same few letters. So the best hits of such a search are kept by the process that found them: for some
seconds it answers with them, and with price, stock and whether they are on sale as they are at that moment. A
search with fewer hits is never kept.
"""

from array import array
from collections.abc import Sequence
from typing import Final

import msgspec

from app.kit.aging import Aging

# A search with more hits is broad; so many of the best of them are kept.
MOST_RANKED: Final = 1000
FRESH_SECONDS: Final = 10.0
# Searches that a process keeps, 10 kB each.
MOST_KEPT: Final = 500


class Hits(msgspec.Struct, frozen=True):
    """The best products in order, the variants that were named by SKU or barcode by place, and how many all are."""

    product_ids: Sequence[int]
    variant_ids: dict[int, int]
    total: int


BroadHits = Aging[Hits]


def broad_hits() -> BroadHits:
    """An empty store of broad searches, one for each process."""
    return Aging(seconds=FRESH_SECONDS, most=MOST_KEPT)


def hits_of(product_ids: Sequence[int], named: Sequence[int | None], total: int) -> Hits:
    """The best hits of a search; `named` has a variant where its code was typed."""
    variant_ids = {place: variant_id for place, variant_id in enumerate(named) if variant_id}
    return Hits(array("q", product_ids), variant_ids, total)
