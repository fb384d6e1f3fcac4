"""A customer's newsletter and another mail address: it goes along, and takes nothing from whoever has either address."""

import re
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.db.session import Sessions, transaction
from app.domain.newsletter.models import Subscription
from app.kit.clock import utc_now
from tests.api.account_shop import Person, signed_up, some_email
from tests.api.newsletter_calls import rows_of

TOKEN = re.compile(r"verify\?token=([\w-]{43})")


async def open_link(person: Person, mails) -> None:
    """Open the link to verify an address that was mailed last."""
    bodies = [body for _, _, body in await mails()]
    (token,) = [found for body in bodies for found in TOKEN.findall(body)]
    answer = await person.call("POST", "/customer/email/verify", {"token": token})
    assert answer.status_code == 204, answer.text


@pytest.fixture
async def reader(mails, client, store) -> Person:
    """A customer who gets the newsletter at a proven address."""
    person = await signed_up(client, store, subscribe=True)
    await open_link(person, mails)
    return person


async def move(person: Person, mails, new: str) -> None:
    assert (await person.call("PATCH", "/customer", {"email": new})).status_code == 200
    await open_link(person, mails)


async def plant(sessions: Sessions, person: Person, email: str, status: str, *, confirmed: bool) -> None:
    """A row of an address that is nobody's account."""
    now = utc_now()
    async with transaction(sessions) as session:
        session.add(
            Subscription(
                store_id=person.store.id,
                uuid=uuid4(),
                form_uuid=uuid4(),
                email=email,
                email_key=email,
                status=status,
                confirmed_at=now if confirmed else None,
                updated_at=now,
            )
        )


async def test_a_newsletter_goes_along_to_the_new_address_under_new_uuids(reader: Person, mails, sessions):
    """The former address may be a stranger's by now: what was mailed there opens nothing of the new one."""
    (before,) = await rows_of(sessions, reader.store)
    new = some_email()
    await move(reader, mails, new)
    (after,) = await rows_of(sessions, reader.store)
    assert (after.id, after.email, after.email_key, after.status) == (before.id, new, new, "subscribed")
    assert after.consent_at == before.consent_at
    assert (await reader.call("GET", "/customer")).json()["subscribed"] is True
    for uuid in (before.uuid, before.form_uuid):
        assert (await reader.elsewhere().call("GET", f"/subscriptions/{uuid}")).status_code == 404


async def test_one_that_waited_for_the_link_begins_with_that_of_the_new_address(
    client, store, mails, sessions
):
    person = await signed_up(client, store, subscribe=True)
    await mails()
    new = some_email()
    await move(person, mails, new)
    (row,) = await rows_of(sessions, store)
    assert (row.email, row.status, row.consent_at is not None) == (new, "subscribed", True)


@pytest.mark.parametrize("status", ["subscribed", "unsubscribed"])
async def test_what_the_owner_of_the_new_address_said_before_stands(reader: Person, mails, sessions, status):
    new = some_email()
    await plant(sessions, reader, new, status, confirmed=True)
    await move(reader, mails, new)
    (row,) = await rows_of(sessions, reader.store)
    assert (row.email, row.status, row.customer_id) == (new, status, reader.id)


async def test_what_others_asked_for_with_the_new_address_stays_a_request(reader: Person, mails, sessions):
    new = some_email()
    await plant(sessions, reader, new, "pending", confirmed=False)
    await move(reader, mails, new)
    found = {(row.email, row.status, row.customer_id) for row in await rows_of(sessions, reader.store)}
    assert found == {(new, "subscribed", reader.id), (new, "pending", None)}


async def test_one_that_was_ended_does_not_begin_again(reader: Person, mails, sessions):
    (row,) = await rows_of(sessions, reader.store)
    ended = await reader.call(
        "POST", f"/subscriptions/{row.uuid}/unsubscribe", {"unsubscribe_note": "Enough"}
    )
    assert ended.status_code == 200
    await move(reader, mails, some_email())
    (row,) = await rows_of(sessions, reader.store)
    assert row.status == "unsubscribed"
    assert (await reader.call("GET", "/customer")).json()["subscribed"] is False


async def test_what_is_another_customers_stays_with_them(reader: Person, client, store, mails, sessions):
    """Nobody but the customer themselves is moved, and of two addresses both are left in order."""
    other = await signed_up(client, store, subscribe=True)
    await open_link(other, mails)
    await move(reader, mails, some_email())
    async with sessions() as session:
        found = await session.scalar(
            text("SELECT status FROM subscriptions WHERE customer_id = :id AND email = :email"),
            {"id": other.id, "email": other.email},
        )
    assert found == "subscribed"
