"""What else somebody who is about to pay might want: what goes with the things in the checkout, and can be had now."""

from typing import Final

from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.catalogue.sale_items import SaleItem, list_sale_items
from app.domain.promotions.quotes import Quote
from app.domain.stores.queries import StoreConfig

MOST_OFFERS: Final = 8

# What was chosen by hand comes first, then what was bought in the same orders, then what is alike. Some of it may be
# sold out, so that a few more are found than are shown.
_NEAR: Final = text(
    """
    SELECT v.id FROM (
        SELECT near.variant_id, min(near.place) AS place
        FROM products p CROSS JOIN LATERAL (
            SELECT hand.id AS variant_id, hand.place FROM unnest(p.related) WITH ORDINALITY AS hand (id, place)
            UNION ALL
            SELECT n.lead_variant_id, 1000 + own.place
            FROM unnest(p.bought_with || p.similar_to) WITH ORDINALITY AS own (id, place)
            JOIN products n ON n.store_id = p.store_id AND n.id = own.id
        ) near
        WHERE p.store_id = :store_id AND p.id = ANY(:products) GROUP BY 1
    ) found
    JOIN variants v ON v.store_id = :store_id AND v.id = found.variant_id
    JOIN products q ON q.store_id = v.store_id AND q.id = v.product_id AND q.listed AND NOT q.gift_card
    WHERE v.product_id <> ALL(:products)
    ORDER BY found.place, v.id LIMIT 3 * :most
    """
).bindparams(bindparam("products", type_=ARRAY(BigInteger)))


async def list_funnel(session: AsyncSession, store: StoreConfig, quote: Quote) -> list[SaleItem]:
    """The variants to offer beside a checkout, at what one costs in its currency. Two statements."""
    products = sorted({one.line.product_id for one in quote.lines})
    values = {"store_id": store.id, "products": products, "most": MOST_OFFERS}
    near = list((await session.scalars(_NEAR, values)).all())
    items = await list_sale_items(session, store.id, near) if near else []
    exchange = store.exchange_to(quote.currency)
    return [item.sold_in(exchange) for item in items if item.available_units != 0][:MOST_OFFERS]
