"""Logging in through another provider whose token the page has (contract rows B15 and B16).

Whoever comes by a provider, also by redirect, is let in here.
"""

from datetime import datetime
from typing import Annotated, Final

import msgspec
from litestar import Controller, Response, post
from litestar.params import RequestBody
from sqlalchemy.ext.asyncio import AsyncSession

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
from app.domain.customers.providers import VerifiedIdentity
from app.domain.customers.queries import find_login
from app.domain.stores.queries import StoreConfig
from app.kit.errors import NOT_FOUND, Invalid, NotFound
from app.kit.languages import wanted_languages
from app.kit.places import email_key, find_time_zone

# No ID token that is older is taken (integrations/oauth/id_tokens.py).
NONCE_SECONDS: Final = 86_400

ProviderToken = Annotated[str, msgspec.Meta(min_length=1, max_length=16 * 1024)]


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


def missing(provider: str) -> NotFound:
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


async def log_in_vouched(
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
            raise missing("Facebook")
        facebook = gate.providers.facebook
        identity = await once(request, "identity", lambda: facebook.verify(data.token, now=now))
        return await log_in_vouched(
            request, session, data, identity, shop=shop, store=store, gate=gate, now=now
        )

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
            raise missing("Google")
        google = gate.providers.google
        identity = await once(
            request, "identity", lambda: google.verify(data.token, nonce=data.nonce, now=now)
        )
        return await log_in_vouched(
            request, session, data, identity, shop=shop, store=store, gate=gate, now=now, nonce=data.nonce
        )
