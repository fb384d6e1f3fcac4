"""Forgotten and changed passwords (contract rows B22 to B24), and getting in by mail (B13 and B14)."""

from typing import Annotated, Final

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import QueryParameter, RequestBody

from app.api.caching import NO_STORE
from app.api.credentials import find_credential
from app.api.dependencies import (
    GivenActor,
    GivenGate,
    GivenNow,
    GivenReads,
    GivenSession,
    GivenShop,
    GivenStore,
)
from app.api.faults import invalid_field
from app.api.limits import Token
from app.api.openapi import ANSWERS, EXAMPLE, READS, X_SESSION
from app.api.rate_limits import AFTER_FORM, LIMIT, count_call
from app.api.request import ShopRequest
from app.api.storefront.logins import (
    Address,
    Arriving,
    TypedPassword,
    answer_login,
    check_current_password,
    read_email,
)
from app.api.storefront.profile import StorefrontLogin
from app.api.transactions import transactional
from app.domain.accounts.entering import (
    Entered,
    change_password,
    enter_by_order_link,
    enter_by_secret,
    reset_password,
    verify_address,
)
from app.domain.accounts.mailing import queue_mail_to
from app.domain.customers.errors import WRONG_PASSWORD, token_not_usable
from app.domain.customers.passwords import check_password
from app.domain.customers.queries import lock_customer
from app.domain.customers.secrets import find_link, find_secret
from app.kit.errors import NOT_FOUND, Invalid, NotFound

SOME_SECRET: Final = "dJ0s3Vf8cXw1qk2uTz7mPb5nRy9aLh4eGo6iCx3vBt8"  # noqa: S105 - opens nothing

NewPassword = Annotated[str, msgspec.Meta(max_length=1000)]


