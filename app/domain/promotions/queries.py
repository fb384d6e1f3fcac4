"""What is read of promotions: everything that a basket's price needs, in one statement however many there are."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, DateTime, LargeBinary, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.reads import Reads
from app.domain.catalogue.sale_items import SaleItem, list_sale_items, read_sale_items
from app.domain.promotions.codes import code_key, mail_digest
from app.domain.promotions.offers import Buyer, Offers, Promotion, Shelf
from app.domain.promotions.quotes import Line
from app.domain.stores.queries import StoreConfig
from app.kit.exchange import Exchange


class Ask(msgspec.Struct, frozen=True):
    """For whom and what is asked: product ids and quantities by variant of a basket, its code, and its buyer."""

    product_ids: Sequence[int]
    held: Mapping[int, int]
    code: str | None
    customer_id: int | None
    email: str | None
    now: datetime


class _Found(msgspec.Struct, frozen=True):
    promotions: tuple[Promotion, ...]
    shelves: dict[int, Shelf]
    buyer: Buyer


# each: how often one customer may use it; a first order is had once, whatever else is said and with whichever of them.
# Automatic ones that count now, and whatever the code stands for: why that does not count is said to whoever
# typed it.
_OFFERS: Final = """
WITH live AS (
    SELECT p.*, c.id AS coupon_id, c.code,
        coalesce(p.uses >= p.max_uses, false) OR coalesce(c.uses >= c.max_uses, false) AS used_up,
        least(p.max_per_customer, CASE WHEN p.first_order THEN 1 END) AS each
    FROM promotions p
    LEFT JOIN coupons c ON c.promotion_id = p.id AND c.store_id = @store AND c.code_key = CAST(@code AS text)
    WHERE p.store_id = @store AND p.enabled AND (
        c.id IS NOT NULL
        OR (p.automatic AND coalesce(p.starts_at <= @now, true) AND coalesce(p.ends_at > @now, true))
    )
)
SELECT CAST(json_build_object(
    'promotions', (
        SELECT coalesce(json_agg(json_build_object(
            'id', l.id, 'title', l.title, 'kind', l.kind, 'value', l.value, 'code', l.code,
            'coupon_id', l.coupon_id, 'priority', l.priority, 'combines', l.combines,
            'scope', json_build_object('kind', l.scope_kind, 'ids', l.scope_ids),
            'minimum_purchase', l.minimum_purchase, 'minimum_quantity', l.minimum_quantity,
            'limit_items', l.limit_items, 'buy_quantity', l.buy_quantity, 'get_quantity', l.get_quantity,
            'reward', CASE WHEN l.reward_kind IS NOT NULL
                THEN json_build_object('kind', l.reward_kind, 'ids', l.reward_ids) END,
            'gift_variant_id', l.gift_variant_id, 'customer_ids', l.customer_ids, 'groups', l.groups,
            'countries', l.countries, 'first_order', l.first_order,
            'starts_at', l.starts_at, 'ends_at', l.ends_at, 'used_up', l.used_up,
            'limited', l.coupon_id IS NOT NULL OR coalesce(l.max_uses, l.each) IS NOT NULL,
            'used_by_buyer', l.each IS NOT NULL AND (
                SELECT count(*) FROM coupon_uses u
                WHERE u.promotion_id = ANY(CASE WHEN l.first_order THEN
                        ARRAY(SELECT f.id FROM promotions f WHERE f.store_id = @store AND f.first_order)
                    ELSE ARRAY[l.id] END)
                  AND u.state <> 'returned'
                  AND (u.customer_id = CAST(@customer AS bigint) OR u.email_digest = CAST(@digest AS bytea))
            ) >= l.each
        ) ORDER BY l.id), '[]') FROM live l
    ),
    'shelves', (
        SELECT coalesce(json_object_agg(p.id, json_build_object('type_id', p.type_id, 'collections', (
            SELECT coalesce(json_agg(k.collection_id), '[]') FROM collection_products k
            WHERE k.store_id = p.store_id AND k.product_id = p.id
        ))), '{}')
        FROM products p
        WHERE p.store_id = @store AND p.id = ANY(CAST(@products AS bigint[]))
          AND EXISTS (
            SELECT 1 FROM live l
            WHERE l.scope_kind IN ('collections', 'types') OR l.reward_kind IN ('collections', 'types')
          )
    ),
    'buyer', json_build_object(
        'customer_id', CAST(@customer AS bigint),
        'groups', coalesce((
            SELECT to_json(c.groups) FROM customers c
            WHERE c.store_id = @store AND c.id = CAST(@customer AS bigint)
        ), '[]'),
        'orders', CASE WHEN CAST(@customer AS bigint) IS NOT NULL OR CAST(@email AS text) IS NOT NULL THEN (
            SELECT count(*) FROM (
                SELECT 1 FROM orders o
                WHERE EXISTS (SELECT 1 FROM live l WHERE l.first_order)
                  AND o.store_id = @store AND o.status IN ('open', 'completed')
                  AND (o.customer_id = CAST(@customer AS bigint) OR lower(o.email) = CAST(@email AS text))
                LIMIT 1
            ) known
        ) END
    )
) AS text)
"""
_NAMES: Final = ("store", "products", "code", "customer", "email", "digest", "now")


def _numbered(statement: str) -> str:
    for place, name in enumerate(_NAMES, 1):
        statement = statement.replace(f"@{name}", f"${place}")
    return statement


_READ: Final = _numbered(_OFFERS)
_LIST: Final = text(_OFFERS.replace("@", ":")).bindparams(
    bindparam("products", type_=ARRAY(BigInteger)),
    bindparam("code", type_=Text),
    bindparam("customer", type_=BigInteger),
    bindparam("email", type_=Text),
    bindparam("digest", type_=LargeBinary),
    bindparam("now", type_=DateTime(timezone=True)),
)
_decoder: Final = msgspec.json.Decoder(_Found)


def _values(store_id: int, ask: Ask) -> dict[str, Any]:
    return {
        "store": store_id,
        "products": list(ask.product_ids),
        "code": code_key(ask.code) if ask.code else None,
        "customer": ask.customer_id,
        "email": ask.email.lower() if ask.email else None,
        "digest": mail_digest(ask.email),
        "now": ask.now,
    }


async def list_offers(session: AsyncSession, store: StoreConfig, ask: Ask) -> Offers:
    """What is offered on a basket, inside a transaction: one statement, and one more where there are gifts.

    Amounts are in the currency that the store is selling in.
    """
    found = _decoder.decode((await session.execute(_LIST, _values(store.id, ask))).scalar_one())
    wanted = _gift_ids(found)
    gifts = await list_sale_items(session, store.id, wanted) if wanted else []
    return _offers(ask, found, gifts, store.exchange)


async def read_offers(reads: Reads, store: StoreConfig, ask: Ask) -> Offers:
    """The same as list_offers, outside any transaction."""
    values = _values(store.id, ask)
    row: str = await reads.fetchval(_READ, *(values[name] for name in _NAMES))
    found = _decoder.decode(row)
    wanted = _gift_ids(found)
    gifts = await read_sale_items(reads, store.id, wanted) if wanted else []
    return _offers(ask, found, gifts, store.exchange)


def _gift_ids(found: _Found) -> list[int]:
    return sorted({p.gift_variant_id for p in found.promotions if p.gift_variant_id is not None})


_AMOUNTS: Final = ("fixed_amount", "fixed_price")


def _promotion_in(exchange: Exchange, promotion: Promotion) -> Promotion:
    least = promotion.minimum_purchase
    return msgspec.structs.replace(
        promotion,
        value=exchange.convert(promotion.value) if promotion.kind in _AMOUNTS else promotion.value,
        minimum_purchase=None if least is None else exchange.convert(least),
    )


def _offers(ask: Ask, found: _Found, gifts: Sequence[SaleItem], exchange: Exchange | None) -> Offers:
    promotions = found.promotions
    if exchange is not None:
        promotions = tuple(_promotion_in(exchange, promotion) for promotion in promotions)
    spare = {
        gift.variant_id: units - ask.held.get(gift.variant_id, 0)
        for gift in gifts
        if (units := gift.available_units) is not None
    }
    return Offers(
        now=ask.now,
        promotions=promotions,
        code=ask.code,
        buyer=found.buyer,
        shelves=found.shelves,
        gifts={
            item.variant_id: line_of(item, quantity=1, price=0, gift=True)
            for item in (gift.sold_in(exchange) for gift in gifts)
            if item.on_sale and spare.get(item.variant_id, 1) > 0
        },
        spare=spare,
    )


def line_of(item: SaleItem, *, quantity: int, price: int, gift: bool = False) -> Line:
    """A variant as a line of a basket, at what a unit costs this buyer."""
    return Line(
        variant_id=item.variant_id,
        product_id=item.product_id,
        title=item.title,
        variant_title=item.variant_title,
        sku=item.sku or None,
        image=item.image,
        quantity=quantity,
        price=price,
        grams=round(item.grams),
        taxable=item.taxable,
        requires_shipping=item.requires_shipping,
        tax_class=item.tax_class,
        gift_card=item.gift_card,
        gift=gift,
        worth=item.price if gift else 0,
    )
