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

_DERIVE: Final = text(
    """
    UPDATE option_values w SET type_id = said.type_id, option_key = said.key
    FROM (
        SELECT x.id, o.key, CASE WHEN p.listed AND (o.name, x.name) <> ('Title', :default) AND EXISTS (
            SELECT FROM variant_values u WHERE u.store_id = x.store_id AND u.value_id = x.id
        ) THEN p.type_id END AS type_id
        FROM products p
        JOIN product_options o ON o.store_id = p.store_id AND o.product_id = p.id
        JOIN option_values x ON x.store_id = o.store_id AND x.option_id = o.id
        WHERE p.store_id = :store_id AND p.id = ANY(:ids)
    ) said
    WHERE w.store_id = :store_id AND w.id = said.id
      AND (w.type_id, w.option_key) IS DISTINCT FROM (said.type_id, said.key)
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
