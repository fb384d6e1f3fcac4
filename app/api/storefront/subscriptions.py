"""The newsletter (contract rows B25 to B28): asked for, confirmed, told who reads it, ended.

Whoever knows an address may ask for its newsletter, so what that answers must neither tell nor open anything:
the same words for every address, and a uuid of the form's own. It follows what was asked for (address, status),
takes a name and birthday, and never shows them again. The uuid that opens everything is in mails only, and in
the answer to the secret of a mail.
"""

from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Final, Literal
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import RequestBody
from litestar.response import Redirect
from msgspec import UNSET, Meta, UnsetType

from app.api.dependencies import GivenNow, GivenSession, GivenShop, GivenStore
from app.api.faults import invalid_field
from app.api.idempotency import answered, read_key
from app.api.limits import Email, Line, PathToken, RequiredLine, Text, Token, bounded
from app.api.openapi import ACCEPT_LANGUAGE, EXAMPLE, KEYED, READS
from app.api.rate_limits import LIMIT
from app.api.request import ShopRequest
from app.api.storefront.carts import read_uuid
from app.api.storefront.logins import read_email
from app.api.transactions import transactional
from app.db import idempotency
from app.domain.newsletter.errors import subscription_not_found
from app.domain.newsletter.models import Subscription
from app.domain.newsletter.queries import Opened, get_subscription
from app.domain.newsletter.service import (
    NewSubscription,
    change_subscription,
    confirm_subscription,
    subscribe,
    unsubscribe,
)
from app.kit.clock import isoformat
from app.kit.languages import wanted_languages

FIRST_YEAR = 1900
SOME_TOKEN = "dJ0s3Vf8cXw1qk2uTz7mPb5nRy9aLh4eGo6iCx3vBt8"  # noqa: S105 - an example, opens nothing


class Subscribe(msgspec.Struct, forbid_unknown_fields=True):
    """`identity`, `utms` and `behaviour` say where the reader came from; they are kept as they are."""

    email: Email
    identity: Line | None = None
    utms: dict[str, Any] | None = None
    behaviour: Line | None = None
    behaviour_params: dict[str, Any] | None = None


class ConfirmSubscription(msgspec.Struct, forbid_unknown_fields=True):
    """`token` is the secret of the mailed link."""

    token: Token


class ChangeSubscription(msgspec.Struct, forbid_unknown_fields=True):
    """Who the reader is. A `uuid` is the path's, once more."""

    name: RequiredLine
    day: Annotated[int, Meta(ge=1, le=31)]
    month: Annotated[int, Meta(ge=1, le=12)]
    year: Annotated[int, Meta(ge=FIRST_YEAR, le=9999)]
    gender: Literal["male", "female", "other"]
    uuid: Token | None = None


