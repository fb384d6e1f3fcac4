"""How a newsletter begins and ends: asked for by anybody, agreed to by the owner of the address alone."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.domain.newsletter.errors import confirmation_not_found
from app.domain.newsletter.models import Subscription
from app.domain.newsletter.queries import Opened, lock_address, of_address
from app.domain.newsletter.states import PENDING, SUBSCRIBED, UNSUBSCRIBED, may_move
from app.domain.stores.queries import StoreConfig
from app.kit.ids import digest, new_uuid
from app.kit.places import email_key as key_of

SEND: Final = "newsletter.send"
SIGNUP: Final = "signup"
# What a request brings where the owner's own row has nothing yet.
_GAPS: Final = ("customer_id", "name", "birthday", "gender", "language", "identity", "behaviour")


class NewSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """What a form says. `source` names the form, as the proof of consent needs it."""

    email: str
    email_key: str
    source: str
    customer_id: int | None = None
    identity: str | None = None
    language: str | None = None
    utms: dict[str, Any] = {}
    behaviour: str | None = None
    behaviour_params: dict[str, Any] = {}


async def subscribe(
    session: AsyncSession, store: StoreConfig, wish: NewSubscription, *, now: datetime, mail: bool = True
) -> Subscription:
    """Write down that somebody asked for the newsletter, and queue one mail to the address.

    Known and unknown addresses take the same two statements and give the same result: what the owner of
    the address agreed to earlier is another row, which is not looked at. An address gets one mail in ten
    minutes, however often it is asked for.
    """
    double = store.newsletter.double_opt_in
    new = insert(Subscription).values(
        store_id=store.id,
        uuid=new_uuid(),
        form_uuid=new_uuid(),
        email=wish.email,
        email_key=wish.email_key,
        customer_id=wish.customer_id,
        status=PENDING if double else SUBSCRIBED,
        identity=wish.identity,
        language=wish.language,
        utms=wish.utms,
        behaviour=wish.behaviour,
        behaviour_params=wish.behaviour_params,
        consent_at=None if double else now,
        consent_source=wish.source,
        created_at=now,
        updated_at=now,
    )
    old, sent = Subscription, new.excluded
    query = (
        new.on_conflict_do_update(
            index_elements=["store_id", "email_key"],
            index_where=old.confirmed_at.is_(None),
            set_={
                "email": sent.email,
                # created_at is when it was last asked for: when others did is nobody's business.
                "created_at": sent.created_at,
                "updated_at": sent.updated_at,
                "status": case((old.status == SUBSCRIBED, old.status), else_=sent.status),
                "consent_at": case((old.status == SUBSCRIBED, old.consent_at), else_=sent.consent_at),
                "consent_source": case(
                    (old.status == SUBSCRIBED, old.consent_source), else_=sent.consent_source
                ),
                # A link that is over says no more who ended what was asked for before.
                "confirm_expires_at": case(
                    (old.confirm_expires_at <= now, None), else_=old.confirm_expires_at
                ),
                "customer_id": func.coalesce(sent.customer_id, old.customer_id),
                "language": func.coalesce(sent.language, old.language),
                "identity": func.coalesce(sent.identity, old.identity),
                "behaviour": func.coalesce(sent.behaviour, old.behaviour),
                "utms": case((sent.utms == {}, old.utms), else_=sent.utms),
                "behaviour_params": case(
                    (sent.behaviour_params == {}, old.behaviour_params), else_=sent.behaviour_params
                ),
            },
        )
        .returning(Subscription)
        .execution_options(populate_existing=True)
    )
    subscription = (await session.scalars(query)).one()
    # A subscription that began at once is welcomed once; a question may be asked again.
    occasion = subscription.consent_at.isoformat() if subscription.consent_at else f"{now:%Y%m%d%H%M}"[:-1]
    await _queue_mail(session, subscription, occasion, now=now, wanted=mail)
    return subscription


async def _queue_mail(
    session: AsyncSession, subscription: Subscription, occasion: str, *, now: datetime, wanted: bool = True
) -> None:
    await queue.enqueue(
        session,
        store_id=subscription.store_id,
        kind=SEND,
        dedupe_key=f"{subscription.id}:{occasion}",
        payload={"subscription_id": subscription.id},
        run_at=now,
        wanted=wanted,
    )


async def confirm_subscription(
    session: AsyncSession, store_id: int, *, token: str, now: datetime
) -> Subscription:
    """The owner of the address agrees, by the secret in the mail. Again with the same secret changes nothing.

    Raises NotFound confirmation_not_found. Locks the rows of the address.
    """
    key = digest(token)
    email_key = await session.scalar(
        select(Subscription.email_key).where(
            Subscription.store_id == store_id,
            Subscription.confirm_digest == key,
            Subscription.confirm_expires_at > now,
        )
    )
    rows = await lock_address(session, store_id, email_key) if email_key else ()
    found = next((row for row in rows if row.confirm_digest == key), None)
    # What was ended before its owner had a say was ended by whoever asked, or by anybody who asked again.
    if found is None or (found.status == UNSUBSCRIBED and found.confirmed_at is not None):
        raise confirmation_not_found()
    if found.confirmed_at is not None:
        return found
    return await _prove(session, found, _confirmed(rows), now=now)


def _confirmed(rows: Iterable[Subscription]) -> Subscription | None:
    return next((row for row in rows if row.confirmed_at is not None), None)


async def _prove(
    session: AsyncSession, request: Subscription, kept: Subscription | None, *, now: datetime
) -> Subscription:
    """Make a request the owner's subscription: its own row, or part of the one that there is."""
    if kept is None:
        kept = request
    else:
        for name in _GAPS:
            if getattr(kept, name) is None:
                setattr(kept, name, getattr(request, name))
        taken = {
            name: getattr(request, name)
            for name in ("form_uuid", "confirm_digest", "confirm_expires_at", "consent_source")
        }
        taken["utms"] = request.utms or kept.utms
        taken["behaviour_params"] = request.behaviour_params or kept.behaviour_params
        # Gone first: what it hands on is unique.
        await session.delete(request)
        await session.flush()
        for name, value in taken.items():
            setattr(kept, name, value)
    kept.confirmed_at = now
    if kept.status != SUBSCRIBED:
        _move(kept, SUBSCRIBED, now=now)
        kept.consent_at = now
        await _queue_mail(session, kept, now.isoformat(), now=now)
    kept.updated_at = now
    await session.flush()
    return kept