class ForgotPassword(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`checkout_token` is accepted and not used: what is mailed opens the account, not the checkout."""

    email: Address
    checkout_token: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class ResetPassword(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """By a mailed token, or by the current password of whoever is logged in."""

    password: NewPassword
    confirm_password: NewPassword
    password_reset_token: Token | None = None
    current_password: TypedPassword | None = None


class LogInByResetToken(Arriving, kw_only=True):
    password_reset_token: Token


class LogInByLink(Arriving, kw_only=True):
    """`uuid` is the secret of a mailed link."""

    uuid: Token


class VerifyEmail(msgspec.Struct, forbid_unknown_fields=True):
    token: Token


class TokenIsValid(msgspec.Struct):
    valid: bool


class PasswordController(Controller):
    path = "/customer"
    tags = ("Account",)

    @post(
        "/password/forgot",
        status_code=204,
        operation_id="forgotPassword",
        summary="Mail a link to choose a new password",
        opt={LIMIT: "password", AFTER_FORM: True, EXAMPLE: {"email": "ada@example.com"}},
    )
    @transactional
    async def forgot(
        self,
        request: ShopRequest,
        data: RequestBody[ForgotPassword],
        session: GivenSession,
        store: GivenStore,
        now: GivenNow,
    ) -> None:
        """Always 204, whether or not anybody has the address. The link works once, for an hour."""
        _, key = read_email(data.email)
        await count_call(request)
        await queue_mail_to(session, store.id, "reset_password", email_key=key, now=now)

    @get(
        "/password/token",
        operation_id="checkResetToken",
        summary="Whether a reset token is good",
        opt={LIMIT: "lookup"},
    )
    async def check(
        self,
        reads: GivenReads,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
        token: Annotated[str, QueryParameter(max_length=200)] = "",
    ) -> Response[TokenIsValid]:
        """`valid` for a token that can be used; 404 for every other."""
        known = await find_secret(reads, store.id, "reset", token, now=now)
        if known is None or known.session_id not in (None, actor.session_id):
            raise NotFound(NOT_FOUND, "This token was used, replaced or is too old.")
        return Response(TokenIsValid(valid=True), headers=NO_STORE)

    @post(
        "/password/reset",
        status_code=200,
        operation_id="resetPassword",
        summary="Choose a new password",
        opt={
            READS: (X_SESSION,),
            ANSWERS: (401,),
            LIMIT: "password",
            AFTER_FORM: True,
            EXAMPLE: {
                "password_reset_token": SOME_SECRET,
                "password": "correct horse battery",
                "confirm_password": "correct horse battery",
            },
        },
    )
    @transactional
    async def reset(
        self,
        request: ShopRequest,
        data: RequestBody[ResetPassword],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[StorefrontLogin]:
        """By `password_reset_token` or `current_password`. Ends every other session and logs in anew."""
        if data.password != data.confirm_password:
            raise invalid_field("confirm_password", "passwords_differ", "The two passwords differ.")
        if data.password_reset_token is None and data.current_password is None:
            raise invalid_field(
                "current_password", "required", "Give the current password, or the token that was mailed."
            )
        check_password(data.password)
        await count_call(request)
        credential = find_credential(request)
        before = await gate.sessions.find(store.id, credential.token, now=now) if credential else None
        if data.password_reset_token is not None:
            secret = data.password_reset_token
            known = await find_secret(shop.reads, store.id, "reset", secret, now=now)
            if known is None:
                raise token_not_usable("password_reset_token")
            password = check_password(data.password, names=(known.username, known.email))
            customer = await reset_password(
                session,
                store.id,
                known,
                secret,
                new_digest=await gate.hasher.hash(password),
                session_id=actor.session_id,
                visitor=actor.customer_id,
                now=now,
            )
        else:
            assert data.current_password is not None
            account = await check_current_password(
                request,
                data.current_password,
                field="current_password",
                shop=shop,
                store=store,
                gate=gate,
                actor=actor,
            )
            password = check_password(data.password, names=(account.username, account.email_key))
            new_digest = await gate.hasher.hash(password)
            customer = await lock_customer(session, store.id, account.customer_id)
            if customer.password_digest != account.password_digest:
                raise Invalid.at("current_password", WRONG_PASSWORD, "The password was changed meanwhile.")
            await change_password(session, customer, new_digest, now=now)
        answer = await answer_login(
            request,
            session,
            shop=shop,
            store=store,
            gate=gate,
            customer=customer,
            brought=Arriving(skip_cart_merge=True),
            now=now,
            remember=before.remember if before else True,
            tells_of_device=False,
            ends_others=True,
        )
        return answer.response

    @post(
        "/login/reset-token",
        status_code=200,
        operation_id="logInByResetToken",
        summary="Log in with a reset token",
        opt={
            READS: (X_SESSION,),
            ANSWERS: (401,),
            LIMIT: "login",
            EXAMPLE: {"password_reset_token": SOME_SECRET},
        },
    )
    @transactional
    async def log_in_by_reset_token(
        self,
        request: ShopRequest,
        data: RequestBody[LogInByResetToken],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[StorefrontLogin]:
        """Exchanges the token: from then on it works in this session only, to choose a new password."""
        secret = data.password_reset_token
        known = await find_secret(shop.reads, store.id, "reset", secret, now=now)
        entered = await enter_by_secret(
            session, store.id, known, "reset", secret, visitor=actor.customer_id, now=now
        )
        answer = await answer_login(
            request,
            session,
            shop=shop,
            store=store,
            gate=gate,
            customer=entered.customer,
            brought=data,
            now=now,
            ends_others=entered.was_planted,
        )
        if entered.secret is not None:
            entered.secret.session_id = answer.session_id
            await session.flush()
        return answer.response

    @post(
        "/login/uuid",
        status_code=200,
        operation_id="logInByLink",
        summary="Log in with a mailed link",
        opt={READS: (X_SESSION,), ANSWERS: (401,), LIMIT: "login", EXAMPLE: {"uuid": SOME_SECRET}},
    )
    @transactional
    async def log_in_by_link(
        self,
        request: ShopRequest,
        data: RequestBody[LogInByLink],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[StorefrontLogin]:
        """The secret of a login link, or of the link to an order of the account. It works once."""
        found = await find_link(shop.reads, store.id, data.uuid, now=now)
        entered: Entered
        if found is not None:
            purpose, known = found
            entered = await enter_by_secret(
                session, store.id, known, purpose, data.uuid, visitor=actor.customer_id, now=now
            )
        else:
            entered = await enter_by_order_link(session, store.id, data.uuid, now=now)
        answer = await answer_login(
            request,
            session,
            shop=shop,
            store=store,
            gate=gate,
            customer=entered.customer,
            brought=data,
            now=now,
            ends_others=entered.was_planted,
        )
        return answer.response

    @post(
        "/email/verify",
        status_code=204,
        operation_id="verifyEmail",
        summary="Verify a mail address",
        opt={LIMIT: "lookup", EXAMPLE: {"token": SOME_SECRET}},
    )
    @transactional
    async def verify(
        self,
        data: RequestBody[VerifyEmail],
        session: GivenSession,
        reads: GivenReads,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
    ) -> None:
        """From the mailed link, on any device: the address is verified, and a new one takes effect.

        Needs no login and makes none. With a login of the very account the call also proves that whoever made
        it reads the mail. Until that is proven, here or by a mailed code or link, a new password by mail or a
        provider that vouches for the address, such a proof ends what others may have chosen for the account:
        its password, sessions, other providers and passkeys.
        """
        visitor = actor.known().customer_id
        known = await find_secret(reads, store.id, "verify", data.token, now=now)
        await verify_address(session, store, known, data.token, visitor=visitor, now=now)
