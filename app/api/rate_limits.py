"""How often one address may make which kind of call, and what an answer says about it.

A route names its class by `opt={LIMIT: "lookup"}`; routes without one are not counted. The guard runs before
anything is looked up or read from the body. Where people type a lot and mistype, `AFTER_FORM: True` leaves the
counting to the handler, which calls `count_call` once the form is in order and before anything is looked up.
Header names are those of the IETF's RateLimit draft, version 6.
"""

import math
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final, cast

import structlog
from litestar import Litestar, Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from app.api.client import Network, client_address, network_of, was_forwarded
from app.api.errors import HttpError
from app.api.middleware import ANSWER_HEADERS
from app.kit.errors import Unavailable, declare
from app.kit.rates import LocalRateCounter, RateCounter, Verdict, in_words
from app.settings import LIMITS, Limit

log = structlog.get_logger("storefront.limits")

# The key of a handler's `opt` that names its class.
LIMIT: Final = "limit"

# The key of a handler's `opt` that says that it counts by itself.
AFTER_FORM: Final = "limit_after_form"
STATE_KEY: Final = "rates"
_COUNTED: Final = "counted_call"
_GUARDED: Final = "counted_by_guard"

# What an answer says of its limit, errors included.
RATE_HEADERS: Final = {
    "RateLimit-Limit": "How many calls of this kind an address has in one window, or an account that was refused.",
    "RateLimit-Remaining": "How many of them are left.",
    "RateLimit-Reset": "Seconds until one of the counted calls leaves the window.",
}

# Guessing passwords must not get easier while Redis is away, so these calls wait for it; all others are then
# counted by each process for itself.
NEVER_UNCOUNTED: Final = frozenset({"login"})

RATE_LIMITED: Final = declare(
    HttpError,
    "rate_limited",
    "429: too many calls of this kind from one address; repeat after `Retry-After` seconds.",
)


class RateLimits:
    """The limits of an application; `guard` belongs among its guards."""

    def __init__(
        self,
        limits: Iterable[Limit],
        *,
        trusted: Sequence[Network],
        counter: RateCounter,
        local: RateCounter | None = None,
    ) -> None:
        self._limits = {limit.name: limit for limit in limits}
        self._trusted = trusted
        self._counter = counter
        self._local = local or LocalRateCounter()
        self._warned = False

    async def guard(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Count a call by its route's class, but for routes that do so themselves. Raises as `count`.

        Once, also where a call that went the short way to its handler turns out to need the long one.
        """
        name = handler.opt.get(LIMIT)
        state = connection.scope["state"]
        if name is not None and AFTER_FORM not in handler.opt and not state.get(_GUARDED):
            state[_GUARDED] = True
            await self.count(connection, name)

    async def count(self, connection: ASGIConnection[Any, Any, Any, Any], name: str) -> None:
        """Raise HttpError rate_limited, or Unavailable where a call must not pass uncounted."""
        limit, scope = self._limits[name], cast("dict[str, Any]", connection.scope)
        subject = network_of(client_address(scope, self._trusted))
        verdict = await self._take(limit, subject)
        if verdict.allowed:
            told = _headers(limit, verdict).items()
            scope[ANSWER_HEADERS].extend((name.lower().encode(), value.encode()) for name, value in told)
            return
        if not self._trusted and was_forwarded(scope) and not self._warned:
            self._warned = True
            log.warning(
                "a proxy that STOREFRONT_TRUSTED_PROXIES does not name makes its callers share a limit"
            )
        raise refusal(limit, verdict, f"Too many calls of this kind; try again {in_words(verdict.reset)}.")

    async def _take(self, limit: Limit, subject: str) -> Verdict:
        key = f"{limit.name}:{subject}"
        try:
            return await self._counter.take(key, calls=limit.calls, seconds=limit.seconds)
        except Unavailable:
            if limit.name in NEVER_UNCOUNTED:
                raise
            return await self._local.take(key, calls=limit.calls, seconds=limit.seconds)


async def count_call(request: Request[Any, Any, Any], name: str | None = None) -> None:
    """Count a call whose route has AFTER_FORM; once, however often its handler runs. Raises as RateLimits.count.

    `name` is the class of a call that counts as another one than its route's.
    """
    rates: RateLimits | None = request.app.state.get(STATE_KEY)
    state = request.scope["state"]
    if rates is not None and not state.get(_COUNTED):
        state[_COUNTED] = True
        await rates.count(request, name or request.route_handler.opt[LIMIT])


def refuse_unknown_limits(app: Litestar) -> None:
    """Raise TypeError where a route names a class that there is not: it would not be limited at all."""
    known = {limit.name for limit in LIMITS}
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if handler.opt.get(LIMIT, LIMITS[0].name) not in known:
                raise TypeError(f"{handler}: there is no rate limit {handler.opt[LIMIT]!r}")


def refusal(limit: Limit, verdict: Verdict, message: str) -> HttpError:
    """What refuses a call, with the headers of the limit that it has met, whatever an earlier one allowed."""
    refused = HttpError(HTTPStatus.TOO_MANY_REQUESTS, RATE_LIMITED, message)
    refused.headers = {"Retry-After": str(_whole(verdict.reset)), **_headers(limit, verdict)}
    return refused


def _headers(limit: Limit, verdict: Verdict) -> dict[str, str]:
    values = (limit.calls, verdict.remaining, _whole(verdict.reset))
    return {name: str(value) for name, value in zip(RATE_HEADERS, values, strict=True)}


def _whole(seconds: float) -> int:
    """Rounded up: whoever waits that long is not refused again."""
    return max(1, math.ceil(seconds))