def _move(subscription: Subscription, status: str, *, now: datetime) -> None:
    """Write another status. Beside the insert of `subscribe` the only place that does."""
    if not may_move(subscription.status, status):
        raise ValueError(f"no move from {subscription.status} to {status}")
    subscription.status = status
    subscription.updated_at = now
    if status == UNSUBSCRIBED:
        subscription.unsubscribed_at = now


async def change_subscription(
    session: AsyncSession, opened: Opened, *, name: str, birthday: date, gender: str, now: datetime
) -> Subscription:
    """Write down who the reader is. Whoever asked may say so too, and cannot read what others said."""
    subscription = opened.subscription
    subscription.name = name
    subscription.birthday = birthday
    subscription.gender = gender
    subscription.updated_at = now
    await session.flush()
    return subscription


async def unsubscribe(
    session: AsyncSession, opened: Opened, *, note: str | None, now: datetime
) -> Subscription:
    """End a subscription: by its owner all that there is of the address; by whoever asked, what they asked for.

    Anybody who knows an address can come by the uuid of its request, so that takes nothing from the owner: the
    mailed link still begins the newsletter, and where it had begun without one, the address is told and mailed
    a link. Again changes nothing but the note. Locks the rows of the address.
    """
    subscription = opened.subscription
    rows = await lock_address(session, subscription.store_id, subscription.email_key)
    for row in rows:
        if opened.by_owner or row.id == subscription.id:
            if row.status == SUBSCRIBED and not opened.by_owner:
                await _queue_mail(session, row, f"ended:{now:%Y%m%d}", now=now)
            if row.status != UNSUBSCRIBED:
                _move(row, UNSUBSCRIBED, now=now)
            if opened.by_owner:
                row.confirm_expires_at = now
            row.unsubscribe_note = note if note is not None else row.unsubscribe_note
    await session.flush()
    return subscription


async def subscribe_customer(
    session: AsyncSession,
    store: StoreConfig,
    *,
    customer_id: int,
    email: str,
    email_key: str,
    verified: bool,
    language: str | None,
    now: datetime,
    source: str = SIGNUP,
) -> None:
    """A customer wants the newsletter. An address that is theirs for certain is subscribed at once.

    Else, with double opt-in, no mail of its own goes out yet: whoever opens the link that verifies the account's
    address in the account's own login agrees by it (confirm_customer), and anybody else is asked (ask_customer).
    """
    wish = NewSubscription(
        email=email, email_key=email_key, source=source, customer_id=customer_id, language=language
    )
    waits = store.newsletter.double_opt_in and not verified
    await subscribe(session, store, wish, now=now, mail=not waits and not verified)
    if verified:
        await confirm_customer(session, store.id, customer_id=customer_id, email_key=email_key, now=now)


