"""Which gift a cart of a price would earn, before there is a cart."""

from datetime import datetime
from typing import Final

import msgspec

from app.db.reads import Reads
from app.domain.promotions.errors import GIFT_NOT_EARNED
from app.kit.errors import NotFound


class GiftOffer(msgspec.Struct, frozen=True):
    """A promotion that gives a thing. Minor units; scope_kind says what the price has to be spent on."""

    id: int
    handle: str
    title: str
    minimum_purchase: int | None
    limit_items: int | None
    max_per_customer: int | None
    scope_kind: str
    gift_title: str
    gift_variant_id: int
    gift_worth: int
    created_at: datetime
    updated_at: datetime
    starts_at: datetime | None
    ends_at: datetime | None


# The best that the price earns: what asks for the most, and of equal ones what comes first on a cart. What is
# only for certain buyers, or hangs on where the cart goes or how much is in it, is not promised to everybody, and what is
# not on sale or sold out to nobody.
_EARNED: Final = """
SELECT CAST(json_build_object(
    'id', p.id, 'handle', p.handle, 'title', p.title, 'minimum_purchase', p.minimum_purchase,
    'limit_items', p.limit_items, 'max_per_customer', p.max_per_customer, 'scope_kind', p.scope_kind,
    'gift_title', v.full_title, 'gift_variant_id', v.id, 'gift_worth', v.price,
    'created_at', p.created_at, 'updated_at', p.updated_at, 'starts_at', p.starts_at, 'ends_at', p.ends_at
) AS text)
FROM promotions p
JOIN variants v ON v.store_id = p.store_id AND v.id = p.gift_variant_id AND v.listed
LEFT JOIN stock_items s ON s.store_id = v.store_id AND s.variant_id = v.id
WHERE p.store_id = $1 AND p.kind = 'gift' AND p.automatic AND p.enabled
  AND coalesce(p.minimum_purchase, 0) <= $2::bigint
  AND coalesce(p.starts_at <= $3, true) AND coalesce(p.ends_at > $3, true)
  AND (p.uses < p.max_uses) IS NOT FALSE
  AND p.customer_ids = '{}' AND p.groups = '{}' AND NOT p.first_order
  AND p.countries = '{}' AND coalesce(p.minimum_quantity, 1) <= 1
  AND (NOT coalesce(s.tracked, false) OR s.floor IS NULL OR s.on_hand - s.reserved > s.floor)
ORDER BY coalesce(p.minimum_purchase, 0) DESC, p.priority DESC, p.id
LIMIT 1
"""
_decoder: Final = msgspec.json.Decoder(GiftOffer)


async def get_earned_gift(reads: Reads, store_id: int, *, price: int, now: datetime) -> GiftOffer:
    """The gift that a cart of this price (minor units) would earn. Raises NotFound gift_not_earned."""
    found: str | None = await reads.fetchval(_EARNED, store_id, price, now)
    if found is None:
        raise NotFound(GIFT_NOT_EARNED, "A cart of this price earns no gift at the moment.")
    return _decoder.decode(found)
