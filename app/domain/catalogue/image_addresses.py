"""How pictures follow a host that moved: addresses that begin alike get another beginning."""

from datetime import datetime
from typing import Final

from sqlalchemy import DateTime, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.catalogue.refreshing import refresh_products

_MOVE: Final = text(
    """
    UPDATE product_images SET src = :new || substr(src, length(:old) + 1), updated_at = :now
    WHERE store_id = :store_id AND starts_with(src, :old) RETURNING product_id
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))


async def move_images(session: AsyncSession, store_id: int, *, old: str, new: str, now: datetime) -> int:
    """Give addresses that begin with `old` the beginning `new`; answers how many products have one."""
    values = {"store_id": store_id, "old": old, "new": new, "now": now}
    product_ids = set(await session.scalars(_MOVE, values))
    await refresh_products(session, store_id, sorted(product_ids))
    return len(product_ids)
