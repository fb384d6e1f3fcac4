"""What variants cost in another currency, written over an answer that has the prices of the store's own.

An answer of documents is the same for every currency but for two numbers of each variant, so no statement of the
catalogue knows of this: an answer in the store's own currency costs what it did.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from app.db.reads import Reads
from app.domain.catalogue.sale_items import UnitPrice, prices_in
from app.domain.stores.currencies import check_currency
from app.domain.stores.queries import CurrencyRule, StoreConfig

# The rates are read with the lists, whatever is remembered of the store: the answer may be kept for as long as
# neither changes.
_PRICES: Final = """
SELECT CAST(coalesce(s.settings->'currencies', '[]') AS text) AS rules, (
    SELECT CAST(coalesce(json_object_agg(listed.variant_id, listed.prices), '{}') AS text)
    FROM (
        SELECT u.variant_id, json_agg(json_build_object(
            'price', u.price, 'minimum', u.minimum, 'group', u.customer_group, 'currency', u.currency
        )) AS prices
        FROM unit_prices u
        WHERE u.store_id = s.id AND u.variant_id = ANY($2::bigint[]) AND u.currency IN ('', $3)
        GROUP BY u.variant_id
    ) listed
) AS lists
FROM stores s WHERE s.id = $1
"""
_rules: Final = msgspec.json.Decoder(tuple[CurrencyRule, ...])
_lists: Final = msgspec.json.Decoder(dict[int, tuple[UnitPrice, ...]])


async def price_in(reads: Reads, store: StoreConfig, currency: str, answer: bytes) -> bytes:
    """The JSON of a variant or product, or of a list of them, at what a cart in another currency is asked for one unit.

    Raises Invalid currency_not_offered. One statement.
    """
    found = msgspec.json.decode(answer)
    variants = [one for item in (found if isinstance(found, list) else [found]) for one in _variants(item)]
    row = await reads.fetchrow(_PRICES, store.id, [one["id"] for one in variants], currency)
    assert row is not None
    store = msgspec.structs.replace(store, currencies=_rules.decode(row["rules"]))
    check_currency(store, currency)
    exchange, lists = store.exchange_to(currency), _lists.decode(row["lists"])
    if exchange is None:
        return answer
    for one in variants:
        prices = prices_in(exchange, one["price"], lists.get(one["id"], ()))
        one["price"] = prices.best(1, ())
        before = one["compare_at_price"]
        one["compare_at_price"] = None if before is None else exchange.convert(before)
    return msgspec.json.encode(found)


def _variants(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The variants of an item of the catalogue: itself, those of a product, or the one that it tells something of."""
    if "allow_to_purchase" in item:
        yield item
    yield from item.get("variants", ())
    if "product_variant" in item:
        yield item["product_variant"]
