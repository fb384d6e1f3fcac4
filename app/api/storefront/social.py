"""Logging in through another provider: its token (contract rows B15 and B16), or there and back by redirect."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import urlencode

import msgspec
from litestar import Controller, Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter, QueryParameter, RequestBody
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.credentials import find_oauth_cookie, oauth_cookie
from app.api.dependencies import GivenGate, GivenNow, GivenSession, GivenShop, GivenStore, Shop
from app.api.gate import Gate
from app.api.openapi import ACCEPT_LANGUAGE, ANSWERS, EXAMPLE, READS, X_SESSION
from app.api.rate_limits import LIMIT
from app.api.request import ShopRequest
from app.api.storefront.customers import Country, read_country, read_name
from app.api.storefront.logins import (
    Address,
    Arriving,
    Short,
    answer_login,
    caller_device,
    caller_network,
    read_email,
)
from app.api.storefront.profile import StorefrontLogin
from app.api.transactions import once, transactional
from app.domain.accounts.signing import NewAccount, check_login
from app.domain.accounts.social import Proof, address_of, enter, name_of, printable, vouches_for
from app.domain.customers.errors import PASSWORD_NEEDED, login_failed
from app.domain.customers.identities import is_linked
from app.domain.customers.passwords import check_password
from app.domain.customers.providers import (
    ATTEMPT_SECONDS,
    HANDOVER_SECONDS,
    Attempt,
    Handover,
    RedirectProvider,
    VerifiedIdentity,
)
from app.domain.customers.queries import find_login
from app.domain.stores.queries import StoreConfig
from app.kit.errors import NOT_FOUND, AppError, Invalid, NotFound
from app.kit.ids import base64url, digest, new_token
from app.kit.languages import wanted_languages
from app.kit.places import email_key, find_time_zone
from app.settings import Settings

# No ID token that is older is taken (integrations/oauth/id_tokens.py).
NONCE_SECONDS: Final = 86_400
CANCELLED: Final = "login_cancelled"

ProviderToken = Annotated[str, msgspec.Meta(min_length=1, max_length=16 * 1024)]
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
ProviderName = Annotated[str, PathParameter(min_length=1, max_length=32)]
Challenge = Annotated[
    str | None,
    QueryParameter(
        min_length=43, max_length=43, pattern="^[A-Za-z0-9_-]*$", description="PKCE, by the method S256."
    ),
]
FromProvider = Annotated[str | None, QueryParameter(max_length=4096)]


class Vouched(Arriving, kw_only=True):
    """`email` counts where the provider gives no address. `password` is that of the account that is to be
    linked or, with `email`, of the one that is to be made.
    """

    subscribe: bool = True
    remember_me: bool = True
    time_zone: Short | None = None
    country: Country | None = None
    identity: Short | None = None
    invited_by_token: Short | None = None
    email: Address | None = None
    password: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    name: Annotated[str, msgspec.Meta(max_length=100)] | None = None


class FacebookLogin(Vouched, kw_only=True):
    token: ProviderToken


class GoogleLogin(Vouched, kw_only=True):
    """A `nonce` must be the token's own, and is good for one login."""

    token: ProviderToken
    nonce: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None


class FinishLogin(Vouched, kw_only=True):
    """`code_verifier` belongs to the `code_challenge` that the login began with, where it had one."""

    code: Code
    code_verifier: Annotated[str, msgspec.Meta(min_length=43, max_length=128)] | None = None


def _missing(provider: str) -> NotFound:
    return NotFound(NOT_FOUND, f"This shop has no login with {provider}.")


