"""Getting in and on by mailed secrets: a link that logs in, a new password, a proven address."""

from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.accounts.mailing import queue_mail
from app.domain.customers.codes import Tried, use_code, void_code
from app.domain.customers.errors import EMAIL_TAKEN, code_refused, login_failed, token_not_usable
from app.domain.customers.models import Customer, LoginSecret
from app.domain.customers.queries import lock_customer
from app.domain.customers.secrets import LINKS, KnownSecret, Purpose, lock_secret, void_secrets
from app.domain.customers.service import prove_address, set_password
from app.domain.newsletter.service import ask_customer, confirm_customer, follow_customer, move_customer
from app.domain.stores.queries import StoreConfig
from app.kit.errors import Invalid, Unauthenticated
from app.kit.ids import digest
from app.kit.places import email_key


class Entered(msgspec.Struct, frozen=True):
    """Who has come in, locked. was_planted: the account was taken back, so that all its other sessions must end.

    `secret` is the mailed one that they came by; `is_new` is an account that was made just now.
    """

    customer: Customer
    was_planted: bool = False
    secret: LoginSecret | None = None
    is_new: bool = False


async def prove_owner(
    session: AsyncSession,
    customer: Customer,
    *,
    now: datetime,
    by: LoginSecret | None = None,
    visitor: int | None = None,
) -> bool:
    """Note that whoever is here owns the account's address; True where nobody had shown that before.

    Then whatever somebody else chose for the account ends (prove_address), and the newsletter that they wished
    for is no wish of the owner's, who is asked by a mail. `visitor` is the customer who is logged in where it is
    shown: in the account's own login it is who wished for the newsletter, and it begins.
    """
    if not await prove_address(session, customer, now=now, by=by):
        return False
    agree = confirm_customer if visitor == customer.id else ask_customer
    await agree(session, customer.store_id, customer_id=customer.id, email_key=customer.email_key, now=now)
    return True


async def enter_by_secret(
    session: AsyncSession,
    store_id: int,
    known: KnownSecret | None,
    purpose: Purpose,
    secret: str,
    *,
    visitor: int | None,
    now: datetime,
) -> Entered:
    """The account of a mailed secret, locked with it. A link is used up; `reset` is not, but logs in once only.

    `link` came in one mail with digits, which end with it; that of staff came alone. The caller writes the
    session that a reset secret is bound to. Raises Unauthenticated login_failed.
    """
    if known is None:
        raise login_failed()
    customer, found = await _lock_both(session, store_id, known, purpose, secret, now=now)
    if customer is None or found is None or found.session_id is not None:
        raise login_failed()
    planted = await prove_owner(session, customer, now=now, by=found, visitor=visitor)
    if purpose in LINKS:
        found.used_at = now
    if purpose == "link":
        await void_code(session, store_id, customer.id)
    await session.flush()
    return Entered(customer, planted, found)


async def enter_by_code(
    session: AsyncSession, store_id: int, tried: Tried, *, visitor: int | None, now: datetime
) -> Entered:
    """The account of a right code, locked; the code is used up, and with it the link that came beside it.

    Raises Unauthenticated login_failed.
    """
    try:
        customer = await lock_customer(session, store_id, tried.customer_id)
    except Unauthenticated:
        raise code_refused() from None
    if not await use_code(session, store_id, tried):
        raise code_refused()
    await void_secrets(session, store_id, customer.id, now=now, purposes=("link",))
    return Entered(customer, await prove_owner(session, customer, now=now, visitor=visitor))


_USE_ORDER_LINK: Final = text(
    """
    UPDATE order_links SET used_at = :now
    WHERE digest = :digest AND store_id = :store_id AND used_at IS NULL AND expires_at > :now
    RETURNING order_id
    """
)
_OWNER: Final = text("SELECT customer_id, email FROM orders WHERE store_id = :store_id AND id = :order_id")


async def enter_by_order_link(session: AsyncSession, store_id: int, secret: str, *, now: datetime) -> Entered:
    """The account of an order whose link was mailed to the account's own address; the link is used up.

    Raises Unauthenticated login_failed, also for an order without an account.
    """
    values = {"store_id": store_id, "digest": digest(secret), "now": now}
    order_id = await session.scalar(_USE_ORDER_LINK, values)
    entered = await enter_by_order(session, store_id, order_id, now=now) if order_id else None
    if entered is None:
        raise login_failed()
    return entered


async def enter_by_order(
    session: AsyncSession, store_id: int, order_id: int, *, now: datetime
) -> Entered | None:
    """The account of an order whose mailed link was just used, locked; None where the link opens the order only."""
    found = (await session.execute(_OWNER, {"store_id": store_id, "order_id": order_id})).one()
    if found.customer_id is None:
        return None
    try:
        customer = await lock_customer(session, store_id, found.customer_id)
    except Unauthenticated:
        return None
    # The link was mailed to the order's address: it proves the account's only where that is the same, which is
    # known only now, as whoever held the lock may have changed it.
    if email_key(found.email) != customer.email_key:
        return None
    return Entered(customer, await prove_owner(session, customer, now=now))


