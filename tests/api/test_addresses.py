"""The address book: whose it is, what is checked, and that at most one address is the default."""

import asyncio

import pytest
from sqlalchemy import text

from app.db.session import transaction
from tests.people import Member, join
from tests.shop import ADDRESS, Guest

BOOK = "/customer/addresses"
LONDON = {
    "first_name": "Ada",
    "last_name": "Berg",
    "address_one": "1 Portman Square",
    "city": "London",
    "zip": "w1h6ll",
    "country": "United Kingdom",
    "phone": "+44 20 7946 0123",
}


@pytest.fixture
async def member(guest: Guest, sessions, redis_url) -> Member:
    return await join(guest, sessions, redis_url)


async def add(member: Member, **more):
    answer = await member.call("POST", BOOK, {**ADDRESS, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def book(member: Member) -> list[dict]:
    return (await member.call("GET", BOOK)).json()["items"]


async def defaults(member: Member) -> list[int]:
    return [address["id"] for address in await book(member) if address["is_default"]]


async def test_an_address_is_answered_with_names_and_codes_and_the_phone_in_e164(member, sessions):
    made = await add(member, province="OR", company="Tarn & Hearth")
    assert made | {"id": 0} == {
        "id": 0,
        "first_name": "Ada",
        "last_name": "Berg",
        "company": "Tarn & Hearth",
        "address_one": "12 Mill Lane",
        "address_two": None,
        "apartment_suite": None,
        "city": "Portland",
        "zip": "97201",
        "country": "United States",
        "country_code": "US",
        "region": "Oregon",
        "province": "US-OR",
        "phone": "+15035550123",
        "is_default": True,
    }
    async with sessions() as session:
        kept = await session.scalar(
            text("SELECT address FROM customer_addresses WHERE id = :id"), {"id": made["id"]}
        )
    assert (kept["phone"], kept["phone_typed"]) == ("+15035550123", "+1 503 555 0123")
    assert await book(member) == [made]
    assert (await member.call("GET", f"{BOOK}/{made['id']}")).json() == made
    assert (await member.call("GET", "/customer")).json()["shipping_info"] == [made]


async def test_the_first_address_is_the_default_and_others_when_they_say_so(member):
    first = await add(member)
    second = await add(member)
    assert (first["is_default"], second["is_default"]) == (True, False)
    third = await add(member, is_default=1)
    assert await defaults(member) == [third["id"]]
    assert [address["id"] for address in await book(member)] == [third["id"], first["id"], second["id"]]
    changed = await member.call("PUT", f"{BOOK}/{second['id']}", {**ADDRESS, "is_default": True})
    assert changed.json()["is_default"] is True
    assert await defaults(member) == [second["id"]]
    kept = await member.call("PUT", f"{BOOK}/{second['id']}", ADDRESS)
    assert kept.json()["is_default"] is True
    await member.call("PUT", f"{BOOK}/{second['id']}", {**ADDRESS, "is_default": 0})
    assert await defaults(member) == []


async def test_a_first_address_that_is_not_to_be_the_default_is_not(member):
    assert (await add(member, is_default=0))["is_default"] is False


async def test_an_address_is_written_anew_as_a_whole(member):
    made = await add(member, company="Tarn & Hearth")
    answer = await member.call("PUT", f"{BOOK}/{made['id']}", {**LONDON, "id": made["id"]})
    changed = answer.json()
    assert (changed["id"], changed["city"], changed["zip"]) == (made["id"], "London", "W1H 6LL")
    assert (changed["country_code"], changed["region"], changed["company"]) == ("GB", None, None)
    again = await member.call("PUT", f"{BOOK}/{made['id']}", changed)
    assert again.json() == changed


async def test_a_form_with_a_phone_of_digits_makes_the_same_address(member):
    form = {**ADDRESS, "phone": "15035550123", "is_default": "1"}
    answer = await member.client.post(f"/storefront/v1{BOOK}", data=form, headers=member.headers)
    by_number = await add(member, phone=15035550123)
    assert answer.json() | {"id": 0} == by_number | {"id": 0, "is_default": True}


async def test_an_address_that_is_removed_is_gone_and_nothing_takes_its_place(member):
    first, second = await add(member), await add(member)
    assert (await member.call("DELETE", f"{BOOK}/{first['id']}")).status_code == 204
    assert [address["id"] for address in await book(member)] == [second["id"]]
    assert await defaults(member) == []
    assert (await member.call("DELETE", f"{BOOK}/{first['id']}")).status_code == 404


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"zip": "ABC"}, "zip", "invalid_zip"),
        ({"zip": ""}, "zip", "required"),
        ({"country": "Atlantis"}, "country", "unknown_country"),
        ({"region": "Bavaria"}, "region", "unknown_region"),
        ({"phone": "12"}, "phone", "invalid_phone"),
        ({"first_name": "x" * 101}, "first_name", "too_long"),
        ({"city": None}, "city", "required"),
        ({"is_default": 2}, "is_default", "validation_failed"),
        ({"customer_id": 1}, "customer_id", "validation_failed"),
    ],
)
async def test_what_is_wrong_with_an_address_is_said_field_by_field(member, change, field, code):
    answer = await member.call("POST", BOOK, {**ADDRESS, **change})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    if code != "validation_failed":
        assert answer.json()["errors"][0]["code"] == code
    assert await book(member) == []


