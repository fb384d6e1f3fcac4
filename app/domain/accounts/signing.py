"""What happens when somebody signs up or logs in: mails, the device, the guest cart and the open checkout."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.accounts.mailing import MailName, queue_mail
from app.domain.accounts.queries import AccountView, note_arrival
from app.domain.checkout.claiming import claim_at_login
from app.domain.customers.errors import login_failed
from app.domain.customers.models import Customer
from app.domain.customers.passwords import PasswordHasher, normal_form
from app.domain.customers.queries import KnownLogin, find_inviter, lock_customer
from app.domain.customers.service import create_customer
from app.domain.newsletter.service import subscribe_customer
from app.domain.stores.queries import StoreConfig
from app.kit.errors import Unauthenticated

log: Final = structlog.get_logger("storefront.accounts")


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody brings along when they log in or sign up.

    `device` is its digest (customers/devices.py); its name and its network address stand in the mail about a
    new one.
    """

    cart_uuid: UUID | None = None
    skip_cart_merge: bool = False
    checkout_token: str | None = None
    device: bytes
    device_name: str = ""
    address: str = ""


class NewAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What a sign-up says. `email` in its form; `country` ISO 3166-1 alpha-2; `verified` by another provider.

    Without a password digest a link to set one is mailed, unless another provider lets the customer in.
    """

    email: str
    username: str
    password_digest: str | None = None
    verified: bool = False
    by_provider: bool = False
    firstname: str = ""
    lastname: str = ""
    subscribe: bool = True
    country: str | None = None
    time_zone: str | None = None
    language: str | None = None
    identity: str | None = None
    invited_by_token: str | None = None


async def sign_up(session: AsyncSession, store: StoreConfig, new: NewAccount, *, now: datetime) -> Customer:
    """Make an account and queue its first mail. Raises Invalid email_taken. Logging in is `welcome`."""
    inviter = await find_inviter(session, store.id, new.invited_by_token) if new.invited_by_token else None
    customer = await create_customer(
        session,
        store.id,
        email=new.email,
        username=new.username,
        password_digest=new.password_digest,
        verified=new.verified,
        now=now,
        facts={
            "firstname": new.firstname,
            "lastname": new.lastname,
            "country": new.country,
            "time_zone": new.time_zone,
            "language": new.language,
            "identity": new.identity,
            "invited_by": inviter,
        },
    )
    if new.subscribe:
        await subscribe_customer(
            session,
            store,
            customer_id=customer.id,
            email=customer.email,
            email_key=customer.email_key,
            verified=new.verified,
            language=new.language,
            now=now,
        )
    if not new.verified:
        has_a_way_in = new.password_digest or new.by_provider
        first: MailName = "verify_email" if has_a_way_in else "set_password"
        await queue_mail(session, store.id, first, customer_id=customer.id, now=now)
    return customer


async def check_login(
    known: KnownLogin | None, password: str, *, hasher: PasswordHasher
) -> tuple[KnownLogin, str | None]:
    """The account that the password opens, and a stronger digest of it where ours is outdated.

    Takes the same time for a wrong password, an account without one and an address without account, and
    needs no transaction. Raises Unauthenticated login_failed.
    """
    text = normal_form(password)
    matches = await hasher.verify(known.password_digest if known else None, text)
    if known is None or known.password_digest is None or not matches:
        raise login_failed()
    outdated = hasher.is_outdated(known.password_digest)
    return known, await hasher.hash(text) if outdated else None


async def lock_login(
    session: AsyncSession, store_id: int, known: KnownLogin, *, stronger: str | None
) -> Customer:
    """The account of a checked password, locked. Raises Unauthenticated where the password was changed since."""
    try:
        customer = await lock_customer(session, store_id, known.customer_id)
    except Unauthenticated:
        raise login_failed() from None
    if customer.password_digest != known.password_digest:
        raise login_failed()
    if stronger is not None:
        customer.password_digest = stronger
    return customer


async def welcome(
    session: AsyncSession,
    store: StoreConfig,
    customer: Customer,
    arrival: Arrival,
    *,
    now: datetime,
    cart_seconds: int,
    tells_of_device: bool = True,
) -> tuple[AccountView, UUID | None]:
    """Do what belongs to every login; the caller then starts the session. Nothing here makes a login fail.

    Answers the account and its cart, which what of the guest's fits into has joined.
    """
    await session.flush()
    arrived = await note_arrival(session, store.id, customer.id, device=arrival.device, now=now)
    if arrived.is_new_device and tells_of_device:
        await queue_mail(
            session,
            store.id,
            "new_device",
            customer_id=customer.id,
            now=now,
            device=arrival.device_name,
            address=arrival.address,
            at=now.isoformat(),
        )
    if arrival.cart_uuid is None and not arrival.checkout_token:
        return arrived.account, arrived.cart_uuid
    claimed = await claim_at_login(
        session,
        store.id,
        customer_id=customer.id,
        cart_uuid=arrival.cart_uuid,
        checkout_token=arrival.checkout_token,
        skip_cart_merge=arrival.skip_cart_merge,
        now=now,
        keep_seconds=cart_seconds,
    )
    return arrived.account, claimed.cart_uuid
