"""Logging in and out (contract rows B10 and B11), and the one way in which every login is answered."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from litestar import Controller, Response, post
from litestar.datastructures import Cookie
from litestar.params import RequestBody
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.caching import NO_STORE
from app.api.client import client_address, wide_network_of
from app.api.credentials import (
    CART_COOKIE,
    SESSION_COOKIE,
    cart_cookie,
    device_cookie,
    expired_cookie,
    find_cart_cookie,
    find_credential,
    find_device_cookie,
    forget_actor,
    session_cookie,
    wants_cookie,
)
from app.api.dependencies import GivenActor, GivenGate, GivenNow, GivenSession, GivenShop, GivenStore, Shop
from app.api.faults import invalid_field
from app.api.gate import Gate
from app.api.openapi import ANSWERS, EXAMPLE, READS, X_SESSION
from app.api.rate_limits import LIMIT
from app.api.request import ShopRequest
from app.api.storefront.carts import read_uuid
from app.api.storefront.profile import StorefrontLogin, customer_fields
from app.api.transactions import transactional
from app.domain.accounts.signing import Arrival, check_login, lock_login, welcome
from app.domain.checkout.claiming import has_open_checkout
from app.domain.customers.devices import device_digest, device_name
from app.domain.customers.errors import FRESH_LOGIN_NEEDED, WRONG_PASSWORD
from app.domain.customers.models import Customer
from app.domain.customers.passwords import MOST, normal_form
from app.domain.customers.queries import KnownAccount, find_login, find_login_by_id
from app.domain.stores.queries import StoreConfig
from app.kit.actor import Actor
from app.kit.errors import LOGIN_REQUIRED, Forbidden, Invalid, Unauthenticated
from app.kit.ids import new_token
from app.kit.places import email_form, email_key
from app.settings import Settings

_BEGUN: Final = "begun_session"
MOST_AGENT_LETTERS: Final = 200

Address = Annotated[str, msgspec.Meta(max_length=254, description="A mail address.")]
# No lower bound: a password that is too short is wrong, not a fault of the form.
TypedPassword = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST)]
Short = Annotated[str, msgspec.Meta(max_length=255)]


class Arriving(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What every call that logs in takes besides: the guest's cart, to be merged, and the open checkout."""

    cart_uuid: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    skip_cart_merge: bool = False
    checkout_token: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class LogIn(Arriving, kw_only=True):
    """`ip` is accepted and not believed: the address is the connection's own."""

    email: Address
    password: TypedPassword
    remember_me: bool = True
    ip: Short | None = None


class LoggedOut(msgspec.Struct):
    """need_create_checkout: the open checkout belonged to the customer, so the page makes a new one."""

    need_create_checkout: bool


@dataclass(frozen=True, slots=True)
class LoginAnswer:
    """A login that has happened: what goes out, and the session behind it by its public id."""

    response: Response[StorefrontLogin]
    session_id: str


async def answer_login(
    request: ShopRequest,
    session: AsyncSession,
    *,
    shop: Shop,
    store: StoreConfig,
    gate: Gate,
    customer: Customer,
    brought: Arriving,
    now: datetime,
    remember: bool = True,
    tells_of_device: bool = True,
    ends_others: bool = False,
) -> LoginAnswer:
    """Log a customer in whose proof was accepted: every login and sign-up ends here.

    The caller holds the customer's lock, or has just made them; then, or where another mail tells of it, no
    mail need tell of the device. Cart, checkout and device are seen to in the transaction; then a session
    under a new secret begins, and whatever session the caller came with ends; with `ends_others` all others
    of the customer do, too. The session comes last, so that what fails before leaves none behind. Raises
    Unavailable while sessions cannot be made.
    """
    by_cookie = wants_cookie(request)
    device = find_device_cookie(request)
    fresh_device = new_token() if by_cookie and device is None else None
    agent = request.headers.get("user-agent", "")[:MOST_AGENT_LETTERS]
    arrival = Arrival(
        cart_uuid=read_uuid(brought.cart_uuid or find_cart_cookie(request)),
        skip_cart_merge=brought.skip_cart_merge,
        checkout_token=brought.checkout_token,
        device=device_digest(
            cookie=device or fresh_device, agent=agent, network=caller_network(request, shop.settings)
        ),
        device_name=device_name(agent),
        address=client_address(request.scope, shop.settings.trusted_proxies),
    )
    account, cart_uuid = await welcome(
        session,
        store,
        customer,
        arrival,
        now=now,
        cart_seconds=shop.settings.cart_seconds,
        tells_of_device=tells_of_device,
    )
    before = find_credential(request)
    # A handler that runs again, after a failed commit, ends what its first run began.
    state = request.scope["state"]
    former = state.get(_BEGUN) or (before.token if before else None)
    made = await gate.sessions.start(
        store.id,
        customer.id,
        remember=remember,
        device=device_name(agent),
        now=now,
        replaces=former,
    )
    state[_BEGUN] = made.token
    if ends_others:
        # Under the customer's lock, so that nobody comes in by what was good before meanwhile.
        await gate.sessions.end_all_but(store.id, customer.id, made.session.id)
    forget_actor(request)
    cookies: list[Cookie] = []
    if by_cookie:
        cookies.append(session_cookie(made.token, seconds=_kept(shop.settings, remember=remember)))
        if fresh_device is not None:
            cookies.append(device_cookie(fresh_device))
        if cart_uuid is not None:
            cookies.append(cart_cookie(str(cart_uuid), seconds=shop.settings.cart_seconds))
    shown = StorefrontLogin(**customer_fields(account), auth_key="" if by_cookie else made.token)
    return LoginAnswer(Response(shown, headers=NO_STORE, cookies=cookies, status_code=200), made.session.id)


