"""A customer's addresses: how many there may be, and which one stands in the form before anything is typed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.customers.addresses import Address
from app.domain.customers.models import CustomerAddress
from app.domain.customers.queries import lock_customer
from app.kit.errors import NOT_FOUND, Invalid, NotFound, declare

MOST: Final = 50
TOO_MANY_ADDRESSES: Final = declare(
    Invalid, "too_many_addresses", f"An address book holds at most {MOST} addresses."
)


class BookedAddress(msgspec.Struct, frozen=True):
    """An address of a customer's book."""

    id: int
    address: Address
    is_default: bool

    def as_json(self) -> dict[str, Any]:
        """As every surface for shoppers answers it."""
        return {**self.address.as_json(), "id": self.id, "is_default": self.is_default}


def _booked(row: CustomerAddress) -> BookedAddress:
    return BookedAddress(row.id, msgspec.convert(row.address, Address), row.is_default)


async def list_addresses(session: AsyncSession, store_id: int, customer_id: int) -> Sequence[BookedAddress]:
    """The customer's addresses: the default one first, then in the order they came."""
    found = await session.scalars(
        select(CustomerAddress)
        .where(CustomerAddress.store_id == store_id, CustomerAddress.customer_id == customer_id)
        .order_by(CustomerAddress.is_default.desc(), CustomerAddress.id)
    )
    return [_booked(row) for row in found]


async def get_address(
    session: AsyncSession, store_id: int, customer_id: int, address_id: int
) -> BookedAddress:
    """One of the customer's addresses. Raises NotFound, also for another customer's."""
    return _booked(await _get_row(session, store_id, customer_id, address_id))


async def add_address(
    session: AsyncSession,
    store_id: int,
    customer_id: int,
    address: Address,
    *,
    is_default: bool | None,
    now: datetime,
) -> BookedAddress:
    """Put an address into the book; the first one is the default unless it says otherwise.

    Raises Invalid too_many_addresses. Locks the customer, so that parallel calls follow each other.
    """
    await lock_customer(session, store_id, customer_id)
    held = await session.scalar(
        select(func.count())
        .select_from(CustomerAddress)
        .where(CustomerAddress.store_id == store_id, CustomerAddress.customer_id == customer_id)
    )
    if held is not None and held >= MOST:
        raise Invalid(TOO_MANY_ADDRESSES, f"There are {MOST} addresses already. Remove one first.")
    default = held == 0 if is_default is None else is_default
    if default:
        await _let_go_of_default(session, store_id, customer_id)
    row = CustomerAddress(
        store_id=store_id,
        customer_id=customer_id,
        address=msgspec.structs.asdict(address),
        is_default=default,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    await session.flush()
    return _booked(row)


async def change_address(
    session: AsyncSession,
    store_id: int,
    customer_id: int,
    address_id: int,
    address: Address,
    *,
    is_default: bool | None,
    now: datetime,
) -> BookedAddress:
    """Write an address anew; is_default None leaves that as it is. Raises NotFound. Locks the customer."""
    await lock_customer(session, store_id, customer_id)
    row = await _get_row(session, store_id, customer_id, address_id)
    if is_default and not row.is_default:
        await _let_go_of_default(session, store_id, customer_id)
    row.address = msgspec.structs.asdict(address)
    row.is_default = row.is_default if is_default is None else is_default
    row.updated_at = now
    await session.flush()
    return _booked(row)


async def remove_address(session: AsyncSession, store_id: int, customer_id: int, address_id: int) -> None:
    """Take an address out of the book. Raises NotFound. No other one becomes the default in its place."""
    await lock_customer(session, store_id, customer_id)
    await session.delete(await _get_row(session, store_id, customer_id, address_id))
    await session.flush()


async def _get_row(
    session: AsyncSession, store_id: int, customer_id: int, address_id: int
) -> CustomerAddress:
    found = await session.scalar(
        select(CustomerAddress).where(
            CustomerAddress.store_id == store_id,
            CustomerAddress.customer_id == customer_id,
            CustomerAddress.id == address_id,
        )
    )
    if found is None:
        raise NotFound(NOT_FOUND, "There is no such address.")
    return found


async def _let_go_of_default(session: AsyncSession, store_id: int, customer_id: int) -> None:
    await session.execute(
        update(CustomerAddress)
        .where(
            CustomerAddress.store_id == store_id,
            CustomerAddress.customer_id == customer_id,
            CustomerAddress.is_default,
        )
        .values(is_default=False)
    )