class Unsubscribe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the reader has to say, which may be nothing; or what mail programs send (RFC 8058).

    A `uuid` is the path's, once more.
    """

    NEEDS_ONE: ClassVar = ("unsubscribe_note", "List-Unsubscribe")

    unsubscribe_note: Text | UnsetType = UNSET
    one_click: Literal["One-Click"] | UnsetType = msgspec.field(default=UNSET, name="List-Unsubscribe")
    uuid: Token | None = None


# A call without a body, which is answered by what it lacks.
_NOTHING_SAID: Final = Unsubscribe()


class StorefrontSubscription(msgspec.Struct):
    """A newsletter subscription. Name, birthday and gender are shown to whoever has the uuid of a mail."""

    uuid: str
    email: str
    status: Literal["pending", "subscribed", "unsubscribed"]
    name: str | None
    birthday: str | None
    gender: str | None
    created_at: str


def _show(subscription: Subscription, *, to_owner: bool, told: bool = False) -> StorefrontSubscription:
    """`told`: the caller has just said who the reader is, and is answered what they said."""
    seen = to_owner or told
    birthday = subscription.birthday
    began: datetime = subscription.created_at
    if not to_owner:
        # When the address was first known here is the owner's to know.
        began = subscription.confirmed_at or began
    return StorefrontSubscription(
        uuid=str(subscription.uuid if to_owner else subscription.form_uuid),
        email=subscription.email,
        status=subscription.status,  # type: ignore[arg-type]  # a CHECK holds the three words
        name=subscription.name if seen else None,
        birthday=birthday.isoformat() if seen and birthday else None,
        gender=subscription.gender if seen else None,
        created_at=isoformat(began),
    )


def _show_opened(opened: Opened) -> StorefrontSubscription:
    return _show(opened.subscription, to_owner=opened.by_owner)


def _read_uuid(named: str, again: str | None) -> UUID | None:
    """The subscription of the path, which a body may name as well. Raises Invalid where it names another one."""
    uuid = read_uuid(named)
    if again is not None and read_uuid(again) != uuid:
        raise invalid_field("uuid", "uuid_mismatch", "This is another uuid than the path's.")
    return uuid


def _birthday(data: ChangeSubscription, *, today: date) -> date:
    try:
        found = date(data.year, data.month, data.day)
    except ValueError:
        raise invalid_field("day", "invalid_date", "There is no such day in that month.") from None
    if found > today:
        raise invalid_field("year", "invalid_date", "A birthday is not in the future.")
    return found


class SubscriptionController(Controller):
    """Newsletter subscriptions belong to whoever has their uuid."""

    path = "/subscriptions"
    tags = ("Newsletter",)

    @post(
        "/",
        status_code=200,
        operation_id="subscribe",
        summary="Ask for the newsletter",
        opt={
            READS: (ACCEPT_LANGUAGE,),
            LIMIT: "forms",
            KEYED: True,
            EXAMPLE: {"email": "ada@example.com", "behaviour": "roulette", "utms": {"country": "USA"}},
        },
    )
    @transactional
    async def subscribe(
        self,
        request: ShopRequest,
        data: RequestBody[Subscribe],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        now: GivenNow,
    ) -> Response[StorefrontSubscription]:
        """One mail goes to the address; where the store asks for it, the newsletter begins with its link.

        Known and unknown addresses are answered alike: an address that subscribed long ago is answered a new,
        pending request, the same one until it is confirmed, which does not open what is there. Takes
        Idempotency-Key.
        """
        email, compared = read_email(data.email)
        key = await read_key(request, caller=None)
        keep_seconds = shop.settings.idempotency_seconds
        made = await idempotency.claim(session, store.id, key, now=now, keep_seconds=keep_seconds)
        if made is not None:
            asked = (await get_subscription(session, store.id, UUID(made["uuid"]), now=now)).subscription
            return answered(_show(asked, to_owner=False), replayed=True)
        wish = NewSubscription(
            email=email,
            email_key=compared,
            source=data.behaviour or "form",
            identity=data.identity,
            language=wanted_languages(request.headers.get("accept-language")),
            utms=bounded(data.utms or {}, "utms"),
            behaviour=data.behaviour,
            behaviour_params=bounded(data.behaviour_params or {}, "behaviour_params"),
        )
        asked = await subscribe(session, store, wish, now=now)
        await idempotency.keep(session, store.id, key, {"uuid": str(asked.form_uuid)})
        return answered(_show(asked, to_owner=False), replayed=False)

    @post(
        "/confirm",
        status_code=200,
        operation_id="confirmSubscription",
        summary="Open the mailed link",
        opt={LIMIT: "lookup", EXAMPLE: {"token": SOME_TOKEN}},
    )
    @transactional
    async def confirm(
        self,
        data: RequestBody[ConfirmSubscription],
        session: GivenSession,
        store: GivenStore,
        now: GivenNow,
    ) -> StorefrontSubscription:
        """The newsletter begins. The uuid of the answer is the one of the mails, which opens everything."""
        return _show(await confirm_subscription(session, store.id, token=data.token, now=now), to_owner=True)

    @get("/{uuid:str}", operation_id="getSubscription", summary="Read a subscription")
    @transactional
    async def read(
        self, uuid: PathToken, session: GivenSession, store: GivenStore, now: GivenNow
    ) -> StorefrontSubscription:
        """Address and status; who the reader is only for the uuid that was mailed."""
        return _show_opened(await get_subscription(session, store.id, read_uuid(uuid), now=now))

    @put(
        "/{uuid:str}",
        operation_id="changeSubscription",
        summary="Say who reads it",
        opt={EXAMPLE: {"name": "Ada Berg", "day": 3, "month": 2, "year": 1990, "gender": "female"}},
    )
    @transactional
    async def change(
        self,
        uuid: PathToken,
        data: RequestBody[ChangeSubscription],
        session: GivenSession,
        store: GivenStore,
        now: GivenNow,
    ) -> StorefrontSubscription:
        """Name, birthday and gender. A day that is none, or in the future, is a 422."""
        birthday = _birthday(data, today=now.date())
        named = _read_uuid(uuid, data.uuid)
        opened = await get_subscription(session, store.id, named, now=now, lock=True)
        changed = await change_subscription(
            session, opened, name=data.name, birthday=birthday, gender=data.gender, now=now
        )
        return _show(changed, to_owner=opened.by_owner, told=True)

    @post(
        "/{uuid:str}/unsubscribe",
        status_code=200,
        operation_id="unsubscribe",
        summary="End a subscription",
        opt={EXAMPLE: {"unsubscribe_note": "Too many letters"}},
    )
    @transactional
    async def unsubscribe(
        self,
        uuid: PathToken,
        session: GivenSession,
        store: GivenStore,
        now: GivenNow,
        data: RequestBody[Unsubscribe] = _NOTHING_SAID,
    ) -> StorefrontSubscription:
        """Ends it; again changes nothing but the note.

        Also what mail programs call by themselves (RFC 8058): a form with `List-Unsubscribe=One-Click`, without
        cookie and without a page of ours.
        """
        note = data.unsubscribe_note
        if note is UNSET and data.one_click is UNSET:
            raise invalid_field(
                "unsubscribe_note",
                "required",
                "Send a note, which may be empty, or List-Unsubscribe=One-Click as mail programs do.",
            )
        opened = await get_subscription(session, store.id, _read_uuid(uuid, data.uuid), now=now)
        await unsubscribe(session, opened, note=None if note is UNSET else note, now=now)
        return _show_opened(opened)

    @get(
        "/{uuid:str}/unsubscribe",
        status_code=303,
        operation_id="showSubscription",
        summary="The shop's page of a subscription",
        responses={303: ResponseSpec(None, description="Where the page is.")},
    )
    async def show_page(self, uuid: PathToken, shop: GivenShop) -> Redirect:
        """For mail programs that open the address of one click as a page: looking ends nothing."""
        named = read_uuid(uuid)
        if named is None:
            raise subscription_not_found()
        return Redirect(f"{shop.settings.shop_url}/#/newsletter/{named}", status_code=303)
