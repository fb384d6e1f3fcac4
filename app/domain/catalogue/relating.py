"""Which products are shown beside one by themselves: those that share its tags, the rarest tags counting most."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

# Of a tag that many products have, the best selling of them stand for it.
_MOST_BEARERS: Final = 200
_MOST_SIMILAR: Final = 8

_RELATE: Final = text(
    f"""
    WITH own AS (SELECT id, tags FROM products WHERE store_id = :store_id AND id = ANY(:ids)),
    bearers AS MATERIALIZED (
        SELECT tags.tag, n.id, count(*) OVER (PARTITION BY tags.tag) AS among
        FROM (SELECT DISTINCT unnest(own.tags) AS tag FROM own) tags
        CROSS JOIN LATERAL (
            SELECT p.id FROM products p
            WHERE p.store_id = :store_id AND p.listed AND p.tags @> ARRAY[tags.tag]
            ORDER BY p.sold DESC, p.id LIMIT {_MOST_BEARERS}
        ) n
    ),
    scored AS (
        SELECT own.id, b.id AS other,
            row_number() OVER (PARTITION BY own.id ORDER BY sum(1.0 / b.among) DESC, b.id) AS place
        FROM own CROSS JOIN LATERAL unnest(own.tags) AS has (tag)
        JOIN bearers b ON b.tag = has.tag AND b.id <> own.id GROUP BY own.id, b.id
    ),
    best AS (
        SELECT own.id, coalesce(array_agg(scored.other ORDER BY scored.place)
            FILTER (WHERE scored.other IS NOT NULL), '{{}}') AS others
        FROM own LEFT JOIN scored ON scored.id = own.id AND scored.place <= {_MOST_SIMILAR} GROUP BY own.id
    )
    UPDATE products p SET similar_to = best.others FROM best
    WHERE p.store_id = :store_id AND p.id = best.id AND p.similar_to <> best.others
    """  # noqa: S608 - the numbers are ours
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))


async def relate_products(session: AsyncSession, store_id: int, product_ids: Sequence[int]) -> None:
    """Find anew what these products have in common with others.

    The others follow with their own next write, or with the next import that names them and changes anything.
    """
    await session.execute(_RELATE, {"store_id": store_id, "ids": list(product_ids)})