async def _prove(
    request: ShopRequest, data: Vouched, key: str, *, shop: Shop, store: StoreConfig, gate: Gate
) -> Proof | None:
    """The password as a proof for the account of an address; None where there is no such account.

    Counted as a guess like that of any login. Raises Unauthenticated login_failed.
    """
    device = caller_device(request, shop.settings)
    found = await find_login(shop.reads, store.id, key, device=device)
    if found is None:
        return None
    attempt = await gate.guesses.count(
        store.id,
        key,
        network=caller_network(request, shop.settings),
        device=device if found.knows_device else None,
    )
    known, stronger = await check_login(found, data.password or "", hasher=gate.hasher)
    await gate.guesses.forgive(attempt)
    return Proof(known, stronger)


async def _new_account(
    request: ShopRequest,
    data: Vouched,
    identity: VerifiedIdentity,
    email: str,
    *,
    gate: Gate,
    store: StoreConfig,
    proven: bool,
) -> NewAccount:
    """The account that would be made. Raises Invalid naming the field."""
    typed = read_name(data.name or "", "name")
    digested = None
    if not proven and address_of(identity) is None:
        # The answer tells whether the address is taken, as that of a sign-up does.
        await gate.guesses.count_sign_up(store.id, email_key(email) or email)
        if not data.password:
            raise Invalid.at("password", PASSWORD_NEEDED, "Choose a password for this address.")
    if data.password and not proven:
        username = typed or name_of(identity, email)
        digested = await gate.hasher.hash(check_password(data.password, names=(username, email)))
    return NewAccount(
        email=email,
        username=typed or name_of(identity, email),
        password_digest=digested,
        verified=vouches_for(identity, email),
        by_provider=True,
        firstname=printable(identity.given_name),
        lastname=printable(identity.family_name),
        subscribe=data.subscribe,
        country=read_country(data.country),
        time_zone=find_time_zone(data.time_zone or ""),
        language=wanted_languages(request.headers.get("accept-language")),
        identity=data.identity,
        invited_by_token=data.invited_by_token,
    )


async def _log_in(
    request: ShopRequest,
    session: AsyncSession,
    data: Vouched,
    identity: VerifiedIdentity,
    *,
    shop: Shop,
    store: StoreConfig,
    gate: Gate,
    now: datetime,
    nonce: str | None = None,
) -> Response[StorefrontLogin]:
    """Log in whom a provider vouches for. What takes time is done before the transaction begins."""
    new = proof = None
    if not await is_linked(shop.reads, store.id, identity):
        email = address_of(identity) or (read_email(data.email)[0] if data.email else None)
        if email is not None:
            needs_proof = data.password and not vouches_for(identity, email)
            if needs_proof:
                key = email_key(email) or email
                proof = await _prove(request, data, key, shop=shop, store=store, gate=gate)
            new = await _new_account(
                request, data, identity, email, gate=gate, store=store, proven=proof is not None
            )
    entered = await enter(session, store, identity, new=new, proof=proof, now=now)
    if nonce is not None:
        word = f"{store.id}\n{identity.issuer}\n{nonce}"
        if not await once(request, "nonce", lambda: gate.records.use_once(word, seconds=NONCE_SECONDS)):
            raise login_failed()
    answer = await answer_login(
        request,
        session,
        shop=shop,
        store=store,
        gate=gate,
        customer=entered.customer,
        brought=data,
        now=now,
        remember=data.remember_me,
        tells_of_device=not entered.is_new,
        ends_others=entered.was_planted,
    )
    return answer.response


def _redirect(address: str, mark: str) -> Response[bytes]:
    return Response(
        b"",
        status_code=302,
        headers={"Location": address},
        cookies=[oauth_cookie(mark, seconds=ATTEMPT_SECONDS)],
    )


def _way_back(settings: Settings, provider: str) -> str:
    # Never made of the request's own host name: the provider compares it with what it was told once.
    return f"{settings.public_url}/storefront/v1/customer/oauth/{provider}/callback"


def _find_provider(gate: Gate, name: str) -> RedirectProvider:
    """Raises NotFound."""
    provider = gate.providers.redirects.get(name)
    if provider is None:
        raise _missing("a provider of this name")
    return provider


