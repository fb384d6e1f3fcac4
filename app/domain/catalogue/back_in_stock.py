"""Who is told that a variant can be bought again: asked once, told once, then forgotten."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import BigInteger, bindparam, delete, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.db.retries import run_transaction
from app.db.session import Sessions
from app.domain.catalogue.errors import variant_not_found
from app.domain.catalogue.models import StockWish

RETURNED: Final = "catalogue.returned"
MAIL: Final = "catalogue.mail_returned"
WISH_LIFE: Final = timedelta(days=365)
# How many wishes one transaction looks through.
BATCH: Final = 500

# The shared lock makes a write that is about to bring stock back wait for the wish, and then find it.
_ON_SALE: Final = text(
    """
    WITH held AS (
        SELECT s.variant_id FROM stock_items s
        WHERE s.store_id = :store_id AND s.variant_id = ANY(:ids) AND NOT s.available
        ORDER BY s.variant_id FOR SHARE
    )
    SELECT v.id FROM variants v LEFT JOIN held ON held.variant_id = v.id
    WHERE v.store_id = :store_id AND v.id = ANY(:ids) AND v.listed
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))
_WISH: Final = text(
    """
    INSERT INTO stock_wishes (store_id, variant_id, email, email_key, language, created_at)
    SELECT :store_id, wanted.id, :email, :email_key, :language, :now
    FROM unnest(:ids) AS wanted (id) ORDER BY wanted.id
    ON CONFLICT (store_id, variant_id, email_key) DO NOTHING
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))

_DUE: Final = text(
    """
    SELECT id FROM stock_wishes WHERE store_id = :store_id AND state = 'due'
    ORDER BY email_key, id LIMIT :most FOR UPDATE
    """
)
# A statement of its own: it sees the stock as it is once the wishes are locked.
_SETTLE: Final = text(
    """
    UPDATE stock_wishes w
    SET state = CASE WHEN v.listed AND coalesce(s.available, true) THEN 'mailing' ELSE 'waiting' END
    FROM variants v LEFT JOIN stock_items s ON s.store_id = v.store_id AND s.variant_id = v.id
    WHERE w.id = ANY(:ids) AND v.store_id = w.store_id AND v.id = w.variant_id
    RETURNING w.id, w.email_key, w.state
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))
_TOLD: Final = text(
    """
    SELECT w.id, w.email, w.language, v.id AS variant_id, v.full_title AS title, p.handle
    FROM stock_wishes w
    JOIN variants v ON v.store_id = w.store_id AND v.id = w.variant_id
    JOIN products p ON p.store_id = v.store_id AND p.id = v.product_id
    WHERE w.store_id = :store_id AND w.id = ANY(:ids) AND w.state = 'mailing' ORDER BY w.id
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))


class Told(msgspec.Struct, frozen=True):
    """A wish that has come true, and what the mail says of it."""

    id: int
    email: str
    language: str | None
    variant_id: int
    title: str
    handle: str


async def wish_for(
    session: AsyncSession,
    store_id: int,
    variant_ids: Sequence[int],
    *,
    email: str,
    email_key: str,
    language: str | None,
    now: datetime,
) -> list[int]:
    """Keep that an address wants to know when these variants are back; answers those that are on sale.

    The mail comes with the next return, once; asking again meanwhile changes nothing, and is answered as the
    first time. Locks the stock of what is sold out, in variant order. Raises NotFound where none is on sale.
    """
    ids = sorted(set(variant_ids))
    found = set(await session.scalars(_ON_SALE, {"store_id": store_id, "ids": ids}))
    wanted = [variant_id for variant_id in dict.fromkeys(variant_ids) if variant_id in found]
    if not wanted:
        raise variant_not_found()
    values = {"store_id": store_id, "ids": wanted, "now": now}
    await session.execute(_WISH, {**values, "email": email, "email_key": email_key, "language": language})
    return wanted


async def settle_wishes(session: AsyncSession, store_id: int, *, now: datetime) -> bool:
    """Queue a mail to each address whose wish has come true; a wish that has not after all waits on.

    Answers whether there may be more. Locks due wishes; the caller repeats it in transactions of their own.
    """
    ids = list(await session.scalars(_DUE, {"store_id": store_id, "most": BATCH}))
    if not ids:
        return False
    by_address: dict[str, list[int]] = {}
    for wish in (await session.execute(_SETTLE, {"ids": ids})).all():
        if wish.state == "mailing":
            by_address.setdefault(wish.email_key, []).append(wish.id)
    for wishes in by_address.values():
        # A wish is told of once, so that its id never comes twice.
        await queue.enqueue(
            session,
            store_id=store_id,
            kind=MAIL,
            dedupe_key=str(min(wishes)),
            payload={"wish_ids": sorted(wishes)},
            run_at=now,
        )
    return len(ids) == BATCH


async def list_told(session: AsyncSession, store_id: int, wish_ids: Sequence[int]) -> list[Told]:
    """What there is to tell of these wishes; none of those that were told already."""
    found = await session.execute(_TOLD, {"store_id": store_id, "ids": list(wish_ids)})
    return [Told(**row) for row in found.mappings()]


async def forget_wishes(session: AsyncSession, store_id: int, wish_ids: Collection[int]) -> None:
    """Whoever was told is forgotten."""
    await session.execute(delete(StockWish).where(StockWish.store_id == store_id, StockWish.id.in_(wish_ids)))


async def forget_wisher(session: AsyncSession, store_id: int, *, email_key: str) -> None:
    """An address that wants to be forgotten waits for nothing any more."""
    await session.execute(
        delete(StockWish).where(StockWish.store_id == store_id, StockWish.email_key == email_key)
    )


async def forget_old_wishes(sessions: Sessions, *, now: datetime) -> None:
    """Delete what was asked for a year ago: nobody waits that long, and the address is somebody's."""
    query = text(
        "DELETE FROM stock_wishes WHERE id IN (SELECT id FROM stock_wishes WHERE created_at < :before"
        " ORDER BY created_at LIMIT 500 FOR UPDATE SKIP LOCKED)"
    )

    async def forget(session: AsyncSession) -> None:
        await session.execute(query, {"before": now - WISH_LIFE})

    await run_transaction(sessions, forget, repeatable=True)
