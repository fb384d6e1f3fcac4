"""A customer's address book (contract rows B20 and B21, and reading and removing)."""

import msgspec
from litestar import Controller, Response, delete, get, post, put
from litestar.params import RequestBody

from app.api.caching import NO_STORE
from app.api.dependencies import LOGIN_NEEDED, GivenActor, GivenNow, GivenSession, GivenShop, GivenStore
from app.api.faults import invalid_field
from app.api.idempotency import answered, caller_of, read_key
from app.api.limits import PathId
from app.api.openapi import EXAMPLE, KEYED
from app.api.request import ShopRequest
from app.api.transactions import transactional
from app.db import idempotency
from app.domain.customers.address_book import (
    BookedAddress,
    add_address,
    change_address,
    get_address,
    list_addresses,
    remove_address,
)
from app.domain.customers.addresses import Address, AddressInput, check_address
from app.kit.errors import VALIDATION_FAILED, Invalid

SOME_ADDRESS = {
    "first_name": "Ada",
    "last_name": "Berg",
    "address_one": "12 Mill Lane",
    "city": "Portland",
    "zip": "97201",
    "country": "United States",
    "region": "Oregon",
    "phone": "+1 503 555 0123",
}


class StorefrontAddress(msgspec.Struct):
    """An address with the names of its places and, beside them, their codes (ISO 3166); phone in E.164."""

    id: int
    first_name: str
    last_name: str
    company: str | None
    address_one: str
    address_two: str | None
    apartment_suite: str | None
    city: str
    zip: str | None
    country: str
    country_code: str
    region: str | None
    province: str | None
    phone: str
    is_default: bool


class StorefrontAddresses(msgspec.Struct):
    items: list[StorefrontAddress]


def show_address(booked: BookedAddress) -> StorefrontAddress:
    return msgspec.convert(booked.as_json(), StorefrontAddress)


def _checked(data: AddressInput) -> Address:
    address = check_address(data)
    if isinstance(address, list):
        raise Invalid(VALIDATION_FAILED, "Some fields cannot be accepted.", errors=address)
    return address


class AddressController(Controller):
    """Every call is about the addresses of whoever is logged in; anybody else's are a 404."""

    path = "/customer/addresses"
    dependencies = LOGIN_NEEDED
    tags = ("Customer",)

    @get("/", operation_id="listAddresses", summary="The address book")
    @transactional
    async def list(
        self, session: GivenSession, store: GivenStore, actor: GivenActor
    ) -> Response[StorefrontAddresses]:
        """The customer's addresses, the default one first."""
        found = await list_addresses(session, store.id, actor.customer())
        return Response(StorefrontAddresses([show_address(one) for one in found]), headers=NO_STORE)

    @get("/{address_id:int}", operation_id="getAddress", summary="One address")
    @transactional
    async def read(
        self, address_id: PathId, session: GivenSession, store: GivenStore, actor: GivenActor
    ) -> Response[StorefrontAddress]:
        """One of the customer's addresses."""
        found = await get_address(session, store.id, actor.customer(), address_id)
        return Response(show_address(found), headers=NO_STORE)

    @post(
        "/",
        status_code=200,
        operation_id="addAddress",
        summary="Add an address",
        opt={EXAMPLE: SOME_ADDRESS, KEYED: True},
    )
    @transactional
    async def add(
        self,
        request: ShopRequest,
        data: RequestBody[AddressInput],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[StorefrontAddress]:
        """Keeps an address; the first one is the default unless `is_default` is 0. Takes Idempotency-Key.

        Country by English name or code; the subdivision from `region`, else `province`, else `state`.
        """
        customer_id = actor.customer()
        key = await read_key(request, caller=caller_of(actor, None))
        made = await idempotency.claim(
            session, store.id, key, now=now, keep_seconds=shop.settings.idempotency_seconds
        )
        if made is not None:
            booked = await get_address(session, store.id, customer_id, made["address_id"])
            return answered(show_address(booked), replayed=True)
        booked = await add_address(
            session, store.id, customer_id, _checked(data), is_default=data.is_default, now=now
        )
        await idempotency.keep(session, store.id, key, {"address_id": booked.id})
        return answered(show_address(booked), replayed=False)

    @put(
        "/{address_id:int}",
        operation_id="setAddress",
        summary="Change an address",
        opt={EXAMPLE: SOME_ADDRESS},
    )
    @transactional
    async def change(
        self,
        address_id: PathId,
        data: RequestBody[AddressInput],
        session: GivenSession,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
    ) -> StorefrontAddress:
        """Writes the address anew, with all its fields; without `is_default` that stays as it is."""
        customer_id = actor.customer()
        if data.id not in (None, address_id):
            raise invalid_field("id", "id_mismatch", "This is another id than the path's.")
        booked = await change_address(
            session, store.id, customer_id, address_id, _checked(data), is_default=data.is_default, now=now
        )
        return show_address(booked)

    @delete("/{address_id:int}", status_code=204, operation_id="removeAddress", summary="Remove an address")
    @transactional
    async def remove(
        self, address_id: PathId, session: GivenSession, store: GivenStore, actor: GivenActor
    ) -> None:
        """Takes an address out of the book. No other one becomes the default in its place."""
        await remove_address(session, store.id, actor.customer(), address_id)
