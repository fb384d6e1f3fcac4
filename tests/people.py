"""How tests make customers of a store and log them in, without the calls that do so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from app.db.session import Sessions, transaction
from app.domain.customers.models import Customer
from app.domain.customers.sessions import SessionLimits
from app.domain.stores.models import Store
from app.integrations.redis import RedisGateway
from app.integrations.redis_sessions import RedisSessions
from app.kit.clock import utc_now
from tests.shop import Guest


@dataclass
class Member(Guest):
    """A shopper who is logged in by bearer."""

    customer_id: int = 0


async def make_customer(sessions: Sessions, store: Store, *, email: str = "", **columns: object) -> int:
    """A customer of a store; the id."""
    email = email or f"{uuid4().hex[:12]}@example.com"
    values = {"username": "Ada Berg", "firstname": "Ada", "lastname": "Berg", **columns}
    async with transaction(sessions) as session:
        made = Customer(
            store_id=store.id,
            email=email,
            email_key=email.casefold(),
            invite_token=uuid4().hex,
            updated_at=utc_now(),
            **values,
        )
        session.add(made)
        await session.flush()
        return made.id


@asynccontextmanager
async def session_store(redis_url: str) -> AsyncIterator[RedisSessions]:
    redis = RedisGateway(redis_url, wait_seconds=5)  # how long a shop waits is tested elsewhere
    try:
        yield RedisSessions(redis, SessionLimits())
    finally:
        await redis.close()


async def log_in(redis_url: str, store: Store, customer_id: int) -> str:
    """The auth_key of a new session."""
    async with session_store(redis_url) as kept:
        made = await kept.start(store.id, customer_id, remember=True, device="tests", now=utc_now())
    return made.token


async def join(guest: Guest, sessions: Sessions, redis_url: str, **columns: object) -> Member:
    """A new customer of the guest's store, logged in, with the guest's client."""
    customer_id = await make_customer(sessions, guest.store, **columns)  # type: ignore[arg-type]  # columns by name
    token = await log_in(redis_url, guest.store, customer_id)
    return Member(
        guest.client,
        guest.store,
        guest.option_id,
        headers={"Authorization": f"Bearer {token}"},
        customer_id=customer_id,
    )
