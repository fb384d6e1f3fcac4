"""Logging in with six mailed digits: asking for them, and typing them in."""

from typing import Annotated, Final

import msgspec
from litestar import Controller, Response, post
from litestar.params import RequestBody

from app.api.dependencies import GivenActor, GivenGate, GivenNow, GivenSession, GivenShop, GivenStore
from app.api.openapi import ANSWERS, EXAMPLE, READS, X_SESSION
from app.api.rate_limits import AFTER_FORM, LIMIT, count_call
from app.api.request import ShopRequest
from app.api.storefront.logins import (
    Address,
    Arriving,
    answer_login,
    caller_device,
    caller_network,
    read_email,
)
from app.api.storefront.profile import StorefrontLogin
from app.api.transactions import once, transactional
from app.db.retries import run_transaction
from app.domain.accounts.entering import enter_by_code
from app.domain.accounts.mailing import queue_mail_to
from app.domain.customers.codes import is_right, take_try
from app.domain.customers.errors import code_refused
from app.domain.customers.queries import find_login

# What people put between digits, and mail programs around them.
_BETWEEN: Final = str.maketrans("", "", " -\u00a0\t\r\n")

TypedCode = Annotated[str, msgspec.Meta(min_length=1, max_length=40, description="The six digits.")]


class AskForCode(msgspec.Struct, forbid_unknown_fields=True):
    email: Address


class ConfirmCode(Arriving, kw_only=True):
    email: Address
    code: TypedCode
    remember_me: bool = True


class LoginCodeController(Controller):
    path = "/customer/login/code"
    tags = ("Account",)

    @post(
        "/",
        status_code=204,
        operation_id="askForLoginCode",
        summary="Mail six digits to log in with",
        opt={LIMIT: "password", AFTER_FORM: True, EXAMPLE: {"email": "ada@example.com"}},
    )
    @transactional
    async def ask(
        self,
        request: ShopRequest,
        data: RequestBody[AskForCode],
        session: GivenSession,
        store: GivenStore,
        now: GivenNow,
    ) -> None:
        """Always 204, whether or not anybody has the address. The digits work once, for ten minutes.

        A newer mail makes the digits of the one before void; an address gets one a minute at most.
        """
        _, key = read_email(data.email)
        await count_call(request)
        await queue_mail_to(session, store.id, "login_code", email_key=key, now=now)

    @post(
        "/confirm",
        status_code=200,
        operation_id="logInByCode",
        summary="Log in with the mailed digits",
        opt={
            READS: (X_SESSION,),
            ANSWERS: (401,),
            LIMIT: "login",
            EXAMPLE: {"email": "ada@example.com", "code": "314159"},
        },
    )
    @transactional
    async def confirm(
        self,
        request: ShopRequest,
        data: RequestBody[ConfirmCode],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[StorefrontLogin]:
        """The customer and an `auth_key`, as every login. Five wrong tries make the digits void.

        The same answer for digits that are wrong, used or too old, and for an address without account.
        """
        _, key = read_email(data.email)
        device = caller_device(request, shop.settings)
        known = await find_login(shop.reads, store.id, key, device=device)
        attempt = await once(
            request,
            "attempt",
            lambda: gate.guesses.count_code(
                store.id,
                key,
                network=caller_network(request, shop.settings),
                device=device if known and known.knows_device else None,
            ),
        )
        # Committed by itself: a wrong guess counts although its call fails.
        tried = await once(
            request,
            "try",
            lambda: run_transaction(
                shop.sessions, lambda own: take_try(own, store.id, key, now=now), repeatable=False
            ),
        )
        code = data.code.translate(_BETWEEN)
        right = is_right(tried, code, keys=shop.settings.secret_keys, store_id=store.id, email_key=key)
        if tried is None or not right:
            raise code_refused()
        entered = await enter_by_code(session, store.id, tried, visitor=actor.customer_id, now=now)
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
            ends_others=entered.was_planted,
        )
        await gate.guesses.forgive(attempt)
        return answer.response
