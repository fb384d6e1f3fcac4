"""How a handler's transaction is committed, and when the handler is run again: the only place that commits for it.

The loop stands around the handler's own function. Body, guards, rate limit, who asks and the time are read
once before it; the answer is rendered and sent after it. So a handler that runs again sees the same call,
and nothing has been sent before the COMMIT is certain.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final, TypeVar

from litestar import Litestar
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.asked import asked
from app.api.openapi import KEYED
from app.api.request import ShopRequest
from app.db.retries import run_in
from app.db.session import end_session

T = TypeVar("T")

# Idempotent by RFC 9110, section 9.2.2: a second run leaves things as the first one did.
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_COMMITS: Final = "commits_its_session"
_DONE: Final = "done_once"
REPEATABLE: Final = "repeatable"  # the name in the session's info


def is_repeatable(request: ShopRequest) -> bool:
    """Whether a call may run again after a COMMIT whose answer was lost.

    A keyed call begins with the record of its key, which was written in the same transaction as the effect:
    where the first run took effect, the second one finds the record (waiting while that is on its way) and
    answers the replay.
    """
    keyed = KEYED in request.route_handler.opt and asked(request.scope).idempotency_key is not None
    return request.method in _IDEMPOTENT or keyed


def transactional(handler: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    """Run a handler that takes `session` in one transaction, committed at its end, with its tries.

    The session is closed whatever happens; it has held nothing before the handler's first statement.
    """

    @wraps(handler)
    async def run(*args: Any, **kwargs: Any) -> T:
        session: AsyncSession = kwargs["session"]
        try:
            return await run_in(
                session, lambda _: handler(*args, **kwargs), repeatable=session.info[REPEATABLE]
            )
        finally:
            await end_session(session)

    setattr(run, _COMMITS, True)
    return run


async def once(request: ShopRequest, name: str, make: Callable[[], Awaitable[T]]) -> T:
    """What a handler must not do a second time where its transaction is tried again; `name` tells it apart."""
    done: dict[str, Any] = request.scope["state"].setdefault(_DONE, {})
    if name not in done:
        done[name] = await make()
    found: T = done[name]
    return found


def refuse_uncommitted(app: Litestar) -> None:
    """Raise TypeError where a handler takes a session that nobody commits."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if "session" in handler.parsed_fn_signature.parameters and not _commits(handler.fn):
                raise TypeError(f"{handler}: takes a session and is not @transactional")


def _commits(function: Any) -> bool:
    return bool(getattr(getattr(function, "func", function), _COMMITS, False))
