"""What is read of an account across features: the customer as they see themselves."""

from datetime import date, datetime
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.statements import Statement
from app.domain.customers.address_book import BookedAddress
from app.domain.customers.devices import NOTE_DEVICE
from app.kit.errors import LOGIN_REQUIRED, Unauthenticated


class AccountView(msgspec.Struct, frozen=True):
    """A customer with what other features know of them. country is ISO 3166-1 alpha-2.

    subscribed: they wished for the newsletter, or it goes to the address that they have proven to be theirs.
    """

    id: int
    username: str
    email: str
    firstname: str
    lastname: str
    birthday: date | None
    gender: str | None
    relationship: str | None
    country: str | None
    is_verified: bool
    new_email: str | None
    has_password: bool
    subscribed: bool
    addresses: tuple[BookedAddress, ...]


_ACCOUNT: Final = """
    json_build_object(
        'id', c.id, 'username', c.username, 'email', c.email, 'firstname', c.firstname,
        'lastname', c.lastname, 'birthday', c.birthday, 'gender', c.gender,
        'relationship', c.relationship, 'country', c.country,
        'is_verified', c.email_verified_at IS NOT NULL, 'new_email', c.new_email,
        'has_password', c.password_digest IS NOT NULL,
        'subscribed', EXISTS (
            SELECT FROM subscriptions s
            WHERE s.store_id = c.store_id AND s.customer_id = c.id AND s.status <> 'unsubscribed'
        ) OR c.owner_proven_at IS NOT NULL AND EXISTS (
            SELECT FROM subscriptions s
            WHERE s.store_id = c.store_id AND s.status = 'subscribed' AND (
                s.email_key = c.email_key AND s.confirmed_at IS NOT NULL
                OR s.email_key = c.email_key AND s.confirmed_at IS NULL
            )
        ),
        'addresses', (
            SELECT coalesce(json_agg(json_build_object(
                'id', a.id, 'is_default', a.is_default, 'address', a.address
            ) ORDER BY a.is_default DESC, a.id), '[]')
            FROM customer_addresses a WHERE a.store_id = c.store_id AND a.customer_id = c.id
        )
    )::text AS account
"""
_OPEN: Final = "c.store_id = :store_id AND c.id = :customer_id AND c.closed_at IS NULL"
_GET: Final = Statement(f"SELECT {_ACCOUNT} FROM customers c WHERE {_OPEN}")  # noqa: S608 - our own
_ARRIVE: Final = Statement(
    f"""
    WITH noted AS ({NOTE_DEVICE})
    SELECT noted.is_new, {_ACCOUNT}, (
        SELECT k.uuid FROM carts k
        WHERE k.store_id = c.store_id AND k.customer_id = c.id AND k.expires_at > :now
    ) AS cart_uuid
    FROM customers c, noted WHERE {_OPEN}
    """  # noqa: S608 - our own
)


async def get_account(session: AsyncSession, store_id: int, customer_id: int) -> AccountView:
    """The account as it stands in this transaction. Raises Unauthenticated where it was closed meanwhile."""
    found = await _GET.row(session, store_id=store_id, customer_id=customer_id)
    if found is None:
        raise Unauthenticated(LOGIN_REQUIRED, "This call needs a login.")
    return msgspec.json.decode(found["account"], type=AccountView)


class Arrived(msgspec.Struct, frozen=True):
    """Whoever has just logged in, whether from a new device, and their cart."""

    account: AccountView
    is_new_device: bool
    cart_uuid: UUID | None


async def note_arrival(
    session: AsyncSession, store_id: int, customer_id: int, *, device: bytes, now: datetime
) -> Arrived:
    """Remember the device, and read what a login answers: in one statement, since logins come in crowds.

    The caller holds the customer's lock, or has just made them.
    """
    found = await _ARRIVE.one(session, store_id=store_id, customer_id=customer_id, device=device, now=now)
    account = msgspec.json.decode(found["account"], type=AccountView)
    return Arrived(account, found["is_new"], found["cart_uuid"])
