"""What a store has already, for those who set it up."""

from collections.abc import Collection as Several
from collections.abc import Sequence

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.catalogue.models import Category, Collection, Product


async def has_products(session: AsyncSession, store_id: int) -> bool:
    """Whether the store has any product, on sale or not."""
    return bool(await session.scalar(select(exists().where(Product.store_id == store_id))))


async def find_product_ids(session: AsyncSession, store_id: int, handles: Several[str]) -> dict[str, int]:
    """The ids of those handles that the store knows."""
    if not handles:
        return {}
    found = await session.execute(
        select(Product.handle, Product.id).where(Product.store_id == store_id, Product.handle.in_(handles))
    )
    return dict(found.all())


async def find_handles(
    session: AsyncSession, table: type[Category | Collection], store_id: int, handles: Several[str]
) -> set[str]:
    """Which of those handles the store's categories, or collections, have."""
    found = await session.scalars(
        select(table.handle).where(table.store_id == store_id, table.handle.in_(handles))
    )
    return set(found)


async def count_products(session: AsyncSession, store_id: int) -> int:
    """How many products the store has, on sale or not."""
    query = select(func.count()).select_from(Product).where(Product.store_id == store_id)
    return await session.scalar(query) or 0


async def list_product_ids(session: AsyncSession, store_id: int, *, after: int, most: int) -> Sequence[int]:
    """The next ids of products, in their order."""
    query = (
        select(Product.id)
        .where(Product.store_id == store_id, Product.id > after)
        .order_by(Product.id)
        .limit(most)
    )
    return (await session.scalars(query)).all()
