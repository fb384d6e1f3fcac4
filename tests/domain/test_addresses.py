"""What makes an address good enough to ship to."""

import msgspec
import pytest

from app.domain.customers.addresses import Address, AddressInput, check_address

GOOD = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "address_one": "12 Harbour Road",
    "city": "Portland",
    "zip": "97201",
    "country": "United States",
    "province": "OR",
    "phone": "(503) 555-0142",
}


def faults(at="", **changes):
    found = check_address(AddressInput(**{**GOOD, **changes}), at=at)
    return {} if isinstance(found, Address) else {error.field: error.code for error in found}


def test_an_address_is_answered_with_names_and_codes():
    found = check_address(AddressInput(**GOOD, company="  ", address_two=" Unit   4 "))
    assert isinstance(found, Address)
    assert found.phone_typed == "(503) 555-0142"
    assert found.as_json() == {
        "id": None,
        "first_name": "Ada",
        "last_name": "Lovelace",
        "company": None,
        "address_one": "12 Harbour Road",
        "address_two": "Unit 4",
        "apartment_suite": None,
        "city": "Portland",
        "zip": "97201",
        "country": "United States",
        "country_code": "US",
        "region": "Oregon",
        "province": "US-OR",
        "phone": "+15035550142",
        "is_default": False,
    }


def test_an_answered_address_can_be_sent_again():
    first = check_address(AddressInput(**GOOD))
    second = check_address(AddressInput(**first.as_json()))
    assert second.as_json() == first.as_json()


def test_an_empty_address_names_every_missing_field_at_once():
    found = check_address(AddressInput(), at="shipping_address")
    assert {error.field for error in found} == {
        f"shipping_address.{name}"
        for name in ("first_name", "last_name", "address_one", "city", "zip", "country", "phone")
    }
    assert {error.code for error in found} == {"required"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"country": "Atlantis"}, {"country": "unknown_country"}),
        ({"region": "Bavaria"}, {"region": "unknown_region"}),
        ({"region": "Texas"}, {"province": "region_mismatch"}),
        ({"region": "Oregon", "state": "US-OR"}, {}),
        ({"province": None, "region": "Alaska"}, {"region": "region_mismatch"}),
        ({"province": None, "state": "HI"}, {"state": "region_mismatch"}),
        ({"province": "Washington"}, {}),
        ({"phone": "12"}, {"phone": "invalid_phone"}),
        ({"phone": 5035550142}, {}),
        ({"first_name": "A" * 101}, {"first_name": "too_long"}),
        ({"city": "Port\x00land"}, {"city": "invalid_text"}),
        ({"city": "Port\ud800land"}, {"city": "invalid_text"}),
        ({"zip": " ", "phone": ""}, {"zip": "required", "phone": "required"}),
        ({"country": "Hong Kong", "zip": None, "province": None, "phone": "2123 4567"}, {}),
        ({"country": "Panama", "zip": None, "province": None, "phone": "6123 4567"}, {}),
        ({"country": "Jamaica", "zip": "", "province": None, "phone": "876 555 0123"}, {}),
        ({"country": "Germany", "zip": None, "province": None, "phone": "030 123456"}, {"zip": "required"}),
        ({"country": "Ireland", "zip": None, "province": None, "phone": "085 123 4567"}, {}),
        (
            {"country": "Ireland", "zip": "1", "province": None, "phone": "085 123 4567"},
            {"zip": "invalid_zip"},
        ),
        ({"country": "Kuwait", "zip": "", "province": None, "phone": "2222 2222"}, {}),
        ({"country": "Atlantis", "zip": None}, {"country": "unknown_country", "zip": "required"}),
    ],
)
def test_each_fault_stands_at_its_field(changes, expected):
    assert faults(**changes) == expected


def test_a_phone_comes_as_text_or_number_and_unknown_fields_are_refused():
    assert msgspec.convert({**GOOD, "phone": 5035550142}, AddressInput).phone == 5035550142
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({**GOOD, "planet": "Earth"}, AddressInput)
