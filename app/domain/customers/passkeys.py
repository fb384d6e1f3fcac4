"""Passkeys of a customer: which may be added, which opens the account, and what betrays a copied one."""

import os
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec
from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.reads import Reads
from app.domain.customers.errors import (
    MOST_PASSKEYS,
    PASSKEY_KNOWN,
    TOO_MANY_PASSKEYS,
    passkey_not_known,
)
from app.domain.customers.models import Customer, Passkey
from app.domain.customers.queries import lock_customer
from app.kit.errors import NOT_FOUND, Invalid, NotFound, Unauthenticated

# A challenge is answered within so long (WebAuthn Level 3, section 15.1: five minutes where somebody is verified).
CHALLENGE_SECONDS: Final = 300
_CHALLENGE_BYTES: Final = 32
_HANDLE_BYTES: Final = 64
# Kinds of keys by their COSE number, in the order in which they are proposed: ES256, EdDSA, RS256.
ALGORITHMS: Final = (-7, -8, -257)
# WebAuthn Level 3, section 5.8.4; anything else is not kept.
TRANSPORTS: Final = frozenset({"usb", "nfc", "ble", "smart-card", "hybrid", "internal"})


class PasskeyRegistration(msgspec.Struct, frozen=True):
    """Adding a passkey has begun: kept under the session that may finish it."""

    store_id: int
    customer_id: int
    challenge: bytes


class PasskeyLogin(msgspec.Struct, frozen=True):
    """A login by passkey has begun, by whom is not known yet."""

    store_id: int
    challenge: bytes


class NewCredential(msgspec.Struct, frozen=True):
    """What a browser answers to the wish to make a passkey, as bytes."""

    id: bytes
    client_data: bytes
    attestation: bytes


class UsedCredential(msgspec.Struct, frozen=True):
    """What a browser answers to a challenge, as bytes."""

    id: bytes
    client_data: bytes
    authenticator_data: bytes
    signature: bytes


class MadeKey(msgspec.Struct, frozen=True):
    """A passkey that was checked, and may be kept."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    backed_up: bool


class UsedKey(msgspec.Struct, frozen=True):
    """What a checked use says of the passkey."""

    sign_count: int
    backed_up: bool


class PasskeyChecker(Protocol):
    """Checks what authenticators sign, for one relying party. `domain` is its id: the name that passkeys are for."""

    @property
    def domain(self) -> str: ...

    async def check_new(self, credential: NewCredential, *, challenge: bytes) -> MadeKey:
        """Raises Invalid passkey_refused."""
        ...

    async def check_use(
        self, credential: UsedCredential, *, challenge: bytes, public_key: bytes, sign_count: int
    ) -> UsedKey:
        """Raises Unauthenticated login_failed; also where the counter did not go on."""
        ...


class KnownPasskey(msgspec.Struct, frozen=True):
    """A passkey of an open account, with what a use of it is checked against."""

    id: int
    customer_id: int
    handle: bytes
    public_key: bytes
    sign_count: int


_FIND: Final = """
SELECT p.id, p.customer_id, c.passkey_handle, p.public_key, p.sign_count
FROM passkeys p JOIN customers c ON c.store_id = p.store_id AND c.id = p.customer_id
WHERE p.store_id = $1 AND p.credential_id = $2 AND c.closed_at IS NULL AND c.passkey_handle IS NOT NULL
"""


def new_challenge() -> bytes:
    return os.urandom(_CHALLENGE_BYTES)


def give_handle(customer: Customer) -> bytes:
    """What authenticators know the customer by: random, so that it says nothing (WebAuthn, section 14.6.1).

    The caller holds the customer's lock.
    """
    if customer.passkey_handle is None:
        customer.passkey_handle = os.urandom(_HANDLE_BYTES)
    return customer.passkey_handle


async def list_passkeys(session: AsyncSession, store_id: int, customer_id: int) -> Sequence[Passkey]:
    """The customer's passkeys in the order they came."""
    found = await session.scalars(
        select(Passkey)
        .where(Passkey.store_id == store_id, Passkey.customer_id == customer_id)
        .order_by(Passkey.id)
    )
    return found.all()


