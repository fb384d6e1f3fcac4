"""Who is asking, by bearer or by cookie, and whether a call that rests on a cookie may be believed.

Nothing is looked up before a handler asks: a catalogue read or a guest's cart pays nothing for it and goes
on while Redis is away. The proof is therefore checked on demand and remembered for the request, not in a
middleware that every route would pay for.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from litestar import Request
from litestar.datastructures import Cookie

from app.domain.customers.sessions import SessionStore
from app.kit.actor import GUEST, Actor, Via
from app.kit.errors import Forbidden, Unavailable, declare
from app.settings import Settings

SESSION_COOKIE: Final = "__Host-storefront"
CART_COOKIE: Final = "__Host-cart"
DEVICE_COOKIE: Final = "__Host-device"
DEVICE_SECONDS: Final = 31_536_000
# Marks the browser in which a login by redirect began; it opens nothing.
OAUTH_COOKIE: Final = "__Host-oauth"
STATE_KEY: Final = "door"
# On the dependency that lets nobody in without a login.
DEMANDS_LOGIN: Final = "demands_login"
_ACTOR_KEY: Final = "actor"

CSRF_REFUSED: Final = declare(
    Forbidden,
    "csrf_refused",
    "A call that changes something on the strength of a cookie must come from the shop's own pages.",
)

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_BEARER: Final = re.compile(r"bearer +([^\s,]+)", re.IGNORECASE)
_MARK: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}

Connection = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Credential:
    """What was presented, unchecked."""

    token: str
    via: Via


class Door:
    """The parts that decide who comes in; one per application, under STATE_KEY in its state."""

    def __init__(self, settings: Settings, sessions: SessionStore) -> None:
        self.sessions = sessions
        self._scheme = urlsplit(settings.public_url).scheme
        pages = (settings.public_url, settings.shop_url, *settings.allowed_origins)
        self._origins = frozenset(origin_of(page) for page in pages) - {""}

    def knows_origin(self, origin: str, host: str) -> bool:
        """Whether pages of this origin are ours: configured, or served under the very name that was called.

        The name matters where several stores share an installation. A name that somebody else points at
        us gains nothing: our cookies belong to one host and are not sent there.
        """
        asked = origin_of(origin)
        return bool(asked) and (asked in self._origins or asked == origin_of(f"{self._scheme}://{host}"))


def origin_of(url: str) -> str:
    """Scheme, host and port as browsers write them (RFC 6454): lower case, no default port; '' for none."""
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        return ""
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        return ""
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(_DEFAULT_PORTS[parts.scheme])}"


async def find_actor(connection: Connection, store_id: int, *, now: datetime) -> Actor:
    """Whoever is asking; a guest where nothing, or no valid cookie, was presented.

    Never fails for Redis: then whoever presented something is `unknown`, and may be treated as a guest only
    where it does not matter whose the thing is (`Actor.known()` says 503). Raises Forbidden csrf_refused.
    """
    state = connection.scope["state"]
    known: tuple[int, Actor] | None = state.get(_ACTOR_KEY)
    if known is None or known[0] != store_id:
        known = state[_ACTOR_KEY] = (store_id, await _check(connection, store_id, now))
    return known[1]


async def get_actor(connection: Connection, store_id: int, *, now: datetime) -> Actor:
    """The customer who is asking. Raises Unauthenticated, Unavailable, or Forbidden csrf_refused."""
    actor = await find_actor(connection, store_id, now=now)
    actor.customer()
    return actor


def forget_actor(connection: Connection) -> None:
    """After a login, rotation or logout in this very request: the next question is answered anew."""
    connection.scope["state"].pop(_ACTOR_KEY, None)


def find_credential(connection: Connection) -> Credential | None:
    """What proof was presented: the bearer, else the session cookie. Raises Forbidden csrf_refused.

    A bearer hides the cookie, also where it turns out to be worthless: a call has one identity, and one
    with a bearer did not come from a foreign page by itself.
    """
    for value in _header_values(connection, b"authorization"):
        if value[:6].lower() == "bearer":
            found = _BEARER.fullmatch(value.strip())
            return Credential(found[1] if found else "", "bearer")
    token = _cookie(connection, SESSION_COOKIE)
    if token is None:
        return None
    refuse_forgery(connection)
    return Credential(token, "cookie")


def find_cart_cookie(connection: Connection) -> str | None:
    """The cart's uuid from its cookie, for calls that name none. Raises Forbidden csrf_refused."""
    value = _cookie(connection, CART_COOKIE)
    if value is None or not _UUID.fullmatch(value):
        return None
    refuse_forgery(connection)
    return value


