"""How stock moves: held, sold, given back, each by one conditional statement that locks in variant order."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.statements import Statement
from app.domain.inventory.errors import out_of_stock

# Rows are locked in primary-key order by the CTE before any is changed, so that two checkouts with the
# same variants in another order wait for each other and never deadlock. The UPDATE looks at the newest
# version of each row: its WHERE, not an earlier read, says whether there is enough.
_RESERVE: Final = Statement(
    """
    WITH wanted AS (SELECT * FROM unnest(CAST(:variants AS bigint[]), CAST(:quantities AS integer[])) AS w (variant_id, quantity)),
    locked AS (
        SELECT s.variant_id, w.quantity FROM stock_items s JOIN wanted w USING (variant_id)
        WHERE s.store_id = :store_id AND s.tracked
        ORDER BY s.variant_id FOR NO KEY UPDATE OF s
    ),
    taken AS (
        UPDATE stock_items s SET reserved = s.reserved + locked.quantity
        FROM locked
        WHERE s.store_id = :store_id AND s.variant_id = locked.variant_id
          AND (s.floor IS NULL OR s.on_hand - s.reserved - locked.quantity >= s.floor)
        RETURNING s.variant_id
    ),
    held AS (
        INSERT INTO reservations (store_id, checkout_id, variant_id, quantity, state, expires_at)
        SELECT :store_id, :checkout_id, w.variant_id, w.quantity, 'held', CAST(:expires_at AS timestamptz)
        FROM wanted w JOIN taken USING (variant_id)
        ON CONFLICT (store_id, checkout_id, variant_id) DO UPDATE
            SET quantity = EXCLUDED.quantity, state = 'held', expires_at = EXCLUDED.expires_at
            WHERE reservations.state = 'released'
        RETURNING variant_id
    )
    SELECT
        (SELECT count(*) FROM locked) AS asked,
        (SELECT count(*) FROM held) AS held,
        ARRAY(SELECT variant_id FROM locked EXCEPT SELECT variant_id FROM held) AS missing
    """
)

_SELL: Final = Statement(
    """
    WITH locked AS (
        SELECT s.variant_id FROM stock_items s
        JOIN reservations r ON r.store_id = s.store_id AND r.variant_id = s.variant_id
        WHERE s.store_id = :store_id AND r.checkout_id = :checkout_id AND r.state = 'held'
        ORDER BY s.variant_id FOR NO KEY UPDATE OF s
    ),
    sold AS (
        UPDATE reservations r SET state = 'sold'
        FROM locked
        WHERE r.store_id = :store_id AND r.checkout_id = :checkout_id AND r.state = 'held'
          AND r.variant_id = locked.variant_id
        RETURNING r.variant_id, r.quantity
    ),
    moved AS (
        UPDATE stock_items s SET reserved = s.reserved - sold.quantity, on_hand = s.on_hand - sold.quantity
        FROM sold WHERE s.store_id = :store_id AND s.variant_id = sold.variant_id
        RETURNING s.variant_id
    )
    INSERT INTO stock_movements (store_id, variant_id, kind, delta, order_id, at)
    SELECT :store_id, sold.variant_id, 'sold', -sold.quantity, CAST(:order_id AS bigint), CAST(:now AS timestamptz)
    FROM sold JOIN moved USING (variant_id)
    """
)

_RELEASE: Final = Statement(
    """
    WITH locked AS (
        SELECT s.variant_id FROM stock_items s
        JOIN reservations r ON r.store_id = s.store_id AND r.variant_id = s.variant_id
        WHERE s.store_id = :store_id AND r.checkout_id = :checkout_id AND r.state = 'held'
        ORDER BY s.variant_id FOR NO KEY UPDATE OF s
    ),
    released AS (
        UPDATE reservations r SET state = 'released'
        FROM locked
        WHERE r.store_id = :store_id AND r.checkout_id = :checkout_id AND r.state = 'held'
          AND r.variant_id = locked.variant_id
        RETURNING r.variant_id, r.quantity
    )
    UPDATE stock_items s
    SET reserved = s.reserved - released.quantity,
        -- A recount below what was held lent the held units a floor; what comes back takes it up again.
        floor = CASE
            WHEN s.floor < 0 THEN least(0, greatest(s.floor, s.on_hand - s.reserved + released.quantity))
            ELSE s.floor
        END
    FROM released WHERE s.store_id = :store_id AND s.variant_id = released.variant_id
    """
)


def sold(*, once: str) -> str:
    """How stock is sold without a hold before, as a part of any statement.

    `once` names what has a row where it is to be sold. All of the demand is sold or none: where there is too little of
    something, it is in `short`, and `sellable` has no row. Its values are those of `sold_values`.
    """
    return f"""
    wanted AS (SELECT * FROM unnest(CAST(:variants AS bigint[]), CAST(:quantities AS integer[])) AS w (variant_id, quantity)),
    in_stock AS (
        SELECT s.variant_id, w.quantity, s.floor IS NULL OR s.on_hand - s.reserved - w.quantity >= s.floor AS enough
        FROM {once}, stock_items s JOIN wanted w USING (variant_id)
        WHERE s.store_id = :store_id AND s.tracked
        ORDER BY s.variant_id FOR NO KEY UPDATE OF s
    ),
    short AS (SELECT variant_id FROM in_stock WHERE NOT enough),
    sellable AS MATERIALIZED (SELECT FROM {once} WHERE NOT EXISTS (SELECT FROM short)),
    sold AS (
        UPDATE stock_items s SET on_hand = s.on_hand - i.quantity
        FROM in_stock i, sellable
        WHERE s.store_id = :store_id AND s.variant_id = i.variant_id
        RETURNING s.variant_id, i.quantity
    ),
    moved AS (
        INSERT INTO stock_movements (store_id, variant_id, kind, delta, order_id, at)
        SELECT :store_id, variant_id, 'sold', -quantity, CAST(:order_id AS bigint), CAST(:now AS timestamptz)
        FROM sold
    )
    """  # noqa: S608 - names of our own


def sold_values(demand: Mapping[int, int]) -> dict[str, Any]:
    """The values of `sold` beside store, order and time, for {variant id: units}."""
    return {"variants": list(demand), "quantities": list(demand.values())}


async def reserve_stock(
    session: AsyncSession,
    store_id: int,
    *,
    checkout_id: int,
    demand: Mapping[int, int],
    expires_at: datetime,
) -> None:
    """Hold units for a checkout: all of the demand, {variant id: units}, or none.

    Demand is already summed per variant. Untracked variants need no hold. Locks stock rows in variant
    order. Raises Conflict out_of_stock with `items`; the caller's rollback then undoes what was taken.
    """
    result = await _RESERVE.one(
        session,
        store_id=store_id,
        checkout_id=checkout_id,
        variants=list(demand),
        quantities=list(demand.values()),
        expires_at=expires_at,
    )
    if result["missing"]:
        raise out_of_stock(result["missing"])


async def sell_reserved(
    session: AsyncSession, store_id: int, *, checkout_id: int, order_id: int, now: datetime
) -> None:
    """Turn what a checkout holds into a sale. Repeating it does nothing."""
    await _SELL.rows(session, store_id=store_id, checkout_id=checkout_id, order_id=order_id, now=now)


async def release_stock(session: AsyncSession, store_id: int, *, checkout_id: int) -> None:
    """Give back what a checkout holds, once: a second call finds nothing held."""
    await _RELEASE.rows(session, store_id=store_id, checkout_id=checkout_id)


_RETURN: Final = Statement(
    """
    WITH wanted AS (
        SELECT * FROM unnest(CAST(:variants AS bigint[]), CAST(:quantities AS integer[]), CAST(:most AS integer[]))
            AS w (variant_id, quantity, most)
    ),
    taken AS (
        SELECT m.variant_id, -sum(m.delta) AS quantity, coalesce(sum(m.delta) FILTER (WHERE m.kind = 'returned'), 0) AS back
        FROM stock_movements m
        WHERE m.store_id = :store_id AND m.order_id = :order_id AND m.kind IN ('sold', 'returned')
        GROUP BY m.variant_id
    ),
    due AS (
        -- Where nothing is named, least() of NULL and the rest is the rest.
        SELECT t.variant_id, least(w.quantity, w.most - t.back, t.quantity) AS quantity
        FROM taken t LEFT JOIN wanted w USING (variant_id)
        WHERE (w.variant_id IS NOT NULL OR CAST(:variants AS bigint[]) IS NULL)
          AND least(w.quantity, w.most - t.back, t.quantity) > 0
    ),
    locked AS (
        SELECT s.variant_id, due.quantity FROM stock_items s JOIN due USING (variant_id)
        WHERE s.store_id = :store_id
        ORDER BY s.variant_id FOR NO KEY UPDATE OF s
    ),
    moved AS (
        UPDATE stock_items s
        SET on_hand = s.on_hand + locked.quantity,
            floor = CASE
                WHEN s.floor < 0 THEN least(0, greatest(s.floor, s.on_hand + locked.quantity - s.reserved))
                ELSE s.floor
            END
        FROM locked WHERE s.store_id = :store_id AND s.variant_id = locked.variant_id
        RETURNING s.variant_id, locked.quantity
    )
    INSERT INTO stock_movements (store_id, variant_id, kind, delta, order_id, at)
    SELECT :store_id, variant_id, 'returned', quantity, :order_id, :now FROM moved
    RETURNING delta
    """
)


class Returned(NamedTuple):
    """Units that come back, and how many of an order may have done so then, those that did before among them."""

    units: int
    most: int


async def return_stock(
    session: AsyncSession,
    store_id: int,
    *,
    order_id: int,
    units: Mapping[int, Returned] | None = None,
    now: datetime,
) -> int:
    """Put back what an order took, once, or of it these, by variant; how many units came back.

    The order's own movements say what it took, and what came back before. The caller holds the order's lock. Locks
    stock rows in variant order.
    """
    moved = await _RETURN.rows(
        session,
        store_id=store_id,
        order_id=order_id,
        variants=None if units is None else list(units),
        quantities=None if units is None else [one.units for one in units.values()],
        most=None if units is None else [one.most for one in units.values()],
        now=now,
    )
    return sum(row["delta"] for row in moved)
