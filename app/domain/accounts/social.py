"""What an identity of another provider opens: the account it is linked to, one that may be linked, or a new one.

An address alone opens nothing. It links to an account that is there only where the provider says that it is
verified, or where the account's password comes along. Whoever proves an address of which the account never did
drives out whoever made that account (customers/service.py, prove_address).
"""

from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.accounts.entering import Entered, prove_owner
from app.domain.accounts.signing import NewAccount, lock_login, sign_up
from app.domain.customers.errors import EMAIL_TAKEN, login_failed
from app.domain.customers.identities import link_identity, lock_identity
from app.domain.customers.providers import VerifiedIdentity
from app.domain.customers.queries import KnownLogin, find_customer_by_email, lock_customer
from app.domain.stores.queries import StoreConfig
from app.kit.errors import Invalid, Unauthenticated, declare
from app.kit.places import email_form, email_key

LINK_NEEDS_PASSWORD: Final = declare(
    Unauthenticated,
    "link_needs_password",
    "The mail address has an account, and the provider does not say that it is verified: send the call again "
    "with the account's `password`, or log in another way.",
)
EMAIL_NEEDED: Final = declare(
    Invalid,
    "email_needed",
    "The provider gave no mail address: send the call again with `email` and `password`.",
)
_MOST_NAME: Final = 100


class Proof(msgspec.Struct, frozen=True):
    """A password that was checked before, and a stronger digest of it where its own is outdated."""

    known: KnownLogin
    stronger: str | None


def address_of(identity: VerifiedIdentity) -> str | None:
    """The provider's address in its form; None where it gave none that can be written to."""
    return email_form(identity.email) if identity.email else None


def name_of(identity: VerifiedIdentity, email: str) -> str:
    """What to call somebody who did not say."""
    whole = f"{identity.given_name} {identity.family_name}"
    return printable(identity.name) or printable(whole) or email.partition("@")[0][:_MOST_NAME]


def printable(text: str) -> str:
    """A provider's text as a name of ours: on one line, without what cannot be printed."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())[:_MOST_NAME]


async def enter(
    session: AsyncSession,
    store: StoreConfig,
    identity: VerifiedIdentity,
    *,
    new: NewAccount | None,
    proof: Proof | None,
    now: datetime,
) -> Entered:
    """Find, link or make the account of an identity.

    `new` is the account to make where there is none; its address is the provider's, else what was typed.
    Raises Invalid email_needed without one, Unauthenticated link_needs_password, or login_failed where the
    password was changed since it was checked, or the identity cut off in this very moment.
    """
    linked = await lock_identity(session, store.id, identity)
    if linked is not None:
        customer = await lock_customer(session, store.id, linked)
        # The lock may have waited for the owner of the address, who was taking the account back (prove_address).
        if await lock_identity(session, store.id, identity) != linked:
            raise login_failed()
        return Entered(customer)
    if new is None:
        raise Invalid.at(
            "email", EMAIL_NEEDED, "The provider gave no mail address. Type one, and a password."
        )
    entered = await _enter_by_address(session, store, identity, new=new, proof=proof, now=now)
    await link_identity(session, entered.customer, identity, now=now)
    return entered


async def _enter_by_address(
    session: AsyncSession,
    store: StoreConfig,
    identity: VerifiedIdentity,
    *,
    new: NewAccount,
    proof: Proof | None,
    now: datetime,
) -> Entered:
    key = email_key(new.email) or new.email
    owner = await find_customer_by_email(session, store.id, key)
    if owner is None:
        try:
            return Entered(await sign_up(session, store, new, now=now), is_new=True)
        except Invalid as taken:
            # Somebody signed up with the address in this very moment: then it is as if they had been first.
            owner = await find_customer_by_email(session, store.id, key)
            if taken.code != EMAIL_TAKEN or owner is None:
                raise
    if vouches_for(identity, new.email):
        customer = await lock_customer(session, store.id, owner.id)
        return Entered(customer, was_planted=await prove_owner(session, customer, now=now))
    if proof is None or proof.known.customer_id != owner.id:
        raise Unauthenticated(
            LINK_NEEDS_PASSWORD, "This mail address has an account. Its password is needed to link the two."
        )
    return Entered(await lock_login(session, store.id, proof.known, stronger=proof.stronger))


def vouches_for(identity: VerifiedIdentity, email: str) -> bool:
    """Whether the provider itself says that this very address is its user's."""
    return identity.email_verified and address_of(identity) == email
