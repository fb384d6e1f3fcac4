"""What can be chosen of the products of each type: their options and values, found without reading the products.

A value of an option that a variant on sale has says of which type its product is and what its option is called,
so that one index holds all types with their options and values in order, and a reader hops from one to the next.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.reads import Reads
from app.domain.catalogue.drafts import DEFAULT_TITLE

# Each step is looked up by its key, whatever the planner takes a store for that its statistics have not seen yet:
# OFFSET 0 keeps it from reading the whole store for each row, which took half a minute for 200 products.
_DERIVE: Final = text(
    """
    WITH own AS MATERIALIZED (
        SELECT x.id, o.key, CASE WHEN p.listed AND (o.name, x.name) <> ('Title', :default) AND EXISTS (
            SELECT FROM variant_values u WHERE u.store_id = :store_id AND u.value_id = x.id
        ) THEN p.type_id END AS type_id
        FROM unnest(:ids) AS given (id)
        CROSS JOIN LATERAL (
            SELECT id, listed, type_id FROM products
            WHERE store_id = :store_id AND id = given.id OFFSET 0
        ) p
        CROSS JOIN LATERAL (
            SELECT id, key, name FROM product_options
            WHERE store_id = :store_id AND product_id = p.id OFFSET 0
        ) o
        CROSS JOIN LATERAL (
            SELECT id, name FROM option_values
            WHERE store_id = :store_id AND option_id = o.id OFFSET 0
        ) x
    )
    UPDATE option_values w SET type_id = own.type_id, option_key = own.key
    FROM own
    WHERE w.store_id = :store_id AND w.id = own.id
      AND (w.type_id, w.option_key) IS DISTINCT FROM (own.type_id, own.key)
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))

_HOP: Final = """
    SELECT w.type_id, w.option_key, w.key, w.position, w.name, w.option_id FROM option_values w
    WHERE w.store_id = $1 AND w.type_id IS NOT NULL {after}
    ORDER BY w.store_id, w.type_id, w.option_key, w.key, w.position, w.id LIMIT 1
"""
# Of what has one key in several products, the one that stands first in its option gives its name.
_TYPES: Final = f"""
    WITH RECURSIVE used AS (
        ({_HOP.format(after="")})
        UNION ALL
        SELECT next.* FROM used CROSS JOIN LATERAL (
            {_HOP.format(after="AND (w.type_id, w.option_key, w.key) > (used.type_id, used.option_key, used.key)")}
        ) next
    ),
    options AS (
        SELECT type_id, json_agg(name ORDER BY position, name) AS choices, (
            SELECT o.name FROM product_options o WHERE o.store_id = $1 AND o.id = min(used.option_id)
        ) AS name
        FROM used GROUP BY type_id, option_key
    )
    SELECT convert_to(CAST(coalesce(json_agg(json_build_object('id', t.id, 'name', t.name, 'options', coalesce((
        SELECT json_object_agg(o.name, o.choices ORDER BY o.name) FROM options o WHERE o.type_id = t.id
    ), '{{}}')) ORDER BY t.name), '[]') AS text), 'UTF8')
    FROM product_types t
    WHERE t.store_id = $1 AND (
        SELECT true FROM products p
        WHERE p.store_id = t.store_id AND p.type_id = t.id AND p.listed LIMIT 1)
"""  # noqa: S608 - every part is written here; the store travels as a parameter


async def refresh_choices(session: AsyncSession, store_id: int, product_ids: Sequence[int]) -> None:
    """Bring up to date what the option values of these products say of it. Repeating it changes nothing."""
    await session.execute(_DERIVE, {"store_id": store_id, "ids": list(product_ids), "default": DEFAULT_TITLE})


async def list_types(reads: Reads, store_id: int) -> bytes:
    """The types in use with the options and values of their products on sale, as a JSON array."""
    found: bytes = await reads.fetchval(_TYPES, store_id)
    return found
