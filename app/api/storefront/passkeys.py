"""Passkeys: adding, listing and removing them, and logging in with one without saying who one is."""

from litestar import Controller, Response, delete, get, post
from litestar.params import RequestBody

from app.api.caching import NO_STORE
from app.api.client import client_address
from app.api.dependencies import (
    LOGIN_NEEDED,
    GivenActor,
    GivenGate,
    GivenNow,
    GivenSession,
    GivenShop,
    GivenStore,
)
from app.api.idempotency import answered, caller_of, read_key
from app.api.limits import PathId
from app.api.openapi import ANSWERS, EXAMPLE, KEYED, READS, X_SESSION
from app.api.rate_limits import LIMIT
from app.api.request import ShopRequest
from app.api.storefront.customers import read_name
from app.api.storefront.logins import answer_login, check_still_logged_in, prove_fresh
from app.api.storefront.passkey_shapes import (
    SOME_CREDENTIAL,
    SOME_NEW,
    SOME_USE,
    AddPasskey,
    BeginPasskey,
    BeginPasskeyLogin,
    LogInByPasskey,
    PasskeyAlgorithm,
    PasskeyDescriptor,
    PasskeyLoginOptions,
    PasskeyOptions,
    PasskeySelection,
    PasskeyUser,
    RelyingParty,
    StorefrontPasskey,
    StorefrontPasskeys,
    read_new_credential,
    read_used_credential,
    show_passkey,
)
from app.api.storefront.profile import StorefrontLogin
from app.api.transactions import once, transactional
from app.db import idempotency
from app.domain.accounts.mailing import queue_mail
from app.domain.customers.devices import device_name
from app.domain.customers.errors import passkey_not_known, passkey_refused
from app.domain.customers.passkeys import (
    ALGORITHMS,
    CHALLENGE_SECONDS,
    PasskeyLogin,
    PasskeyRegistration,
    add_passkey,
    find_passkey,
    get_passkey,
    give_handle,
    list_passkeys,
    new_challenge,
    refuse_too_many,
    remove_passkey,
    use_passkey,
)
from app.domain.customers.queries import lock_customer
from app.kit.ids import base64url, new_token, read_base64url


