"""Logging in at another provider, there and back by redirect: OpenID Connect with a code and PKCE."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import urlencode

import msgspec
from litestar import Controller, Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter, QueryParameter, RequestBody

from app.api.credentials import find_oauth_cookie, oauth_cookie
from app.api.dependencies import GivenGate, GivenNow, GivenSession, GivenShop, GivenStore
from app.api.gate import Gate
from app.api.openapi import ACCEPT_LANGUAGE, ANSWERS, EXAMPLE, READS, X_SESSION
from app.api.rate_limits import LIMIT
from app.api.request import ShopRequest
from app.api.storefront.profile import StorefrontLogin
from app.api.storefront.social import Vouched, log_in_vouched, missing
from app.api.transactions import once, transactional
from app.domain.customers.errors import login_failed
from app.domain.customers.providers import (
    ATTEMPT_SECONDS,
    HANDOVER_SECONDS,
    Attempt,
    Handover,
    RedirectProvider,
)
from app.kit.errors import AppError, NotFound
from app.kit.ids import base64url, digest, new_token
from app.settings import Settings

CANCELLED: Final = "login_cancelled"

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
ProviderName = Annotated[str, PathParameter(min_length=1, max_length=32)]
Challenge = Annotated[
    str | None,
    QueryParameter(
        min_length=43, max_length=43, pattern="^[A-Za-z0-9_-]*$", description="PKCE, by the method S256."
    ),
]
FromProvider = Annotated[str | None, QueryParameter(max_length=4096)]


class FinishLogin(Vouched, kw_only=True):
    """`code_verifier` belongs to the `code_challenge` that the login began with, where it had one."""

    code: Code
    code_verifier: Annotated[str, msgspec.Meta(min_length=43, max_length=128)] | None = None


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
        raise missing("a provider of this name")
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


class RedirectController(Controller):
    path = "/customer/oauth"
    tags = ("Account",)

    @get(
        "/{provider:str}",
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
        "/{provider:str}/callback",
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
        "/finish",
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
            return await log_in_vouched(
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
