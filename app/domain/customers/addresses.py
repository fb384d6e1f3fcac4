"""What makes a postal address good enough to ship to, and how it is written down."""

import re
from typing import Annotated, Final

import msgspec

from app.kit.errors import FieldError
from app.kit.places import (
    RegionError,
    country_name,
    find_country,
    find_region_of,
    list_regions,
    normalise_phone,
    region_name,
)
from app.kit.postal import find_other_region, find_region_of_code, needs_code, normalise_zip

_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")
_MAX_LENGTHS: Final = {
    "first_name": 100,
    "last_name": 100,
    "company": 200,
    "address_one": 200,
    "address_two": 200,
    "apartment_suite": 100,
    "city": 100,
    "zip": 20,
    "country": 100,
    "region": 100,
    "province": 100,
    "state": 100,
    "phone": 40,
}
_REQUIRED: Final = ("first_name", "last_name", "address_one", "city", "zip", "country", "phone")
_REGION_FIELDS: Final = ("region", "province", "state")
_TAKEN_OVER: Final = (
    "first_name", "last_name", "company", "address_one", "address_two", "apartment_suite", "city",
)  # fmt: skip

_Text = Annotated[str, msgspec.Meta(max_length=500)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class AddressInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address as it was sent: nothing is checked but the types, and that no text is a book.

    An answered address can be sent again as it is: what the answer has beside the fields is accepted, and
    country_code counts where country is not given. `id` means one of the address book.
    """

    first_name: _Text | None = None
    last_name: _Text | None = None
    company: _Text | None = None
    address_one: _Text | None = None
    address_two: _Text | None = None
    apartment_suite: _Text | None = None
    city: _Text | None = None
    zip: _Text | None = None
    country: _Text | None = None
    region: _Text | None = None
    province: _Text | None = None
    state: _Text | None = None
    phone: _Text | _Number | None = None
    country_code: _Text | None = None
    id: _Number | None = None
    is_default: bool | None = None


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """An address that was checked: codes for places, E.164 beside the phone number as typed."""

    first_name: str
    last_name: str
    company: str | None
    address_one: str
    address_two: str | None
    apartment_suite: str | None
    city: str
    zip: str | None
    country_code: str
    region_code: str | None
    phone: str
    phone_typed: str

    def as_json(self) -> dict[str, str | bool | None]:
        """The fields that every surface for shoppers answers: names of places, with their codes beside."""
        return {
            "id": None,
            "first_name": self.first_name,
            "last_name": self.last_name,
            "company": self.company,
            "address_one": self.address_one,
            "address_two": self.address_two,
            "apartment_suite": self.apartment_suite,
            "city": self.city,
            "zip": self.zip,
            "country": country_name(self.country_code),
            "country_code": self.country_code,
            "region": region_name(self.region_code) if self.region_code else None,
            "province": self.region_code,
            "phone": self.phone,
            "is_default": False,
        }


def filled_from(sent: AddressInput, known: Address) -> AddressInput:
    """What was sent, and for each field that was not, what a known address has.

    A place that was sent takes its parts along: with a country of its own the known region and postal code
    say nothing, nor does the known region beside one that was sent under any of its names.
    """
    country = sent.country or sent.country_code
    moved = bool(country) and find_country(country or "") != known.country_code
    named = any(getattr(sent, name) is not None for name in _REGION_FIELDS)
    found = {
        **{name: getattr(known, name) for name in _TAKEN_OVER},
        "country": country or known.country_code,
        "phone": known.phone_typed,
        "zip": None if moved else known.zip,
        "region": None if moved or named else known.region_code,
    }
    empty = {name: value for name, value in found.items() if getattr(sent, name) is None}
    return msgspec.structs.replace(sent, **empty)


def _cleaned(sent: AddressInput) -> dict[str, str]:
    texts = {name: getattr(sent, name) for name in _MAX_LENGTHS}
    texts["country"] = texts["country"] or sent.country_code
    return {name: " ".join(str(text).split()) for name, text in texts.items() if text is not None}


def _text_faults(texts: dict[str, str], country: str | None) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for field, text in texts.items():
        if _CONTROL.search(text):
            found[field] = ("invalid_text", "This contains characters that cannot be printed.")
        elif len(text) > _MAX_LENGTHS[field]:
            found[field] = ("too_long", f"At most {_MAX_LENGTHS[field]} characters fit here.")
    for field in _REQUIRED:
        if not texts.get(field) and not (field == "zip" and country and not needs_code(country)):
            found[field] = ("required", "This is needed to send a parcel.")
    if country is None:
        found.setdefault(
            "country", ("unknown_country", "This is no country that we know by code or English name.")
        )
    return found


def check_address(sent: AddressInput, *, at: str = "") -> Address | list[FieldError]:
    """The address, or every fault that it has; `at` stands before the fields' names (`shipping_address`)."""
    texts = _cleaned(sent)
    country = find_country(texts.get("country", ""))
    faults = _text_faults(texts, country)
    region: str | None = None
    phone: tuple[str, str] | None = None
    code: str | None = None
    if country is not None:
        named = {field: texts.get(field) for field in _REGION_FIELDS if field not in faults}
        try:
            region = find_region_of(country, **named)
        except RegionError as error:
            faults[error.field] = ("region_mismatch" if error.clash else "unknown_region", error.message)
        phone = normalise_phone(texts.get("phone", ""), country)
        if phone is None:
            message = f"This is no phone number of {country_name(country)}; others begin with +."
            faults.setdefault("phone", ("invalid_phone", message))
        code = normalise_zip(texts["zip"], country) if texts.get("zip") else ""
        if code is None:
            faults.setdefault("zip", ("invalid_zip", f"This is no postal code of {country_name(country)}."))
        elif region is not None and (other := find_other_region(code, country, region)):
            field = next(field for field, text in named.items() if text)
            message = f"{code} is a postal code of {region_name(other)}, not of {region_name(region)}."
            faults[field] = ("region_mismatch", message)
    if faults or country is None or phone is None:
        dot = f"{at}." if at else ""
        return [FieldError(f"{dot}{field}", code, message) for field, (code, message) in faults.items()]
    return Address(
        first_name=texts["first_name"],
        last_name=texts["last_name"],
        company=texts.get("company") or None,
        address_one=texts["address_one"],
        address_two=texts.get("address_two") or None,
        apartment_suite=texts.get("apartment_suite") or None,
        city=texts["city"],
        zip=code or None,
        country_code=country,
        region_code=region,
        phone=phone[0],
        phone_typed=phone[1],
    )


def with_region(address: Address, *, at: str) -> Address | list[FieldError]:
    """The address with the region that its postal code is in where none was sent, or the fault that there is none.

    For a store that tells regions of the country apart, in tax or in shipping: without one nobody knows which.
    """
    if address.region_code is not None:
        return address
    region = find_region_of_code(address.zip or "", address.country_code)
    if region is None or region not in dict(list_regions(address.country_code)):
        message = f"Tax and shipping depend on the region of {country_name(address.country_code)}."
        return [FieldError(f"{at}.region", "required", message)]
    return msgspec.structs.replace(address, region_code=region)