def _mark(request: ShopRequest) -> str | None:
    found = find_oauth_cookie(request)
    return digest(found).hex() if found else None


async def _confirm(
    request: ShopRequest,
    name: str,
    back: Mapping[str, str | None],
    *,
    settings: Settings,
    gate: Gate,
    now: datetime,
) -> str:
    """Turn what came back from the provider into a code of ours. Raises AppError."""
    provider = _find_provider(gate, name)
    attempt = await gate.records.take(back["state"], Attempt) if back["state"] else None
    # Another browser than the one in which it began: somebody was sent here with a login that is not theirs.
    if attempt is None or attempt.provider != name or attempt.binding != _mark(request):
        raise login_failed()
    if not back["code"] or back["error"]:
        raise login_failed()
    identity = await provider.finish(
        back["code"],
        issuer=back["iss"],
        nonce=attempt.nonce,
        verifier=attempt.verifier,
        redirect_uri=_way_back(settings, name),
        now=now,
    )
    code = new_token()
    handover = Handover(attempt.store_id, name, identity, attempt.binding, now, attempt.challenge)
    await gate.records.keep(code, handover, seconds=HANDOVER_SECONDS)
    return code


class SocialController(Controller):
    path = "/customer"
    tags = ("Account",)

    @post(
        "/login/facebook",
        status_code=200,
        operation_id="logInWithFacebook",
        summary="Log in with Facebook",
        opt={
            READS: (X_SESSION, ACCEPT_LANGUAGE),
            ANSWERS: (401,),
            LIMIT: "login",
            EXAMPLE: {"token": "EAABsbCS1iHgBA…", "subscribe": True},
        },
    )
    @transactional
    async def facebook(
        self,
        request: ShopRequest,
        data: RequestBody[FacebookLogin],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
    ) -> Response[StorefrontLogin]:
        """Logs in with the access token that Facebook's page script was given, and makes an account at first.

        Where Facebook gives no mail address (`email_needed`), `email` and `password` make an account, or link
        to the one that has both. An address that has an account already wants its `password`
        (`link_needs_password`): Facebook does not say that addresses are verified.
        """
        if gate.providers.facebook is None:
            raise _missing("Facebook")
        facebook = gate.providers.facebook
        identity = await once(request, "identity", lambda: facebook.verify(data.token, now=now))
        return await _log_in(request, session, data, identity, shop=shop, store=store, gate=gate, now=now)

    @post(
        "/login/google",
        status_code=200,
        operation_id="logInWithGoogle",
        summary="Log in with Google",
        opt={
            READS: (X_SESSION, ACCEPT_LANGUAGE),
            ANSWERS: (401,),
            LIMIT: "login",
            EXAMPLE: {"token": "eyJhbGciOiJSUzI1NiIs…", "subscribe": True},
        },
    )
    @transactional
    async def google(
        self,
        request: ShopRequest,
        data: RequestBody[GoogleLogin],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
    ) -> Response[StorefrontLogin]:
        """Logs in with the ID token that Google's page script was given, and makes an account at first.

        An account that has the address is linked where Google says that the address is verified; else its
        `password` is needed (`link_needs_password`).
        """
        if gate.providers.google is None:
            raise _missing("Google")
        google = gate.providers.google
        identity = await once(
            request, "identity", lambda: google.verify(data.token, nonce=data.nonce, now=now)
        )
        return await _log_in(
            request, session, data, identity, shop=shop, store=store, gate=gate, now=now, nonce=data.nonce
        )

    @get(
        "/oauth/{provider:str}",
        status_code=302,
        operation_id="beginProviderLogin",
        summary="Log in at a provider, by redirect",
        opt={LIMIT: "lookup"},
        responses={302: ResponseSpec(None, description="To the provider's page.")},
    )
    async def begin(
        self,
        request: ShopRequest,
        provider: ProviderName,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        code_challenge: Challenge = None,
    ) -> Response[bytes]:
        """Leads the browser to the provider's page. The login must end in this browser, within ten minutes.

        An app, or a page whose calls bring no cookie, sends the `code_challenge` of a secret of its own (PKCE,
        S256), and the secret as `code_verifier` with the call that finishes.
        """
        asked = _find_provider(gate, provider)
        # Two logins in two windows of one browser share its mark, so that both can end well.
        mark = find_oauth_cookie(request) or new_token()
        state, nonce, verifier = new_token(), new_token(), new_token()
        address = await asked.begin(
            state=state, nonce=nonce, verifier=verifier, redirect_uri=_way_back(shop.settings, provider)
        )
        attempt = Attempt(store.id, provider, nonce, verifier, digest(mark).hex(), code_challenge)
        await gate.records.keep(state, attempt, seconds=ATTEMPT_SECONDS)
        return _redirect(address, mark)

    @get(
        "/oauth/{provider:str}/callback",
        status_code=302,
        operation_id="endProviderLogin",
        summary="Come back from a provider",
        responses={302: ResponseSpec(None, description="To the shop, with `code`, or with `error`.")},
    )
    async def callback(
        self,
        request: ShopRequest,
        provider: ProviderName,
        shop: GivenShop,
        gate: GivenGate,
        now: GivenNow,
        code: FromProvider = None,
        query_state: Annotated[str | None, QueryParameter(name="state", max_length=200)] = None,
        iss: FromProvider = None,
        error: FromProvider = None,
    ) -> Response[bytes]:
        """Where the provider leads the browser back to; it leads on to the shop's page.

        With `provider` and `code`, which is good once and for one minute, for the call that finishes; or with
        `provider` and `error`: `login_cancelled`, `login_failed`, `unavailable`.
        """
        back = {"code": code, "state": query_state, "iss": iss, "error": error}
        told: dict[str, str] = {"provider": provider}
        try:
            told["code"] = await _confirm(request, provider, back, settings=shop.settings, gate=gate, now=now)
        except NotFound:
            raise
        except AppError as problem:
            told["error"] = CANCELLED if error == "access_denied" else problem.code
        return _redirect(
            f"{shop.settings.shop_url}/?{urlencode(told)}", find_oauth_cookie(request) or new_token()
        )

    @post(
        "/oauth/finish",
        status_code=200,
        operation_id="finishProviderLogin",
        summary="Finish a login at a provider",
        opt={
            READS: (X_SESSION, ACCEPT_LANGUAGE),
            ANSWERS: (401,),
            LIMIT: "login",
            EXAMPLE: {"code": "pX3vR0mS6tq2", "subscribe": True},
        },
    )
    @transactional
    async def finish(
        self,
        request: ShopRequest,
        data: RequestBody[FinishLogin],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
    ) -> Response[StorefrontLogin]:
        """Turns the code from the shop's address into a login, and makes an account at first.

        A code that did not log in, because `email` or `password` were missing or wrong, can be sent again for
        ten minutes. It is good in the browser in which the login began, or with the `code_verifier` of its
        `code_challenge`.
        """
        handover = await once(request, "handover", lambda: gate.records.take(data.code, Handover))
        if (
            handover is None
            or handover.store_id != store.id
            or not _is_whoever_began(request, data, handover)
        ):
            raise login_failed()
        try:
            return await _log_in(
                request, session, data, handover.identity, shop=shop, store=store, gate=gate, now=now
            )
        except AppError:
            left = ATTEMPT_SECONDS - int((now - handover.made_at).total_seconds())
            if left > 0:
                await gate.records.keep(data.code, handover, seconds=left)
            raise


def _is_whoever_began(request: ShopRequest, data: FinishLogin, handover: Handover) -> bool:
    """Whether this is the browser or the app that the login began in.

    Else a link with somebody's own code would log others in as that somebody.
    """
    if handover.challenge is None:
        return handover.binding == _mark(request)
    return data.code_verifier is not None and handover.challenge == base64url(digest(data.code_verifier))