async def test_every_fault_is_named_at_once(member):
    answer = await member.call("POST", BOOK, {**ADDRESS, "zip": "A", "phone": "1", "city": ""})
    assert {error["field"] for error in answer.json()["errors"]} == {"zip", "phone", "city"}


async def test_another_customers_address_is_as_if_it_were_not_there(member, guest, sessions, redis_url):
    other = await join(guest, sessions, redis_url)
    theirs = await add(other)
    for method, body in (("GET", None), ("PUT", ADDRESS), ("DELETE", None)):
        answers = [
            await member.call(method, f"{BOOK}/{address_id}", body) for address_id in (theirs["id"], 2**53)
        ]
        assert {answer.status_code for answer in answers} == {404}
        first, second = ({**a.json(), "request_id": ""} for a in answers)
        assert first == second
    assert await book(other) == [theirs]
    assert await book(member) == []
    swapped = await member.call("PUT", f"{BOOK}/{2**53}", {**ADDRESS, "id": theirs["id"]})
    assert swapped.status_code == 422


async def test_a_guest_has_no_address_book(guest):
    for method, path, body in (
        ("GET", BOOK, None),
        ("POST", BOOK, ADDRESS),
        ("GET", f"{BOOK}/1", None),
        ("PUT", f"{BOOK}/1", ADDRESS),
        ("DELETE", f"{BOOK}/1", None),
    ):
        answer = await guest.call(method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (401, "login_required")


async def test_a_book_holds_fifty_addresses_also_when_they_come_at_once(member, sessions):
    made = await add(member)
    async with transaction(sessions) as session:
        await session.execute(
            text(
                "INSERT INTO customer_addresses (store_id, customer_id, address, updated_at) "
                "SELECT store_id, customer_id, address, now() FROM customer_addresses, generate_series(1, 47) "
                "WHERE id = :id"
            ),
            {"id": made["id"]},
        )
    answers = await asyncio.gather(*(member.call("POST", BOOK, ADDRESS) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, *[422] * 6]
    assert {a.json()["code"] for a in answers if a.status_code == 422} == {"too_many_addresses"}
    assert len(await book(member)) == 50


async def test_of_addresses_made_default_at_once_one_is(member):
    made = [await add(member) for _ in range(4)]
    calls = [
        member.call("PUT", f"{BOOK}/{address['id']}", {**ADDRESS, "is_default": 1})
        for address in made
        for _ in range(3)
    ]
    calls += [member.call("POST", BOOK, {**ADDRESS, "is_default": 1}) for _ in range(4)]
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {200}
    assert len(await defaults(member)) == 1


async def test_a_repeated_key_keeps_one_address(member):
    key = {"Idempotency-Key": "first-address"}
    answers = [await member.call("POST", BOOK, ADDRESS, **key) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert len(await book(member)) == 1
    other = await member.call("POST", BOOK, LONDON, **key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")