async def get_passkey(session: AsyncSession, store_id: int, customer_id: int, passkey_id: int) -> Passkey:
    """One of the customer's passkeys. Raises NotFound, also for another customer's."""
    found = await session.scalar(
        select(Passkey).where(
            Passkey.store_id == store_id, Passkey.customer_id == customer_id, Passkey.id == passkey_id
        )
    )
    if found is None:
        raise NotFound(NOT_FOUND, "There is no such passkey.")
    return found


async def find_passkey(reads: Reads, store_id: int, credential_id: bytes) -> KnownPasskey | None:
    """Whose passkey it is, by the id that the authenticator gave it."""
    row = await reads.fetchrow(_FIND, store_id, credential_id)
    return None if row is None else KnownPasskey(*row.values())


async def refuse_too_many(session: AsyncSession, store_id: int, customer_id: int) -> None:
    """Raise Invalid too_many_passkeys where there is room for none. The caller holds the customer's lock."""
    held = await session.scalar(
        select(func.count())
        .select_from(Passkey)
        .where(Passkey.store_id == store_id, Passkey.customer_id == customer_id)
    )
    if held is not None and held >= MOST_PASSKEYS:
        raise Invalid(TOO_MANY_PASSKEYS, f"There are {MOST_PASSKEYS} passkeys already. Remove one first.")


async def add_passkey(
    session: AsyncSession,
    customer: Customer,
    made: MadeKey,
    *,
    name: str,
    transports: Sequence[str],
    now: datetime,
) -> Passkey:
    """Keep a checked passkey. Raises Invalid too_many_passkeys, or passkey_known for one that anybody here has.

    The caller holds the customer's lock.
    """
    await refuse_too_many(session, customer.store_id, customer.id)
    added = (
        await session.scalars(
            upsert(Passkey)
            .values(
                store_id=customer.store_id,
                customer_id=customer.id,
                credential_id=made.credential_id,
                public_key=made.public_key,
                sign_count=made.sign_count,
                backed_up=made.backed_up,
                transports=sorted(TRANSPORTS.intersection(transports)),
                name=name,
                created_at=now,
            )
            .on_conflict_do_nothing(index_elements=["store_id", "credential_id"])
            .returning(Passkey)
        )
    ).one_or_none()
    if added is None:
        raise Invalid.at("credential", PASSKEY_KNOWN, "This passkey is registered already.")
    return added


async def use_passkey(
    session: AsyncSession, store_id: int, known: KnownPasskey, used: UsedKey, *, now: datetime
) -> Customer:
    """The account of a checked passkey, locked; its counter is written.

    Of two uses at once with the same count one passes: a counter that does not go on is a copy's, unless it
    stays at 0, as that of a synchronised passkey does (WebAuthn, section 7.2, step 22). Raises
    Unauthenticated login_failed.
    """
    try:
        customer = await lock_customer(session, store_id, known.customer_id)
    except Unauthenticated:
        raise passkey_not_known() from None
    written = await session.execute(
        update(Passkey)
        .where(
            Passkey.store_id == store_id,
            Passkey.customer_id == known.customer_id,
            Passkey.id == known.id,
            or_(Passkey.sign_count < used.sign_count, Passkey.sign_count + used.sign_count == 0),
        )
        .values(sign_count=used.sign_count, backed_up=used.backed_up, last_used_at=now)
        .returning(Passkey.id),
        execution_options={"synchronize_session": False},
    )
    if written.first() is None:
        raise passkey_not_known()
    return customer


async def remove_passkey(session: AsyncSession, store_id: int, customer_id: int, passkey_id: int) -> None:
    """Forget a passkey. Raises NotFound.

    Also the last one goes: whoever reads the account's mail gets in by a mailed code or link, always.
    """
    await lock_customer(session, store_id, customer_id)
    await session.delete(await get_passkey(session, store_id, customer_id, passkey_id))
    await session.flush()
