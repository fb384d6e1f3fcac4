"""Which products a collection has: by hand as listed, by rule kept current with each change of a product."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.catalogue.rules import condition_of

# Within {scope} members that fit no more leave and products that fit now come in; the rest is untouched.
_REFRESH: Final = """
WITH fits AS (
    SELECT p.id, p.listed FROM products p WHERE p.store_id = :store_id {products} AND ({condition})
),
gone AS (
    DELETE FROM collection_products m
    WHERE m.store_id = :store_id AND m.collection_id = :collection_id {members}
      AND NOT EXISTS (SELECT 1 FROM fits WHERE fits.id = m.product_id)
    RETURNING 1
),
come AS (
    INSERT INTO collection_products (store_id, collection_id, product_id, position, listed)
    SELECT :store_id, :collection_id, fits.id, fits.id, fits.listed FROM fits
    ON CONFLICT (store_id, collection_id, product_id) DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM come)
"""
_RULED: Final = text(
    """
    SELECT id, condition, rules FROM collections WHERE store_id = :store_id AND kind = 'rule' ORDER BY id
    """
)
_BY_HAND: Final = text(
    """
    WITH wanted AS (
        SELECT p.id, p.listed, min(w.place) AS place
        FROM unnest(CAST(:handles AS text[])) WITH ORDINALITY AS w (handle, place)
        JOIN products p ON p.store_id = :store_id AND p.handle = w.handle GROUP BY p.id, p.listed
    ),
    gone AS (
        DELETE FROM collection_products m
        WHERE m.store_id = :store_id AND m.collection_id = :collection_id
          AND NOT EXISTS (SELECT 1 FROM wanted WHERE wanted.id = m.product_id)
        RETURNING 1
    ),
    come AS (
        INSERT INTO collection_products AS m (store_id, collection_id, product_id, position, listed)
        SELECT :store_id, :collection_id, id, place, listed FROM wanted
        ON CONFLICT (store_id, collection_id, product_id) DO UPDATE SET position = excluded.position
            WHERE :in_place AND m.position <> excluded.position
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM come)
    """
)

# A rule collection in its "manual" order shows the oldest product first: position is the product's id.
_SORT: Final = """
UPDATE collection_products m SET position = k.position, sort_text = k.sort_text, listed = k.listed
FROM (
    SELECT n.collection_id, n.product_id, p.listed,
        CASE c.sort_order
            WHEN 'manual' THEN n.position
            WHEN 'newest' THEN -CAST(extract(epoch FROM p.created_at) * 1000 AS bigint)
            WHEN 'best_selling' THEN -p.sold
            WHEN 'price_ascending' THEN price.least
            WHEN 'price_descending' THEN -price.least
            ELSE 0
        END AS position,
        CASE c.sort_order WHEN 'title' THEN title_key(p.title) ELSE '' END AS sort_text
    FROM collection_products n
    JOIN collections c ON c.store_id = n.store_id AND c.id = n.collection_id
    JOIN products p ON p.store_id = n.store_id AND p.id = n.product_id
    CROSS JOIN LATERAL (
        SELECT coalesce(min(v.price), 0) AS least FROM variants v
        WHERE v.store_id = p.store_id AND v.product_id = p.id
    ) price
    WHERE n.store_id = :store_id AND {which}
) k
WHERE m.store_id = :store_id AND m.collection_id = k.collection_id AND m.product_id = k.product_id
  AND (m.position, m.sort_text, m.listed) IS DISTINCT FROM (k.position, k.sort_text, k.listed)
"""
_SORT_PRODUCTS: Final = text(_SORT.format(which="n.product_id = ANY(:ids)")).bindparams(
    bindparam("ids", type_=ARRAY(BigInteger))
)
_SORT_BY_SALES: Final = text(
    _SORT.format(which="n.product_id = ANY(:ids) AND c.sort_order = 'best_selling'")
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))
_SORT_COLLECTION: Final = text(_SORT.format(which="n.collection_id = :collection_id"))


# A sale must not wait for whoever else writes a collection, nor hold a place in it: so rules about stock are
# looked through after the commit, by a job that the trigger follow_stock queues in the sale's transaction.
STOCK_MOVED: Final = "catalogue.stock_moved"
_PRODUCTS_OF: Final = text(
    """
    SELECT DISTINCT product_id FROM variants WHERE store_id = :store_id AND id = ANY(:ids) ORDER BY product_id
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))


async def refresh_collections_of(session: AsyncSession, store_id: int, variant_ids: Sequence[int]) -> None:
    """Bring collections by rule up to date for the products of these variants."""
    values = {"store_id": store_id, "ids": list(variant_ids)}
    product_ids = list(await session.scalars(_PRODUCTS_OF, values))
    if product_ids:
        await refresh_collections(session, store_id, product_ids)


async def refresh_collections(session: AsyncSession, store_id: int, product_ids: Sequence[int]) -> None:
    """Bring what collections say of these products up to date: membership by rule, order, whether on sale."""
    await refresh_rule_collections(session, store_id, product_ids)
    await session.execute(_SORT_PRODUCTS, {"store_id": store_id, "ids": list(product_ids)})


async def sort_by_sales(session: AsyncSession, store_id: int, product_ids: Sequence[int]) -> None:
    """Bring collections in the order of what sells up to date for these products, whose sales were counted."""
    await session.execute(_SORT_BY_SALES, {"store_id": store_id, "ids": list(product_ids)})


async def sort_collection(session: AsyncSession, store_id: int, collection_id: int) -> None:
    """Bring the order of one whole collection up to date."""
    await session.execute(_SORT_COLLECTION, {"store_id": store_id, "collection_id": collection_id})


async def refresh_rule_collections(
    session: AsyncSession, store_id: int, product_ids: Sequence[int] | None = None
) -> int:
    """Bring collections by rule up to date for these products, or for all; answers how many places changed."""
    changed = 0
    for collection in (await session.execute(_RULED, {"store_id": store_id})).all():
        changed += await fill_by_rule(
            session,
            store_id,
            collection.id,
            rules=collection.rules,
            condition=collection.condition,
            product_ids=product_ids,
        )
    return changed


async def fill_by_rule(
    session: AsyncSession,
    store_id: int,
    collection_id: int,
    *,
    rules: Sequence[dict[str, Any]],
    condition: str,
    product_ids: Sequence[int] | None = None,
) -> int:
    """Evaluate one collection's rules for these products, or for all; answers how many places changed."""
    test, values = condition_of(rules, condition)
    some = product_ids is not None
    statement = text(
        _REFRESH.format(
            condition=test,
            products="AND p.id = ANY(:ids)" if some else "",
            members="AND m.product_id = ANY(:ids)" if some else "",
        )
    )
    if some:
        statement = statement.bindparams(bindparam("ids", type_=ARRAY(BigInteger)))
        values["ids"] = list(product_ids or ())
    values |= {"store_id": store_id, "collection_id": collection_id}
    return int((await session.execute(statement, values)).scalar_one())


async def fill_by_hand(
    session: AsyncSession, store_id: int, collection_id: int, handles: Sequence[str], *, in_place: bool
) -> int:
    """Make these products the collection, in_place in this very order; unknown handles are left out."""
    values = {"store_id": store_id, "collection_id": collection_id, "handles": list(handles)}
    values["in_place"] = in_place
    return int((await session.execute(_BY_HAND, values)).scalar_one())
