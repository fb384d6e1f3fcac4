"""Which failures of a transaction are tried again, and what is said where nobody knows whether it took effect.

Three kinds of failure pass by themselves: a serialization failure, a deadlock, and a connection that was lost
before COMMIT was sent. Nothing of the transaction is left then, so all of it is run anew, at most MOST_TRIES
times in all. A connection that is lost while COMMIT is on its way leaves both open. Running again is right then
only where the second run finds what the first one did and makes nothing twice: `repeatable` says so.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from app.db.session import Sessions, end_session
from app.db.shop_session import shop_session
from app.kit.errors import UNAVAILABLE, Unavailable, declare

T = TypeVar("T")

MOST_TRIES: Final = 3
PAUSE_SECONDS: Final = 0.05  # before the second try, on average; twice that before the third

# SQLSTATE (PostgreSQL, appendix A): serialization_failure, deadlock_detected.
_COLLISIONS: Final = frozenset({"40001", "40P01"})
# connection_exception; admin_shutdown, crash_shutdown and cannot_connect_now: the server hangs up with them.
_HANGING_UP: Final = ("08", "57P")

OUTCOME_UNKNOWN: Final = declare(
    Unavailable,
    "outcome_unknown",
    "The answer of the database was lost: the call may have taken effect or not. Look before you repeat it; "
    "under an Idempotency-Key it can be repeated at once.",
)


class LostBeforeCommitError(Unavailable):
    """The connection was gone before COMMIT was sent: nothing took effect."""

    def __init__(self) -> None:
        super().__init__(UNAVAILABLE, "The shop cannot answer this right now; please repeat in a moment.")


class OutcomeUnknownError(Unavailable):
    """COMMIT was sent and its answer never came."""

    def __init__(self) -> None:
        super().__init__(OUTCOME_UNKNOWN, "It is not known whether this took effect.")


class OvertakenError(Exception):
    """A row that was read without its lock is another by now: nothing took effect, and the next try locks it."""


async def run_transaction(
    sessions: Sessions, work: Callable[[AsyncSession], Awaitable[T]], *, repeatable: bool
) -> T:
    """Do the work in a transaction of its own and commit it, with as many tries as it may take.

    `repeatable`: after a COMMIT whose answer was lost a second run finds what the first did. Without it
    that is Unavailable outcome_unknown.
    """
    session = sessions()
    try:
        return await run_in(session, work, repeatable=repeatable)
    finally:
        await end_session(session)


async def run_in(
    session: AsyncSession, work: Callable[[AsyncSession], Awaitable[T]], *, repeatable: bool
) -> T:
    """As run_transaction, in a session that somebody else closes; it is emptied between two tries."""
    tries = 0
    while True:
        try:
            result = await work(session)
            await commit(session)
        except OvertakenError:
            await session.close()
            ours = shop_session(session)
            if ours.was_overtaken:
                raise  # whoever locks is overtaken by nobody
            ours.was_overtaken = True
            continue
        except Exception as problem:
            tries += 1
            await _let_go(session, problem)
            unknown = isinstance(problem, OutcomeUnknownError)
            passes = _is_lost(problem) or _state(problem) in _COLLISIONS
            if tries == MOST_TRIES or not (repeatable if unknown else passes):
                raise
        else:
            return result
        await asyncio.sleep(_pause(tries))


async def _let_go(session: AsyncSession, problem: Exception) -> None:
    # A ROLLBACK on a connection that is gone would be a second failure, in the place of the first.
    if _is_lost(problem):
        await session.invalidate()
    else:
        await session.close()


async def commit(session: AsyncSession) -> None:
    """Commit, telling a transaction that is certainly gone from one whose outcome nobody knows."""
    if not session.in_transaction():
        return
    ours = shop_session(session)
    ours.refuse_unwritten()
    if not ours.has_sent_all():
        await session.run_sync(_commit)
        ours.put_back()
        return
    if ours.has_begun() and ours.is_lost():
        raise LostBeforeCommitError
    with telling_if_lost():
        await ours.commit_at_driver()


def _commit(session: Session) -> None:
    """All of it in one go, since each way into SQLAlchemy's part and out of it costs."""
    session.flush()
    connection = session.connection().connection.driver_connection
    if connection is None or connection.is_closed():
        raise LostBeforeCommitError
    with telling_if_lost():
        session.commit()


@contextmanager
def telling_if_lost() -> Iterator[None]:
    """Say of a COMMIT, or of a statement that is a transaction by itself, that nobody knows what it did where its
    answer was lost.
    """
    try:
        yield
    except (DBAPIError, ConnectionError) as problem:
        if isinstance(problem, ConnectionError) or _is_lost(problem):
            raise OutcomeUnknownError from problem
        raise


def _state(problem: BaseException) -> str:
    cause = problem.orig if isinstance(problem, DBAPIError) and problem.orig else problem
    return str(getattr(cause, "sqlstate", None) or "")


def _is_lost(problem: BaseException) -> bool:
    if isinstance(problem, (LostBeforeCommitError, OutcomeUnknownError)):
        return True
    if not isinstance(problem, DBAPIError):
        return False
    return problem.connection_invalidated or _state(problem).startswith(_HANGING_UP)


def _pause(tries: int) -> float:
    """With jitter, so that two that collided do not meet again."""
    return PAUSE_SECONDS * tries * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, guards nothing