def _kept(settings: Settings, *, remember: bool) -> int | None:
    """How long a browser keeps the cookie; one that is not to be remembered goes with the window."""
    return settings.remember_seconds if remember else None


def caller_network(request: ShopRequest, settings: Settings) -> str:
    return wide_network_of(client_address(request.scope, settings.trusted_proxies))


def caller_device(request: ShopRequest, settings: Settings) -> bytes:
    """The digest of the device that calls, as far as it is known by now."""
    agent = request.headers.get("user-agent", "")[:MOST_AGENT_LETTERS]
    return device_digest(
        cookie=find_device_cookie(request), agent=agent, network=caller_network(request, settings)
    )


async def check_current_password(
    request: ShopRequest,
    password: str,
    *,
    field: str,
    shop: Shop,
    store: StoreConfig,
    gate: Gate,
    actor: Actor,
) -> KnownAccount:
    """The account of whoever is logged in, once its password was typed. Counted as a guess.

    Raises Invalid wrong_password at `field`.
    """
    account = await find_login_by_id(shop.reads, store.id, actor.customer())
    network = caller_network(request, shop.settings)
    attempt = await gate.guesses.count(store.id, account.email_key, network=network)
    if not await gate.hasher.verify(account.password_digest, normal_form(password)):
        raise Invalid.at(field, WRONG_PASSWORD, "This is not the account's current password.")
    await gate.guesses.forgive(attempt)
    return account


async def prove_fresh(
    request: ShopRequest,
    password: str | None,
    *,
    field: str = "current_password",
    shop: Shop,
    store: StoreConfig,
    gate: Gate,
    actor: Actor,
    now: datetime,
) -> None:
    """Go on only where it is the customer and not whoever found their phone: a password, or a login just now.

    Raises Invalid wrong_password at `field`, or Forbidden fresh_login_needed.
    """
    if password is not None:
        await check_current_password(
            request, password, field=field, shop=shop, store=store, gate=gate, actor=actor
        )
        return
    used = find_credential(request)
    found = await gate.sessions.find(store.id, used.token, now=now) if used else None
    if found is None or now - found.created_at > timedelta(seconds=shop.settings.fresh_login_seconds):
        raise Forbidden(FRESH_LOGIN_NEEDED, "Type your password, or log in anew.")


async def check_still_logged_in(
    request: ShopRequest, *, store: StoreConfig, gate: Gate, now: datetime
) -> None:
    """For what outlives a login, once the customer is locked: the owner may have ended the login meanwhile.

    Whoever waited for the lock was believed before that. Raises Unauthenticated login_required.
    """
    used = find_credential(request)
    if used is None or await gate.sessions.find(store.id, used.token, now=now) is None:
        raise Unauthenticated(LOGIN_REQUIRED, "This login has ended.", ended=True)


def read_email(typed: str, field: str = "email") -> tuple[str, str]:
    """A mail address as it is written to and as it is compared. Raises Invalid naming the field."""
    form, key = email_form(typed), email_key(typed)
    if form is None or key is None:
        raise invalid_field(field, "invalid_email", "This is no mail address.")
    return form, key


class LoginController(Controller):
    path = "/customer"
    tags = ("Account",)

    @post(
        "/login",
        status_code=200,
        operation_id="logIn",
        summary="Log in with a password",
        opt={
            READS: (X_SESSION,),
            ANSWERS: (401,),
            LIMIT: "login",
            EXAMPLE: {"email": "ada@example.com", "password": "correct horse battery"},
        },
    )
    @transactional
    async def log_in(
        self,
        request: ShopRequest,
        data: RequestBody[LogIn],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
    ) -> Response[StorefrontLogin]:
        """The customer and an `auth_key`; with `X-Session: cookie` a cookie instead.

        The same answer for a wrong password and for an address without account. `remember_me` (default
        true) keeps the login for 30 idle days, else 24 hours.
        """
        _, key = read_email(data.email)
        device = caller_device(request, shop.settings)
        found = await find_login(shop.reads, store.id, key, device=device)
        attempt = await gate.guesses.count(
            store.id,
            key,
            network=caller_network(request, shop.settings),
            device=device if found and found.knows_device else None,
        )
        known, stronger = await check_login(found, data.password, hasher=gate.hasher)
        customer = await lock_login(session, store.id, known, stronger=stronger)
        answer = await answer_login(
            request,
            session,
            shop=shop,
            store=store,
            gate=gate,
            customer=customer,
            brought=data,
            now=now,
            remember=data.remember_me,
        )
        await gate.guesses.forgive(attempt)
        return answer.response

    @post("/logout", status_code=200, operation_id="logOut", summary="Log out")
    @transactional
    async def log_out(
        self,
        request: ShopRequest,
        session: GivenSession,
        store: GivenStore,
        gate: GivenGate,
        actor: GivenActor,
        now: GivenNow,
    ) -> Response[LoggedOut]:
        """Ends the session that the call came with; without one nothing happens."""
        customer_id = actor.known().customer_id
        needs = customer_id is not None and await has_open_checkout(
            session, store.id, customer_id=customer_id, now=now
        )
        used = find_credential(request)
        cookies: list[Cookie] = []
        if used is not None:
            await gate.sessions.end(store.id, used.token)
            forget_actor(request)
            if used.via == "cookie":
                cookies = [expired_cookie(SESSION_COOKIE), expired_cookie(CART_COOKIE)]
        return Response(LoggedOut(needs), headers=NO_STORE, cookies=cookies)
