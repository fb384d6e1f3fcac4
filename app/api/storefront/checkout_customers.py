"""Who buys and where it goes: what the call says, what the customer's account knows, and what is wrong with it."""

from functools import partial
from typing import Annotated

import msgspec

from app.api.limits import Line, Token, Word
from app.db.session import Sessions
from app.domain.accounts.queries import AccountView, get_account
from app.domain.checkout.service import NO_ADDRESS
from app.domain.customers.addresses import Address, AddressInput, check_address, filled_from, with_region
from app.domain.stores.queries import StoreConfig
from app.kit.actor import Actor
from app.kit.errors import NOT_FOUND, VALIDATION_FAILED, FieldError, Invalid, NotFound
from app.kit.places import email_form

Uuid = Annotated[str, msgspec.Meta(max_length=64)]


class CheckoutCustomer(msgspec.Struct, forbid_unknown_fields=True):
    """Who buys and where it goes. `billing_address` is needed where `billing_same_as_shipping` is 0.

    What is fetched, or needs no shipping, can do without `shipping_address`; then the billing address is needed.
    `email` is needed of guests. An address with an `id` is one of the customer's book; of what it has beside,
    each field counts in place of the book's.
    """

    shipping_address: AddressInput | None = None
    email: Annotated[str, msgspec.Meta(max_length=254)] | None = None
    billing_address: AddressInput | None = None
    billing_same_as_shipping: bool = True
    subscribe: bool = True
    time_zone: Line | None = None
    detected_country: Line | None = None
    identity: Line | None = None
    checkout_token: Token | None = None
    # Of a guest: makes an account in the same step.
    password: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    skip_cart_merge: bool = False
    cart_uuid: Uuid | None = None
    invited_by_token: Line | None = None
    # What the buyer agrees to, by the keys of the checkout's `consents`.
    consents: Annotated[dict[Word, bool], msgspec.Meta(max_length=20)] = msgspec.field(default_factory=dict)
    note: Annotated[str, msgspec.Meta(max_length=2000)] | msgspec.UnsetType | None = msgspec.UNSET


async def fill_customer(
    sessions: Sessions, store: StoreConfig, actor: Actor, data: CheckoutCustomer
) -> CheckoutCustomer:
    """The call with what it leaves to the account: the mail address, and addresses named by their id.

    What it reads is over before anybody else is asked, a carrier say.
    Raises Unauthenticated for an id without a login, NotFound for one that is not in the customer's book.
    """
    names_address = any(
        address is not None and address.id is not None
        for address in (data.shipping_address, data.billing_address)
    )
    if not names_address and (data.email or actor.kind == "guest"):
        return data
    customer_id = actor.customer()
    async with sessions() as session:
        account = await get_account(session, store.id, customer_id)
    return msgspec.structs.replace(
        data,
        email=data.email or account.email,
        shipping_address=data.shipping_address and _filled(data.shipping_address, account),
        billing_address=data.billing_address and _filled(data.billing_address, account),
    )


def _filled(sent: AddressInput, account: AccountView) -> AddressInput:
    if sent.id is None:
        return sent
    for booked in account.addresses:
        if booked.id == sent.id:
            return filled_from(sent, booked.address)
    raise NotFound(NOT_FOUND, "There is no such address.")


def _check_place(store: StoreConfig, sent: AddressInput, *, at: str) -> Address | list[FieldError]:
    """An address that decides on tax and shipping."""
    address = check_address(sent, at=at)
    if isinstance(address, list) or not store.tells_regions_apart(address.country_code):
        return address
    return with_region(address, at=at)


def check_customer(store: StoreConfig, data: CheckoutCustomer) -> tuple[str, Address | None, Address | None]:
    """Mail address, shipping and billing address, one of them at least, or every fault in them at once.

    Where the order goes is known as closely as the store's taxes and zones ask for.
    """
    faults: list[FieldError] = []
    email = email_form(data.email or "")
    if not data.email:
        faults.append(FieldError("email", "required", "A guest's order needs a mail address."))
    elif email is None:
        faults.append(FieldError("email", "invalid_email", "This is no mail address."))
    shipping: Address | list[FieldError] | None = None
    if data.shipping_address is not None:
        shipping = _check_place(store, data.shipping_address, at="shipping_address")
    elif data.billing_same_as_shipping:
        faults.append(NO_ADDRESS)
    billing: Address | list[FieldError] | None = None
    if not data.billing_same_as_shipping:
        check = check_address if data.shipping_address else partial(_check_place, store)
        billing = check(data.billing_address or AddressInput(), at="billing_address")
    for checked in (shipping, billing):
        if isinstance(checked, list):
            faults.extend(checked)
    if faults or email is None or isinstance(shipping, list) or isinstance(billing, list):
        raise Invalid(VALIDATION_FAILED, "Some fields cannot be accepted.", errors=faults)
    return email, shipping, billing
