"""How a count from outside becomes the stock of many variants at once."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import ARRAY, BigInteger, DateTime, TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import TypeEngine

_TYPES: Final[Mapping[str, TypeEngine[Any]]] = {
    "store_id": BigInteger(),
    "ids": ARRAY(BigInteger()),
    "now": DateTime(timezone=True),
}


def _statement(sql: str) -> TextClause:
    return text(sql).bindparams(
        *(bindparam(name, type_=kind) for name, kind in _TYPES.items() if f":{name}" in sql)
    )


# Locked first, in key order, by a statement of its own: the next one then sees what is really there.
_LOCK: Final = _statement(
    """
    SELECT s.variant_id FROM stock_items s
    JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS w (variant_id bigint) USING (variant_id)
    WHERE s.store_id = :store_id ORDER BY s.variant_id FOR NO KEY UPDATE OF s
    """
)
# The floor leaves room for what is held: a checkout that is being paid keeps its units, whatever was counted.
_SET: Final = _statement(
    """
    WITH wanted AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb))
            AS w (variant_id bigint, tracked boolean, policy text, on_hand integer)
    ),
    merged AS (
        SELECT w.variant_id, s.variant_id IS NULL AS is_new,
            coalesce(w.tracked, s.tracked, false) AS tracked,
            coalesce(w.policy, s.policy, 'deny') AS policy,
            coalesce(w.on_hand, s.on_hand, 0) AS on_hand,
            coalesce(s.on_hand, 0) AS had, coalesce(s.reserved, 0) AS reserved,
            s.tracked AS old_tracked, s.policy AS old_policy, s.floor AS old_floor
        FROM wanted w LEFT JOIN stock_items s ON s.store_id = :store_id AND s.variant_id = w.variant_id
    ),
    next AS (
        SELECT *, CASE policy WHEN 'deny' THEN least(0, on_hand - reserved) END AS floor FROM merged
    ),
    written AS (
        INSERT INTO stock_items (store_id, variant_id, tracked, policy, on_hand, floor)
        SELECT :store_id, variant_id, tracked, policy, on_hand, floor FROM next
        WHERE is_new OR on_hand <> had
            OR (tracked, policy, floor) IS DISTINCT FROM (old_tracked, old_policy, old_floor)
        ON CONFLICT (store_id, variant_id) DO UPDATE SET tracked = excluded.tracked,
            policy = excluded.policy, on_hand = excluded.on_hand, floor = excluded.floor
        RETURNING variant_id
    ),
    moved AS (
        INSERT INTO stock_movements (store_id, variant_id, kind, delta, at)
        SELECT :store_id, variant_id, 'stocked', on_hand - had, :now
        FROM next JOIN written USING (variant_id) WHERE on_hand <> had
    )
    SELECT variant_id FROM written
    """
)
# What is held for a checkout that is being paid stays until that has ended.
_REMOVE: Final = _statement(
    """
    WITH gone AS (
        DELETE FROM stock_items WHERE store_id = :store_id AND variant_id = ANY(:ids) AND reserved = 0
        RETURNING variant_id, on_hand
    )
    INSERT INTO stock_movements (store_id, variant_id, kind, delta, at)
    SELECT :store_id, variant_id, 'stocked', -on_hand, :now FROM gone WHERE on_hand <> 0
    """
)


class StockCount(msgspec.Struct, frozen=True):
    """What is known of one variant's stock; None keeps what stands, for a new item: untracked, deny, 0."""

    variant_id: int
    tracked: bool | None = None
    policy: Literal["deny", "continue"] | None = None
    on_hand: int | None = None


async def set_stock(
    session: AsyncSession, store_id: int, counts: Sequence[StockCount], *, now: datetime
) -> set[int]:
    """Make the counts true and answer the variants whose stock changed; repeating it changes nothing.

    On hand becomes the count, by a 'stocked' movement of the difference, so that on hand stays the sum
    of movements. What is reserved stays reserved. A deny variant counted below what is held gets that
    negative as its floor: nothing more is sold until it is restocked. Locks stock rows in variant order.
    """
    if not counts:
        return set()
    rows = {"rows": msgspec.json.encode(counts).decode(), "store_id": store_id}
    await session.execute(_LOCK, rows)
    return set((await session.scalars(_SET, {**rows, "now": now})).all())


async def remove_stock(
    session: AsyncSession, store_id: int, variant_ids: Sequence[int], *, now: datetime
) -> None:
    """End the stock of variants that are no more; what is held for a payment is left to end by itself."""
    ordered = sorted(variant_ids)
    await session.execute(_LOCK, {"store_id": store_id, "rows": _encode_ids(ordered)})
    await session.execute(_REMOVE, {"store_id": store_id, "ids": ordered, "now": now})


def _encode_ids(variant_ids: Sequence[int]) -> str:
    return msgspec.json.encode([{"variant_id": variant_id} for variant_id in variant_ids]).decode()
