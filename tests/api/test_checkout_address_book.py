"""What a customer need not type at the checkout: the addresses of their book, and their own mail address."""

import pytest

from tests.api.account_shop import Person, signed_up, some_email
from tests.shop import ADDRESS, Guest, add_variant

BOOK = "/customer/addresses"
MISSING = 9_007_199_254_740_991
HOME = ADDRESS | {"address_one": "77 Marzipan Row", "company": "Quill & Sons"}


@pytest.fixture
async def person(guest: Guest) -> Person:
    return await signed_up(guest.client, guest.store)


@pytest.fixture
async def home(person: Person) -> int:
    return (await person.call("POST", BOOK, HOME)).json()["id"]


@pytest.fixture
async def place(person, guest, sessions) -> str:
    """The path of a checkout of the customer's."""
    line = {"product_id": await add_variant(sessions, guest.store), "quantity": 1}
    cart = (await person.call("POST", "/cart/items", line)).json()["cart_uuid"]
    checkout = await person.call("POST", "/checkout", {"cart_uuid": cart})
    return f"/checkout/{checkout.json()['checkout_token']}/customer"


async def test_an_id_fills_the_address_and_the_account_the_mail_address(person, home, place):
    answer = await person.call("PUT", place, {"shipping_address": {"id": home}})
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["email"] == person.email
    for name in ("address_one", "company", "city", "zip"):
        assert shown["shipping_address"][name] == HOME[name]
    assert shown["shipping_address"]["province"] == "US-OR"
    assert shown["shipping_options"]


async def test_a_billing_address_is_filled_alike(person, home, place):
    body = {
        "shipping_address": ADDRESS,
        "billing_same_as_shipping": False,
        "billing_address": {"id": home},
    }
    shown = (await person.call("PUT", place, body)).json()
    assert shown["billing_address"]["address_one"] == HOME["address_one"]
    assert shown["shipping_address"]["address_one"] == ADDRESS["address_one"]


async def test_fields_beside_an_id_count_in_place_of_the_books_and_leave_the_book_alone(person, home, place):
    body = {
        "email": some_email(),
        "shipping_address": {"id": home, "first_name": "Grace", "company": "", "province": "California"},
    }
    shown = (await person.call("PUT", place, body)).json()
    assert shown["email"] == body["email"]
    address = shown["shipping_address"]
    assert (address["first_name"], address["company"], address["province"]) == ("Grace", None, "US-CA")
    assert (await person.call("GET", f"{BOOK}/{home}")).json()["first_name"] == HOME["first_name"]


async def test_another_country_leaves_region_and_postal_code_of_the_book_behind(person, home, place):
    answer = await person.call("PUT", place, {"shipping_address": {"id": home, "country": "Germany"}})
    assert [fault["field"] for fault in answer.json()["errors"]] == ["shipping_address.zip"]


async def test_an_answered_address_can_be_sent_again_as_it_is(person, home, place):
    booked = (await person.call("GET", f"{BOOK}/{home}")).json()
    answer = await person.call("PUT", place, {"shipping_address": booked})
    assert answer.json()["shipping_address"]["address_one"] == HOME["address_one"]


@pytest.mark.parametrize("at", ["shipping_address", "billing_address"])
async def test_anothers_address_is_as_one_that_is_not_there(person, guest, place, at):
    other = await signed_up(guest.client, guest.store)
    theirs = (await other.call("POST", BOOK, HOME)).json()["id"]
    said = []
    for address_id in (theirs, MISSING):
        body = {
            "shipping_address": ADDRESS,
            "billing_same_as_shipping": False,
            at: ADDRESS | {"id": address_id},
        }
        answer = await person.call("PUT", place, body)
        said.append((answer.status_code, answer.json()["code"], answer.json()["detail"]))
    assert said == [(404, "not_found", "There is no such address.")] * 2


async def test_a_guest_has_no_book_and_gives_a_mail_address(guest, person, home, sessions):
    await guest.add(await add_variant(sessions, guest.store), 1)
    await guest.open_checkout()
    path = f"/checkout/{guest.token}/customer"
    named = await guest.call("PUT", path, {"email": guest.email, "shipping_address": ADDRESS | {"id": home}})
    assert (named.status_code, named.json()["code"]) == (401, "login_required")
    silent = await guest.call("PUT", path, {"shipping_address": ADDRESS})
    assert silent.status_code == 422
    assert [(one["field"], one["code"]) for one in silent.json()["errors"]] == [("email", "required")]
