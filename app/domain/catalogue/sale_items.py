"""What a cart needs to know of variants: price, stock and how they are shown, fresh, in one statement."""

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.reads import Reads
from app.db.statements import Statement
from app.kit.exchange import Exchange


class UnitPrice(msgspec.Struct, frozen=True):
    """What a unit costs from so many units on, to everybody or to one customer group.

    Minor units of the currency, of the store's where it is ''.
    """

    price: int
    minimum: int
    group: str
    currency: str = ""


class Prices(msgspec.Struct, frozen=True):
    """What a variant costs in one currency: a unit, and others that hold for more units or for some buyers."""

    price: int
    others: tuple[UnitPrice, ...]

    def best(self, quantity: int, groups: Collection[str]) -> int:
        """The lowest that holds for so many units and a member of these groups."""
        price = self.price
        for entry in self.others:
            if entry.minimum <= quantity and (not entry.group or entry.group in groups):
                price = min(price, entry.price)
        return price


def prices_in(exchange: Exchange | None, price: int, others: Sequence[UnitPrice]) -> Prices:
    """What a variant costs in another currency, or in the store's own without one.

    One that has prices of its own there is sold by these alone; any other follows the rate.
    """
    at_home = tuple(entry for entry in others if not entry.currency)
    if exchange is None:
        return Prices(price, at_home)
    own = tuple(entry for entry in others if entry.currency == exchange.currency)
    for_all = next((entry.price for entry in own if entry.minimum == 1 and not entry.group), None)
    unit = exchange.convert(price) if for_all is None else for_all
    return Prices(
        unit,
        own
        or tuple(
            msgspec.structs.replace(entry, price=exchange.convert(entry.price), currency=exchange.currency)
            for entry in at_home
        ),
    )


class SaleItem(msgspec.Struct, frozen=True):
    """A variant as it can be bought now. Price in minor units of the currency, of the store's where it is ''.

    unit_prices are all that are kept, in any currency.
    """

    variant_id: int
    product_id: int
    product_title: str
    variant_title: str
    sku: str
    price: int
    compare_at_price: int | None
    grams: float
    taxable: bool
    requires_shipping: bool
    gift_card: bool
    on_sale: bool
    handle: str
    image: str | None
    tracked: bool
    on_hand: int
    reserved: int
    floor: int | None
    tax_class: str = ""
    unit_prices: tuple[UnitPrice, ...] = ()
    currency: str = ""
    product_type: str = ""
    product_description: str = ""
    variant_options: dict[str, str] = {}
    product_options: dict[str, list[str]] = {}

    def price_for(self, quantity: int, groups: Collection[str] = ()) -> int:
        """What a unit costs when so many are bought by a member of these groups."""
        return self.prices.best(quantity, groups)

    @property
    def prices(self) -> Prices:
        """All that it costs in its currency."""
        return Prices(
            self.price, tuple(entry for entry in self.unit_prices if entry.currency == self.currency)
        )

    def sold_in(self, exchange: Exchange | None) -> "SaleItem":
        """The variant, as the catalogue keeps it, at what it costs in another currency; None is the store's own."""
        if exchange is None:
            return self
        prices = prices_in(exchange, self.price, self.unit_prices)
        before = self.compare_at_price
        return msgspec.structs.replace(
            self,
            price=prices.price,
            compare_at_price=None if before is None else exchange.convert(before),
            unit_prices=prices.others,
            currency=exchange.currency,
        )

    @property
    def title(self) -> str:
        """The product's title with the variant's, unless the product has a single, nameless variant."""
        if self.variant_title in ("", "Default Title"):
            return self.product_title
        return f"{self.product_title} - {self.variant_title}"

    @property
    def url(self) -> str:
        return f"/products/{self.handle}?variant={self.variant_id}"

    @property
    def available_units(self) -> int | None:
        """How many can be sold now; None where nothing limits it."""
        if not self.tracked or self.floor is None:
            return None
        return max(0, self.on_hand - self.reserved - self.floor)