async def reset_password(
    session: AsyncSession,
    store_id: int,
    known: KnownSecret,
    secret: str,
    *,
    new_digest: str,
    session_id: str | None,
    visitor: int | None,
    now: datetime,
) -> Customer:
    """Write a new password by a mailed secret, which is used up with every other open one.

    A secret that has logged in works in that session only. The caller ends the sessions. Raises Invalid
    token_not_usable.
    """
    customer, found = await _lock_both(session, store_id, known, "reset", secret, now=now)
    if customer is None or found is None or found.session_id not in (None, session_id):
        raise token_not_usable("password_reset_token")
    await prove_owner(session, customer, now=now, visitor=visitor)
    await change_password(session, customer, new_digest, now=now)
    return customer


async def change_password(
    session: AsyncSession, customer: Customer, new_digest: str, *, now: datetime
) -> None:
    """Write a new password and tell the customer of it. The caller holds the lock and ends the sessions."""
    await set_password(session, customer, new_digest, now=now)
    await session.flush()
    await queue_mail(
        session,
        customer.store_id,
        "password_changed",
        customer_id=customer.id,
        now=now,
        at=now.isoformat(),
    )


async def verify_address(
    session: AsyncSession,
    store: StoreConfig,
    known: KnownSecret | None,
    secret: str,
    *,
    visitor: int | None,
    now: datetime,
) -> None:
    """Note that somebody reads an address: it is verified; a new one takes the old one's place.

    Anybody may open the link, on any device. `visitor` is the customer who is logged in where it is opened: only
    the account's own proves its owner by that. Whoever else opens the link of a mail that they did not cause
    must not vouch for the password of a stranger who typed their address; they take the account over by another
    mail, which drives the stranger out (prove_owner). The old address is told, and what was mailed there opens
    nothing any more. Raises Invalid token_not_usable, or email_taken where another account has got the address
    meanwhile.
    """
    if known is None:
        raise token_not_usable("token")
    customer, found = await _lock_both(session, store.id, known, "verify", secret, now=now)
    if customer is None or found is None:
        raise token_not_usable("token")
    by_owner = visitor == customer.id
    if found.email_key == customer.email_key and customer.new_email is None:
        found.used_at = now
        customer.email_verified_at = now
        if by_owner:
            customer.owner_proven_at = customer.owner_proven_at or now
        # Whoever signed up wished for the newsletter. If that is who opens the link, they agree by it.
        agree = confirm_customer if by_owner else ask_customer
        await agree(session, store.id, customer_id=customer.id, email_key=customer.email_key, now=now)
    elif customer.new_email is not None and found.email_key == email_key(customer.new_email):
        await _take_new_address(session, store, customer, customer.new_email, by_owner=by_owner, now=now)
    else:
        raise token_not_usable("token")
    customer.updated_at = now
    await session.flush()


async def _take_new_address(
    session: AsyncSession,
    store: StoreConfig,
    customer: Customer,
    new: str,
    *,
    by_owner: bool,
    now: datetime,
) -> None:
    """The address is whoever's opened the link; that the account is theirs, too, only its own login says."""
    former, former_key = customer.email, customer.email_key
    customer.email, customer.email_key = new, email_key(new) or new
    customer.email_verified_at, customer.new_email = now, None
    customer.owner_proven_at = now if by_owner else None
    try:
        async with session.begin_nested():
            await session.flush()
    except IntegrityError:
        raise Invalid.at(
            "token", EMAIL_TAKEN, "This mail address has an account of its own by now."
        ) from None
    await void_secrets(session, store.id, customer.id, now=now)
    if by_owner:
        await move_customer(
            session,
            store.id,
            customer_id=customer.id,
            former_key=former_key,
            email=customer.email,
            email_key=customer.email_key,
            now=now,
        )
    else:
        await follow_customer(
            session, store, customer_id=customer.id, former_key=former_key, email=customer.email, now=now
        )
    await queue_mail(
        session,
        store.id,
        "email_changed",
        customer_id=customer.id,
        now=now,
        to=former,
        at=now.isoformat(),
    )


async def _lock_both(
    session: AsyncSession, store_id: int, known: KnownSecret, purpose: Purpose, secret: str, *, now: datetime
) -> tuple[Customer | None, LoginSecret | None]:
    """Customer, then secret: the order that changing a password takes them in too."""
    try:
        customer = await lock_customer(session, store_id, known.customer_id)
    except Unauthenticated:
        return None, None
    found = await lock_secret(session, store_id, purpose, secret, now=now)
    if found is not None and purpose != "verify" and found.email_key != customer.email_key:
        return customer, None
    return customer, found