async def confirm_customer(
    session: AsyncSession, store_id: int, *, customer_id: int, email_key: str, now: datetime
) -> None:
    """A customer proved their address: what they asked for as a customer begins. Locks the address's rows."""
    rows = await lock_address(session, store_id, email_key)
    request = _wish_of(rows, customer_id)
    if request is not None:
        await _prove(session, request, _confirmed(rows), now=now)


async def ask_customer(
    session: AsyncSession, store_id: int, *, customer_id: int, email_key: str, now: datetime
) -> None:
    """Mail the link that begins a newsletter which waits, where whoever wished for it may have been another.

    For an address that somebody just showed to read, outside of the login that wished. Locks the address's rows.
    """
    request = _wish_of(await lock_address(session, store_id, email_key), customer_id)
    if request is not None and request.status == PENDING:
        await _queue_mail(session, request, f"asked:{now:%Y%m%d%H%M}"[:-1], now=now)


def _wish_of(rows: Iterable[Subscription], customer_id: int) -> Subscription | None:
    """What was asked for in a customer's name, and neither agreed to nor ended since."""
    request = next((row for row in rows if row.confirmed_at is None), None)
    if request is None or request.customer_id != customer_id or request.status == UNSUBSCRIBED:
        return None
    return request


async def follow_customer(
    session: AsyncSession,
    store: StoreConfig,
    *,
    customer_id: int,
    former_key: str,
    email: str,
    now: datetime,
) -> None:
    """What a customer gets ends at the former address, and the new one is asked whether it is wanted there.

    For a new address that somebody opened the link of, who may not be the customer: what its owner has said of
    it, and what is personal to the customer, are kept apart. Locks the rows of the former address.
    """
    rows = await lock_address(session, store.id, former_key)
    mine = [row for row in rows if row.customer_id == customer_id]
    wanted = _wanted(mine)
    for row in mine:
        await session.delete(row)
    await session.flush()
    if wanted is not None:
        wish = NewSubscription(
            email=email,
            email_key=key_of(email) or email,
            source=wanted.consent_source or SIGNUP,
            customer_id=customer_id,
            language=wanted.language,
        )
        await subscribe(session, store, wish, now=now)


def _wanted(rows: Iterable[Subscription]) -> Subscription | None:
    """The one of an address's rows that stands, the owner's own word first."""
    return next((row for row in sorted(rows, key=_is_request) if row.status != UNSUBSCRIBED), None)


async def move_customer(
    session: AsyncSession,
    store_id: int,
    *,
    customer_id: int,
    former_key: str,
    email: str,
    email_key: str,
    now: datetime,
) -> None:
    """What a customer gets goes along to the new address that they have just proven, under new uuids.

    The former address may be a stranger's by now, and its mails open nothing of the new one. Where the owner of
    the new address has spoken for it before, by the link in a mail, that stands. What others asked for, for
    either address, stays as it is. Locks the rows of both addresses.
    """
    query = (
        select(Subscription)
        .where(Subscription.store_id == store_id, of_address(former_key) | of_address(email_key))
        .order_by(Subscription.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    rows = (await session.scalars(query)).all()
    mine = [row for row in rows if row.email_key == former_key and row.customer_id == customer_id]
    wanted = _wanted(mine)
    spoken = _confirmed(row for row in rows if row.email_key == email_key)
    if wanted is None:
        return
    for row in mine:
        if row is not wanted or spoken is not None:
            await session.delete(row)
    await session.flush()
    if spoken is not None:
        spoken.customer_id = customer_id
        return
    wanted.email, wanted.email_key = email, email_key
    wanted.uuid, wanted.form_uuid = new_uuid(), new_uuid()
    wanted.confirm_digest = None
    await _prove(session, wanted, None, now=now)


def _is_request(row: Subscription) -> bool:
    return row.confirmed_at is None


async def forget_customer(
    session: AsyncSession, store_id: int, *, customer_id: int, email_key: str, proven: bool
) -> None:
    """A closed account leaves nothing behind: neither what the customer asked for nor what the address did.

    Not `proven`: the address may be somebody else's, and what its owner agreed to by a mail stays theirs.
    """
    of_customer = Subscription.customer_id == customer_id
    if not proven:
        owners = of_customer & Subscription.confirmed_at.is_not(None)
        await session.execute(
            update(Subscription).where(Subscription.store_id == store_id, owners).values(customer_id=None)
        )
    gone = of_customer | of_address(email_key) if proven else of_customer
    await session.execute(delete(Subscription).where(Subscription.store_id == store_id, gone))
