"""How an account is made and changed; what a login or a mail does across features is in accounts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.customers.codes import void_code
from app.domain.customers.errors import email_taken
from app.domain.customers.models import LIVE, Customer, CustomerIdentity, LoginSecret, Passkey
from app.domain.customers.secrets import void_secrets
from app.kit.ids import new_name
from app.kit.places import email_key


async def create_customer(
    session: AsyncSession,
    store_id: int,
    *,
    email: str,
    username: str,
    password_digest: str | None,
    now: datetime,
    verified: bool = False,
    facts: Mapping[str, Any] | None = None,
) -> Customer:
    """Make an account. `email` is in its form (email_form); `facts` are further columns of the customer.

    `verified`: a provider vouches that whoever is here has the address, so that both are proven.
    Of two at once with one address, one is made: raises Invalid email_taken for the other.
    """
    made = (
        await session.scalars(
            upsert(Customer)
            .values(
                store_id=store_id,
                email=email,
                email_key=email_key(email),
                email_verified_at=now if verified else None,
                owner_proven_at=now if verified else None,
                username=username,
                password_digest=password_digest,
                password_changed_at=now if password_digest else None,
                invite_token=new_name(),
                updated_at=now,
                **(facts or {}),
            )
            .on_conflict_do_nothing(index_elements=["store_id", "email_key"], index_where=text(LIVE))
            .returning(Customer)
        )
    ).one_or_none()
    if made is None:
        raise email_taken()
    return made


def change_profile(customer: Customer, changes: Mapping[str, Any], *, now: datetime) -> None:
    """Write checked values of profile columns."""
    for name, value in changes.items():
        setattr(customer, name, value)
    customer.updated_at = now


async def set_password(session: AsyncSession, customer: Customer, digest: str, *, now: datetime) -> None:
    """Write a new password. Everything that was mailed to get in with is void; ending sessions is the caller's."""
    customer.password_digest = digest
    customer.password_changed_at = now
    customer.updated_at = now
    await void_secrets(session, customer.store_id, customer.id, now=now)
    await void_code(session, customer.store_id, customer.id)


async def prove_address(
    session: AsyncSession, customer: Customer, *, now: datetime, by: LoginSecret | None = None
) -> bool:
    """Note that whoever is here reads the account's mail; True where nobody had shown that before.

    That the address is verified does not show it: anybody may have opened the link, and nobody has to have
    logged in for that.

    Then the account may have been planted: made by somebody else, who waits for the owner of the address to
    fill it. So every other way in is closed: password, other providers, passkeys and mailed secrets go, but
    the one that this came `by`; and the caller ends the sessions.
    """
    if customer.owner_proven_at is not None:
        return False
    customer.owner_proven_at = now
    customer.email_verified_at = customer.email_verified_at or now
    customer.password_digest = None
    customer.new_email = None
    customer.updated_at = now
    for table in (CustomerIdentity, Passkey):
        await session.execute(
            delete(table).where(table.store_id == customer.store_id, table.customer_id == customer.id)
        )
    await void_secrets(session, customer.store_id, customer.id, now=now, but=by)
    await void_code(session, customer.store_id, customer.id)
    return True
