"""How a store comes to be."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.stores.models import Store

DEFAULT_STORE = "default"


async def create_store(
    session: AsyncSession,
    *,
    code: str,
    name: str,
    currency: str,
    email: str = "shop@localhost",
    language: str = "en",
    country: str = "US",
    host: str | None = None,
    first_order_number: int = 1001,
) -> Store:
    """Make a store with the sequence that its order numbers come from. A taken code is an IntegrityError."""
    store = Store(
        code=code,
        name=name,
        currency=currency,
        email=email,
        language=language,
        country=country,
        host=host,
        order_prefix="#",
        tax_included=False,
        tax_shipping=False,
        cancellation_reasons=[],
        contact_subjects=[],
        settings={},
    )
    session.add(store)
    await session.flush()
    # A sequence never blocks two orders on each other; the price is a gap where a transaction fails.
    await session.execute(text(f"CREATE SEQUENCE {order_numbers(store.id)} START {int(first_order_number)}"))
    return store


async def ensure_default_store(session: AsyncSession) -> bool:
    """Make the default store where there is none at all; True where it was made. Two at once make one."""
    await session.execute(text("LOCK TABLE stores IN SHARE ROW EXCLUSIVE MODE"))
    if await session.scalar(text("SELECT EXISTS (SELECT FROM stores)")):
        return False
    await create_store(session, code=DEFAULT_STORE, name="My shop", currency="USD")
    return True


def order_numbers(store_id: int) -> str:
    """The sequence of a store's order numbers: what is drawn from it is never given again."""
    return f"order_numbers_{int(store_id)}"