class PasskeyController(Controller):
    """Every call is about the passkeys of whoever is logged in; anybody else's are a 404."""

    path = "/customer/passkeys"
    dependencies = LOGIN_NEEDED
    tags = ("Account",)

    @post(
        "/options",
        status_code=200,
        operation_id="beginPasskey",
        summary="Begin to add a passkey",
        opt={EXAMPLE: {"password": "correct horse battery"}},
    )
    @transactional
    async def begin(
        self,
        request: ShopRequest,
        data: RequestBody[BeginPasskey],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[PasskeyOptions]:
        """The options for `navigator.credentials.create()`, good for five minutes in this session.

        A passkey outlives the login that added it, so a stolen one must not suffice: the login is at most
        a quarter of an hour old, or the account's `password` comes along.
        """
        customer_id = actor.customer()
        await prove_fresh(
            request,
            data.password,
            field="password",
            shop=shop,
            store=store,
            gate=gate,
            actor=actor,
            now=now,
        )
        customer = await lock_customer(session, store.id, customer_id)
        await refuse_too_many(session, store.id, customer_id)
        handle, challenge = give_handle(customer), new_challenge()
        await gate.records.keep(
            actor.session_id or "",
            PasskeyRegistration(store.id, customer_id, challenge),
            seconds=CHALLENGE_SECONDS,
        )
        held = await list_passkeys(session, store.id, customer_id)
        options = PasskeyOptions(
            rp=RelyingParty(gate.passkeys.domain, store.name),
            user=PasskeyUser(
                base64url(handle), customer.email, f"{customer.firstname} {customer.lastname}".strip()
            ),
            challenge=base64url(challenge),
            pub_key_cred_params=[PasskeyAlgorithm(number) for number in ALGORITHMS],
            exclude_credentials=[
                PasskeyDescriptor(base64url(one.credential_id), one.transports) for one in held
            ],
            authenticator_selection=PasskeySelection(),
        )
        return Response(options, headers=NO_STORE)

    @post(
        "/",
        status_code=201,
        operation_id="addPasskey",
        summary="Add a passkey",
        opt={
            KEYED: True,
            EXAMPLE: {"credential": SOME_CREDENTIAL | {"response": SOME_NEW}, "name": "My telephone"},
        },
    )
    @transactional
    async def add(
        self,
        request: ShopRequest,
        data: RequestBody[AddPasskey],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[StorefrontPasskey]:
        """Keeps what the browser made of the options, and tells the customer by mail. Takes Idempotency-Key."""
        customer_id = actor.customer()
        credential = read_new_credential(data.credential)
        name = read_name(data.name, "name")
        agent = request.headers.get("user-agent", "")
        key = await read_key(request, caller=caller_of(actor, None))
        before = await idempotency.claim(
            session, store.id, key, now=now, keep_seconds=shop.settings.idempotency_seconds
        )
        if before is not None:
            found = await get_passkey(session, store.id, customer_id, before["passkey_id"])
            return answered(show_passkey(found), replayed=True, status_code=201)
        begun = await once(
            request, "begun", lambda: gate.records.take(actor.session_id or "", PasskeyRegistration)
        )
        if begun is None or (begun.store_id, begun.customer_id) != (store.id, customer_id):
            raise passkey_refused("Begin anew: the options were used, or are older than five minutes.")
        made = await gate.passkeys.check_new(credential, challenge=begun.challenge)
        customer = await lock_customer(session, store.id, customer_id)
        await check_still_logged_in(request, store=store, gate=gate, now=now)
        added = await add_passkey(
            session,
            customer,
            made,
            name=name or device_name(agent) or "Passkey",
            transports=data.credential.response.transports,
            now=now,
        )
        await queue_mail(
            session,
            store.id,
            "passkey_added",
            customer_id=customer_id,
            now=now,
            passkey=added.name,
            address=client_address(request.scope, shop.settings.trusted_proxies),
            at=now.isoformat(),
        )
        await idempotency.keep(session, store.id, key, {"passkey_id": added.id})
        return answered(show_passkey(added), replayed=False, status_code=201)

    @get("/", operation_id="listPasskeys", summary="One's passkeys")
    @transactional
    async def list(
        self, session: GivenSession, store: GivenStore, actor: GivenActor
    ) -> Response[StorefrontPasskeys]:
        """The customer's passkeys in the order they came."""
        found = await list_passkeys(session, store.id, actor.customer())
        return Response(StorefrontPasskeys([show_passkey(one) for one in found]), headers=NO_STORE)

    @delete("/{passkey_id:int}", status_code=204, operation_id="removePasskey", summary="Remove a passkey")
    @transactional
    async def remove(
        self, passkey_id: PathId, session: GivenSession, store: GivenStore, actor: GivenActor
    ) -> None:
        """It opens nothing any more; logins that it began go on until they are ended.

        Also the last one may go: who reads the account's mail gets in by a mailed code.
        """
        await remove_passkey(session, store.id, actor.customer(), passkey_id)


class PasskeyLoginController(Controller):
    path = "/customer/login/passkey"
    tags = ("Account",)

    @post(
        "/options",
        status_code=200,
        operation_id="beginPasskeyLogin",
        summary="Begin to log in with a passkey",
        opt={LIMIT: "lookup", EXAMPLE: {}},
    )
    async def begin(
        self,
        data: RequestBody[BeginPasskeyLogin],  # noqa: ARG002 - read so that an unknown field is refused
        store: GivenStore,
        gate: GivenGate,
    ) -> Response[PasskeyLoginOptions]:
        """The options for `navigator.credentials.get()`, good once and for five minutes; the same for everybody."""
        challenge, login_id = new_challenge(), new_token()
        await gate.records.keep(login_id, PasskeyLogin(store.id, challenge), seconds=CHALLENGE_SECONDS)
        options = PasskeyLoginOptions(base64url(challenge), gate.passkeys.domain, login_id)
        return Response(options, headers=NO_STORE)

    @post(
        "/",
        status_code=200,
        operation_id="logInByPasskey",
        summary="Log in with a passkey",
        opt={
            READS: (X_SESSION,),
            ANSWERS: (401,),
            LIMIT: "login",
            EXAMPLE: {
                "login_id": "dJ0s3Vf8cXw1qk2uTz7mPb5nRy9aLh4eGo6iCx3vBt8",
                "credential": SOME_CREDENTIAL | {"response": SOME_USE},
            },
        },
    )
    @transactional
    async def log_in(
        self,
        request: ShopRequest,
        data: RequestBody[LogInByPasskey],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
    ) -> Response[StorefrontLogin]:
        """The customer and an `auth_key`, as every login. One answer for all that can be wrong with a passkey."""
        credential = read_used_credential(data.credential)
        begun = await once(request, "begun", lambda: gate.records.take(data.login_id, PasskeyLogin))
        known = await find_passkey(shop.reads, store.id, credential.id)
        handle = read_base64url(data.credential.response.user_handle or "")
        if begun is None or begun.store_id != store.id or known is None or handle != known.handle:
            raise passkey_not_known()
        used = await gate.passkeys.check_use(
            credential,
            challenge=begun.challenge,
            public_key=known.public_key,
            sign_count=known.sign_count,
        )
        customer = await use_passkey(session, store.id, known, used, now=now)
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
        return answer.response
