"""Signing up and the profile (contract rows B12, B18 and B19)."""

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Controller, Response, get, patch, post
from litestar.params import RequestBody
from msgspec import UNSET, UnsetType

from app.api.caching import NO_STORE
from app.api.dependencies import (
    LOGIN_NEEDED,
    GivenActor,
    GivenGate,
    GivenNow,
    GivenSession,
    GivenShop,
    GivenStore,
)
from app.api.faults import invalid_field
from app.api.openapi import ACCEPT_LANGUAGE, EXAMPLE, READS, X_SESSION
from app.api.rate_limits import AFTER_FORM, LIMIT, count_call
from app.api.request import ShopRequest
from app.api.storefront.logins import (
    Address,
    Arriving,
    Short,
    TypedPassword,
    answer_login,
    check_still_logged_in,
    prove_fresh,
    read_email,
)
from app.api.storefront.profile import StorefrontCustomer, StorefrontLogin, show_customer
from app.api.transactions import transactional
from app.domain.accounts.changes import change_account
from app.domain.accounts.queries import get_account
from app.domain.accounts.signing import NewAccount, sign_up
from app.domain.customers.errors import PASSWORD_NEEDED
from app.domain.customers.passwords import check_password
from app.domain.customers.queries import find_login_by_id, lock_customer
from app.kit.errors import Invalid
from app.kit.languages import wanted_languages
from app.kit.places import find_country, find_time_zone

OLDEST_YEARS: Final = 130

Name = Annotated[str, msgspec.Meta(max_length=100)]
Country = Annotated[str, msgspec.Meta(max_length=100, description="English name or ISO 3166 code.")]
Relationship = Literal["Single", "Married", "Engaged", "In a relationship"]
Gender = Literal["male", "female", "other"]


class SignUp(Arriving, kw_only=True):
    """`password` may be left out where the store makes accounts without; a link to set one is mailed then."""

    username: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    email: Address
    password: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    subscribe: bool = True
    time_zone: Short | None = None
    country: Country | None = None
    identity: Short | None = None
    invited_by_token: Short | None = None


class ChangeProfile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays. `current_password` is asked for where a login of long ago changes the address."""

    username: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | UnsetType = UNSET
    firstname: Name | UnsetType | None = UNSET
    lastname: Name | UnsetType | None = UNSET
    email: Address | UnsetType = UNSET
    current_password: TypedPassword | None = None
    relationship: Relationship | UnsetType | None = UNSET
    birthday: date | UnsetType | None = UNSET
    gender: Gender | UnsetType | None = UNSET
    country: Country | UnsetType | None = UNSET


def read_country(text: str | None, field: str = "country") -> str | None:
    """A country's ISO code; None where none is named. Raises Invalid naming the field."""
    if not text:
        return None
    code = find_country(text)
    if code is None:
        raise invalid_field(
            field, "unknown_country", "This is no country that we know by code or English name."
        )
    return code


def read_name(text: str, field: str) -> str:
    """A name on one line, as people write it. Raises Invalid for what cannot be printed."""
    name = " ".join(text.split())
    if not all(letter.isprintable() for letter in name):
        raise invalid_field(field, "invalid_text", "This contains characters that cannot be printed.")
    return name


def read_changes(data: ChangeProfile, *, now: datetime) -> dict[str, Any]:
    """The columns that change, checked. Raises Invalid naming the field."""
    sent = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    for name in ("email", "current_password"):
        sent.pop(name, None)
    for name in ("username", "firstname", "lastname"):
        if name in sent:
            sent[name] = read_name(sent[name] or "", name)
    if sent.get("username") == "":
        raise invalid_field("username", "required", "An account has a name.")
    if "country" in sent:
        sent["country"] = read_country(sent["country"])
    born = sent.get("birthday")
    if (born is not None and not now.year - OLDEST_YEARS <= born.year <= now.year) or (
        born and born > now.date()
    ):
        raise invalid_field("birthday", "impossible_birthday", "Nobody was born on this day.")
    return sent


class CustomerController(Controller):
    path = "/customer"
    tags = ("Account",)

    @post(
        "/signup",
        status_code=200,
        operation_id="signUp",
        summary="Make an account",
        opt={
            READS: (X_SESSION, ACCEPT_LANGUAGE),
            LIMIT: "signup",
            AFTER_FORM: True,
            EXAMPLE: {
                "username": "Ada Berg",
                "email": "ada@example.com",
                "password": "correct horse battery",
            },
        },
    )
    @transactional
    async def sign_up(
        self,
        request: ShopRequest,
        data: RequestBody[SignUp],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
    ) -> Response[StorefrontLogin]:
        """Makes the account and logs in. A link to verify the address is mailed."""
        email, key = read_email(data.email)
        username = read_name(data.username, "username")
        if not username:
            raise invalid_field("username", "required", "An account has a name.")
        country = read_country(data.country)
        if data.password:
            password = check_password(data.password, names=(username, email))
        elif store.customers.password_generated:
            password = None
        else:
            raise Invalid.at("password", PASSWORD_NEEDED, "Choose a password.")
        await count_call(request)
        await gate.guesses.count_sign_up(store.id, key)
        customer = await sign_up(
            session,
            store,
            NewAccount(
                email=email,
                username=username,
                password_digest=await gate.hasher.hash(password) if password else None,
                subscribe=data.subscribe,
                country=country,
                time_zone=find_time_zone(data.time_zone or ""),
                language=wanted_languages(request.headers.get("accept-language")),
                identity=data.identity,
                invited_by_token=data.invited_by_token,
            ),
            now=now,
        )
        answer = await answer_login(
            request,
            session,
            shop=shop,
            store=store,
            gate=gate,
            customer=customer,
            brought=data,
            now=now,
            tells_of_device=False,
        )
        return answer.response

    @get("/", operation_id="getCustomer", summary="The profile", dependencies=LOGIN_NEEDED)
    @transactional
    async def read(
        self, session: GivenSession, store: GivenStore, actor: GivenActor
    ) -> Response[StorefrontCustomer]:
        """Who is logged in."""
        account = await get_account(session, store.id, actor.customer())
        return Response(show_customer(account), headers=NO_STORE)

    @patch(
        "/",
        operation_id="changeCustomer",
        dependencies=LOGIN_NEEDED,
        summary="Change the profile",
        opt={LIMIT: "forms", EXAMPLE: {"firstname": "Ada", "country": "United Kingdom"}},
    )
    @transactional
    async def change(
        self,
        request: ShopRequest,
        data: RequestBody[ChangeProfile],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[StorefrontCustomer]:
        """Changes what is sent; a new mail address takes effect once its mailed link is opened.

        Whoever has the address has the account, so another one needs a login of the last 15 minutes, or the
        `current_password` (`fresh_login_needed`). The account's own address takes back a change that waits;
        while it is not confirmed, its link is mailed again, once a minute at most.
        """
        changes = read_changes(data, now=now)
        email = None
        if data.email is not UNSET:
            email, key = read_email(data.email)
            account = await find_login_by_id(shop.reads, store.id, actor.customer())
            if key != account.email_key:
                await prove_fresh(
                    request, data.current_password, shop=shop, store=store, gate=gate, actor=actor, now=now
                )
        customer = await lock_customer(session, store.id, actor.customer())
        if email is not None:
            await check_still_logged_in(request, store=store, gate=gate, now=now)
        await change_account(session, customer, changes, email=email, now=now)
        changed = await get_account(session, store.id, customer.id)
        return Response(show_customer(changed), headers=NO_STORE)