def find_device_cookie(connection: Connection) -> str | None:
    """What a browser was given to be known by. It opens nothing, so it needs no proof against forgery."""
    return _cookie(connection, DEVICE_COOKIE)


def find_oauth_cookie(connection: Connection) -> str | None:
    """The mark of the browser in which a login by redirect began; None for what we have not issued."""
    mark = _cookie(connection, OAUTH_COOKIE)
    return mark if mark and _MARK.fullmatch(mark) else None


def refuse_forgery(connection: Connection) -> None:
    """Raise Forbidden for an unsafe call that another site's page may have sent (RFC 6265, section 8.2)."""
    if connection.scope["method"] in SAFE_METHODS:
        return
    if _header_values(connection, b"sec-fetch-site") == ["same-origin"]:
        return
    origins = _header_values(connection, b"origin")
    hosts = _header_values(connection, b"host")
    door: Door = connection.app.state[STATE_KEY]
    if len(origins) != 1 or not door.knows_origin(origins[0], hosts[0] if len(hosts) == 1 else ""):
        raise Forbidden(CSRF_REFUSED, "This call must come from one of the shop's own pages.")


def wants_cookie(connection: Connection) -> bool:
    """Whether a login is to be answered with the cookie instead of an auth_key (`X-Session: cookie`)."""
    return _header_values(connection, b"x-session") == ["cookie"]


def session_cookie(token: str, *, seconds: int | None) -> Cookie:
    """The login for a browser: for so long, or until it is closed. The server's own limits hold besides."""
    return _host_cookie(SESSION_COOKIE, token, seconds)


def cart_cookie(cart_uuid: str, *, seconds: int) -> Cookie:
    return _host_cookie(CART_COOKIE, cart_uuid, seconds)


def device_cookie(token: str) -> Cookie:
    return _host_cookie(DEVICE_COOKIE, token, DEVICE_SECONDS)


def oauth_cookie(mark: str, *, seconds: int) -> Cookie:
    # Lax, as all of them: the provider's page leads back by a plain link, which brings it along.
    return _host_cookie(OAUTH_COOKIE, mark, seconds)


def expired_cookie(name: str) -> Cookie:
    """Makes the browser forget it; the attributes must be those it was set with."""
    return _host_cookie(name, "", 0)


async def _check(connection: Connection, store_id: int, now: datetime) -> Actor:
    credential = find_credential(connection)
    if credential is None:
        return GUEST
    door: Door = connection.app.state[STATE_KEY]
    try:
        session = await door.sessions.find(store_id, credential.token, now=now)
    except Unavailable as problem:
        return Actor("unknown", via=credential.via, retry_after=problem.retry_after)
    if session is None:
        return Actor("ended", via="bearer") if credential.via == "bearer" else GUEST
    return Actor("customer", session.customer_id, session.id, credential.via)


def _header_values(connection: Connection, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in connection.scope["headers"] if key == name]


def _cookie(connection: Connection, name: str) -> str | None:
    """The one value of a cookie. Two different ones prove that somebody planted one, so neither counts."""
    values = set(_cookie_values(_header_values(connection, b"cookie"), name))
    return values.pop() if len(values) == 1 else None


def _cookie_values(headers: Iterable[str], name: str) -> Iterable[str]:
    for header in headers:
        for pair in header.split(";"):
            key, found, value = pair.partition("=")
            if found and key.strip() == name:
                yield value.strip()


def _host_cookie(name: str, value: str, seconds: int | None) -> Cookie:
    # __Host- binds it to this very host: no domain, the whole path, and Secure, which browsers keep on
    # loopback http as well.
    return Cookie(
        key=name, value=value, path="/", max_age=seconds, secure=True, httponly=True, samesite="lax"
    )
