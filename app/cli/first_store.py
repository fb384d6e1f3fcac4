"""What an empty database is given beside its schema: one store, to be set up with `storefront apply`."""

import asyncio

from app.db.session import create_engine, create_sessions, transaction
from app.domain.stores.service import ensure_default_store


def make_first_store(database_url: str) -> bool:
    """Make the default store where there is none; True where it was made."""
    return asyncio.run(_make(database_url))


async def _make(database_url: str) -> bool:
    engine = create_engine(database_url, pool_size=1, application_name="storefront migrate")
    try:
        async with transaction(create_sessions(engine)) as session:
            return await ensure_default_store(session)
    finally:
        await engine.dispose()
