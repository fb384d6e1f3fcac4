"""What goes with products and can be had now: the variants to show beside each of them."""
# ruff: noqa: S608 - every part is written here; values travel as parameters

from collections.abc import Collection
from typing import Final

import msgspec

from app.db.reads import Reads
from app.domain.catalogue.pieces import RELATED
from app.domain.catalogue.sale_items import SaleItem, read_sale_items

MOST_BESIDE: Final = 8

_BESIDE: Final = f"""
SELECT p.id, {RELATED} AS related
FROM products p WHERE p.store_id = $1 AND p.id = ANY($2::bigint[])
"""
_decoder: Final = msgspec.json.Decoder(list[int])


async def read_beside(reads: Reads, store_id: int, product_ids: Collection[int]) -> dict[int, list[SaleItem]]:
    """By product what goes with it, the nearest first, at the store's own prices; without what is sold out.

    Two statements, however many products there are.
    """
    rows = await reads.fetch(_BESIDE, store_id, list(product_ids))
    near = {row["id"]: _decoder.decode(row["related"])[:MOST_BESIDE] for row in rows}
    wanted = list(dict.fromkeys(variant for variants in near.values() for variant in variants))
    items = await read_sale_items(reads, store_id, wanted) if wanted else []
    had = {item.variant_id: item for item in items if item.on_sale and item.available_units != 0}
    return {
        product: [had[variant] for variant in variants if variant in had]
        for product, variants in near.items()
    }
