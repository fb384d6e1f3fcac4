"""What the newsletter's calls refuse, and that they name the field."""

import pytest

from tests.api.newsletter_calls import ADA, ask, read, rows_of
from tests.shop import Guest


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "no address"}, "email"), ({"email": "ada@example.com\r\nBcc: eve@example.com"}, "email"), ({}, "email"),
        ({"email": "a@b.example", "utms": {"a": "x" * 20_000}}, "utms"), ({"email": "a@b.example", "status": "subscribed"}, "status"),
        ({"email": "a@b.example", "behaviour_params": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}}}, "behaviour_params"),
        ({"email": "a@b.example", "behaviour": "x" * 256}, "behaviour"), ({"email": "a@b.example", "customer_id": 1}, "customer_id"),
    ],
)  # fmt: skip
async def test_a_wrong_request_is_told_which_field(guest: Guest, sessions, body, field):
    answer = await guest.call("POST", "/subscriptions", body)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    assert await rows_of(sessions, guest.store) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"day": 31}, "day"), ({"year": 2999}, "year"), ({"year": 1899}, "year"), ({"month": 13}, "month"), ({"gender": "x"}, "gender"),
        ({"name": ""}, "name"), ({"day": 0}, "day"), ({"email": "eve@example.com"}, "email"), ({"status": "subscribed"}, "status"),
    ],
)  # fmt: skip
async def test_a_reader_cannot_be_told_what_is_no_name_or_day(guest: Guest, change, field):
    asked = await ask(guest)
    answer = await guest.call("PUT", f"/subscriptions/{asked['uuid']}", {**ADA, **change})
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("uuid", ["7b1f6c1e-3f0a-4c55-9d8e-2f4f8a3c9b10", "no-uuid", "0", "x" * 200])
async def test_an_unknown_uuid_opens_nothing(guest: Guest, uuid):
    for method, path, body in (
        ("GET", "", None),
        ("PUT", "", ADA),
        ("POST", "/unsubscribe", {"List-Unsubscribe": "One-Click"}),
    ):
        answer = await guest.call(method, f"/subscriptions/{uuid}{path}", body)
        assert (answer.status_code, answer.json()["code"]) == (404, "subscription_not_found")


async def test_the_uuid_of_the_path_may_stand_in_the_body_and_no_other(guest: Guest, sessions):
    asked, other = await ask(guest), await ask(guest, "eve@example.com")
    path = f"/subscriptions/{asked['uuid']}"
    for method, at, body in (("PUT", "", ADA), ("POST", "/unsubscribe", {"unsubscribe_note": "no"})):
        for uuid in (other["uuid"], "no-uuid"):
            refused = await guest.call(method, path + at, body | {"uuid": uuid})
            assert refused.status_code == 422
            fault = refused.json()["errors"][0]
            assert (fault["field"], fault["code"]) == ("uuid", "uuid_mismatch")
        assert [row.name for row in await rows_of(sessions, guest.store)] == [None, None]
    for method, at, body in (("PUT", "", ADA), ("POST", "/unsubscribe", {"unsubscribe_note": "no"})):
        answer = await guest.call(method, path + at, body | {"uuid": asked["uuid"].upper()})
        assert answer.status_code == 200, answer.text
    assert (await read(guest, asked["uuid"]))["status"] == "unsubscribed"


async def test_an_end_without_a_body_is_told_what_to_send(guest: Guest):
    asked = await ask(guest)
    answer = await guest.call("POST", f"/subscriptions/{asked['uuid']}/unsubscribe")
    assert answer.status_code == 422
    fault = answer.json()["errors"][0]
    assert (fault["field"], fault["code"]) == ("unsubscribe_note", "required")
    assert "may be empty, or List-Unsubscribe=One-Click" in fault["message"]


async def test_an_end_says_a_note_or_one_click(guest: Guest):
    asked = await ask(guest)
    for body, field in (({}, "unsubscribe_note"), ({"List-Unsubscribe": "yes"}, "List-Unsubscribe")):
        answer = await guest.call("POST", f"/subscriptions/{asked['uuid']}/unsubscribe", body)
        assert answer.status_code == 422
        assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    assert (await read(guest, asked["uuid"]))["status"] == "pending"
