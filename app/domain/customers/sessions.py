"""What a login session is and how long it lives; where sessions are kept is the store's matter."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec

# A session's life is prolonged by a write only when this much has passed since the last one, so that a
# busy shopper costs one write in ten minutes. It may therefore end that much early, never late.
RENEW_SECONDS: Final = 600
RENEW_SHARE: Final = 10
MOST_PER_CUSTOMER: Final = 50
MOST_DEVICE_LETTERS: Final = 200


class SessionLimits(msgspec.Struct, frozen=True):
    """Seconds: how long a session may lie idle, and how long it may live however busy it is."""

    idle: int = 86_400
    idle_remembered: int = 2_592_000
    whole: int = 604_800
    whole_remembered: int = 31_536_000


class Session(msgspec.Struct, frozen=True):
    """Who is logged in, and nothing else: carts, checkouts and settings live in the database.

    `id` names the session to its owner; it is the digest of the secret, and does not open anything.
    """

    id: str
    store_id: int
    customer_id: int
    created_at: datetime
    last_seen_at: datetime
    ends_at: datetime
    remember: bool
    device: str


class NewSession(msgspec.Struct, frozen=True):
    """A session with its secret, which is known in this moment only: the store keeps a digest."""

    token: str
    session: Session


class SessionStore(Protocol):
    """Where sessions are kept. Every call raises Unavailable while that place is away.

    An id that this store did not issue is never taken up. All changes are atomic: a
    renewal never brings an ended session back.
    """

    async def start(
        self,
        store_id: int,
        customer_id: int,
        *,
        remember: bool,
        device: str,
        now: datetime,
        replaces: str | None = None,
    ) -> NewSession:
        """Log in under a new secret; `replaces` is the caller's former one and ends."""
        ...

    async def find(self, store_id: int, token: str, *, now: datetime) -> Session | None:
        """The live session of this secret; its idle life begins anew."""
        ...

    async def end(self, store_id: int, token: str) -> bool:
        """Log out. Repeating it does nothing."""
        ...

    async def end_one(self, store_id: int, customer_id: int, session_id: str) -> bool:
        """End a session of this customer by its public id; False where it is not theirs or not there."""
        ...

    async def end_all_but(self, store_id: int, customer_id: int, keep: str | None) -> int:
        """End every session of the customer but the one with this id; how many ended."""
        ...

    async def list_sessions(self, store_id: int, customer_id: int, *, now: datetime) -> Sequence[Session]:
        """The customer's live sessions, the last seen first."""
        ...


def idle_seconds(limits: SessionLimits, *, remember: bool) -> int:
    return limits.idle_remembered if remember else limits.idle


def end_of_life(limits: SessionLimits, *, remember: bool, created_at: datetime) -> datetime:
    return created_at + timedelta(seconds=limits.whole_remembered if remember else limits.whole)


def life_left(session: Session, limits: SessionLimits, now: datetime) -> timedelta:
    """Until the session lies idle too long or reaches its end; zero or less where it is over.

    Counted under the limits of today, so that shortening them also ends sessions made before.
    """
    idle = timedelta(seconds=idle_seconds(limits, remember=session.remember))
    end = end_of_life(limits, remember=session.remember, created_at=session.created_at)
    return min(session.last_seen_at + idle, session.ends_at, end) - now


def needs_renewal(session: Session, limits: SessionLimits, now: datetime) -> bool:
    idle = idle_seconds(limits, remember=session.remember)
    return (now - session.last_seen_at).total_seconds() >= min(RENEW_SECONDS, idle / RENEW_SHARE)