# What only a page that shows the variant looks at; a price depends on none of it, and it costs as much to read as
# all the rest.
_SHOWN: Final = """
    'product_type', coalesce(t.name, ''), 'product_description', p.body_html,
    'variant_options', (
        SELECT coalesce(json_object_agg(o.name, w.name), '{}')
        FROM variant_values vv
        JOIN product_options o ON o.store_id = vv.store_id AND o.id = vv.option_id
        JOIN option_values w ON w.store_id = vv.store_id AND w.id = vv.value_id
        WHERE vv.store_id = v.store_id AND vv.variant_id = v.id
    ),
    'product_options', (
        SELECT coalesce(json_object_agg(o.name, (
            SELECT coalesce(json_agg(w.name ORDER BY w.position), '[]') FROM option_values w
            WHERE w.store_id = o.store_id AND w.option_id = o.id
        )), '{}')
        FROM product_options o WHERE o.store_id = p.store_id AND o.product_id = p.id
    ),
"""
_TYPE: Final = "LEFT JOIN product_types t ON t.store_id = p.store_id AND t.id = p.type_id"

# An item as JSON, of the variant v with what _JOINS puts beside it.
_ITEM: Final = """
json_build_object(
    'variant_id', v.id, 'product_id', p.id, 'product_title', p.title, 'variant_title', v.title,
    'sku', v.sku, 'price', v.price, 'compare_at_price', v.compare_at_price, 'grams', v.grams,
    'taxable', v.taxable, 'requires_shipping', v.requires_shipping, 'gift_card', p.gift_card,
    'on_sale', p.listed, 'handle', p.handle, {shown}
    'image', coalesce(
        (SELECT g.src FROM product_images g
            WHERE g.store_id = p.store_id AND g.id = v.image_id AND g.product_id = p.id),
        (SELECT g.src FROM product_images g
            WHERE g.store_id = p.store_id AND g.product_id = p.id ORDER BY g.position LIMIT 1)
    ),
    'tracked', coalesce(s.tracked, false), 'on_hand', coalesce(s.on_hand, 0),
    'reserved', coalesce(s.reserved, 0), 'floor', s.floor, 'tax_class', v.tax_code,
    'unit_prices', (
        SELECT coalesce(json_agg(json_build_object(
            'price', u.price, 'minimum', u.minimum, 'group', u.customer_group, 'currency', u.currency
        )), '[]')
        FROM unit_prices u WHERE u.store_id = v.store_id AND u.variant_id = v.id
    )
)
"""
_JOINS: Final = """
JOIN products p ON p.store_id = v.store_id AND p.id = v.product_id
{shown}
LEFT JOIN stock_items s ON s.store_id = v.store_id AND s.variant_id = v.id
"""


def sale_item_sql(*, store_id: str, variant_id: str, shown: bool) -> str:
    """A subquery whose one column is the variant of an id as the JSON of a SaleItem; no row where it is gone.

    Without `shown` type, description and options are left empty.
    """
    item = _ITEM.format(shown=_SHOWN if shown else "")
    joins = _JOINS.format(shown=_TYPE if shown else "")
    return f"SELECT {item} FROM variants v {joins} WHERE v.store_id = {store_id} AND v.id = {variant_id}"  # noqa: S608 - words of our own


_ITEMS: Final = f"""
SELECT CAST(item.found AS text)
FROM unnest(CAST(@ids AS bigint[])) WITH ORDINALITY AS wanted (id, place)
CROSS JOIN LATERAL (
    {sale_item_sql(store_id="@store_id", variant_id="wanted.id", shown=True)}
) AS item (found)
ORDER BY wanted.place
"""  # noqa: S608 - words of our own

_READ: Final = _ITEMS.replace("@store_id", "$1").replace("@ids", "$2")
_LIST: Final = Statement(_ITEMS.replace("@", ":"), looks=True)
_decoder: Final = msgspec.json.Decoder(SaleItem)


async def list_sale_items(session: AsyncSession, store_id: int, variant_ids: Sequence[int]) -> list[SaleItem]:
    """The variants as they can be bought now, in the order asked for; unknown ids are left out."""
    found = await _LIST.rows(session, store_id=store_id, ids=list(variant_ids))
    return [_decoder.decode(row[0]) for row in found]


async def read_sale_items(reads: Reads, store_id: int, variant_ids: Sequence[int]) -> list[SaleItem]:
    """The same as list_sale_items, outside any transaction."""
    rows: list[Any] = await reads.fetch(_READ, store_id, list(variant_ids))
    return [_decoder.decode(row[0]) for row in rows]
