"""The newsletter: the same answer for every address, begun by its owner, ended by one click."""

import asyncio
import re
from datetime import datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from app.db.session import Sessions, transaction
from app.domain.newsletter.jobs import forget_requests, newsletter_jobs
from app.domain.newsletter.service import confirm_customer, forget_customer, subscribe_customer
from app.domain.stores.directory import StoreDirectory
from app.domain.stores.models import Store
from app.integrations.mail import FileMailer, MailTemplates
from app.kit.clock import utc_now
from app.worker import work_once
from tests.api.newsletter_calls import ADA, ask, confirm, read, rows_of, text_of, token_in
from tests.conftest import make_store
from tests.shop import Guest, settings_for


@pytest.fixture
async def mails(sessions: Sessions, reads, database_url, redis_url, tmp_path: Path):
    """Runs every due job of the newsletter; the mails that were not read before."""
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM jobs"))
    settings = settings_for(database_url, redis_url, STOREFRONT_PUBLIC_URL="https://shop.example")
    handlers = newsletter_jobs(
        sessions=sessions,
        stores=StoreDirectory(reads),
        writer=MailTemplates(settings),
        mailer=FileMailer(tmp_path),
        settings=settings,
        clock=utc_now,
    )

    async def run():
        while await work_once(sessions, handlers):
            pass
        found = []
        for path in sorted(tmp_path.iterdir()):
            found.append(message_from_bytes(path.read_bytes(), policy=default))
            path.unlink()
        return found

    return run


@pytest.fixture
async def other_guest(guest: Guest, sessions: Sessions) -> Guest:
    return Guest(guest.client, await make_store(sessions), guest.option_id)


async def begin_at_once(sessions: Sessions, store: Store) -> None:
    """Before the first call: the server then knows a store's settings for a second."""
    async with transaction(sessions) as session:
        found = await session.get_one(Store, store.id)
        found.settings = {**found.settings, "newsletter": {"double_opt_in": False}}


async def test_a_newsletter_begins_with_the_link_in_the_mail(guest: Guest, sessions, mails):
    asked = await ask(guest, " Ada@Example.com ")
    assert asked == {
        "uuid": asked["uuid"],
        "email": "Ada@example.com",
        "status": "pending",
        "name": None,
        "birthday": None,
        "gender": None,
        "created_at": asked["created_at"],
    }
    (mail,) = await mails()
    assert mail["To"] == "Ada@example.com"
    assert mail["List-Unsubscribe"] is None
    (row,) = await rows_of(sessions, guest.store)
    assert (row.status, row.consent_at, row.consent_source) == ("pending", None, "form")
    confirmed = await confirm(guest, mail)
    assert confirmed["status"] == "subscribed"
    assert (await read(guest, asked["uuid"]))["status"] == "subscribed"
    (row,) = await rows_of(sessions, guest.store)
    assert row.consent_at is not None
    (welcome,) = await mails()
    assert f"#/newsletter/{confirmed['uuid']}" in text_of(welcome)


async def test_the_same_address_twice_is_the_same_subscription(guest: Guest, sessions, mails):
    first = await ask(guest, "ada@example.com")
    second = await ask(guest, "ADA@EXAMPLE.com")
    assert second["uuid"] == first["uuid"]
    assert len(await rows_of(sessions, guest.store)) == 1
    assert len(await mails()) == 1


async def test_many_at_once_make_one_subscription_and_one_mail(guest: Guest, sessions, mails):
    answers = await asyncio.gather(*(ask(guest) for _ in range(12)))
    assert len({answer["uuid"] for answer in answers}) == 1
    assert len(await rows_of(sessions, guest.store)) == 1
    assert len(await mails()) <= 2  # ten minutes may end in between


async def test_a_stranger_who_knows_the_address_learns_and_opens_nothing(guest: Guest, sessions, mails):
    await ask(guest)
    (mail,) = await mails()
    owner = await confirm(guest, mail)
    changed = await guest.call("PUT", f"/subscriptions/{owner['uuid']}", ADA)
    assert changed.status_code == 200
    unknown = await ask(guest, "nobody@example.com")
    known = await ask(guest)
    assert {**known, "uuid": "", "email": ""} == {
        **unknown,
        "uuid": "",
        "email": "",
        "created_at": known["created_at"],
    }
    assert UUID(known["uuid"]).version == UUID(unknown["uuid"]).version == 4
    seen = await read(guest, known["uuid"])
    assert {**seen, "uuid": "", "email": ""} == {
        **(await read(guest, unknown["uuid"])),
        "uuid": "",
        "email": "",
        "created_at": seen["created_at"],
    }
    await guest.call("PUT", f"/subscriptions/{known['uuid']}", {**ADA, "name": "Eve"})
    ended = await guest.call(
        "POST", f"/subscriptions/{known['uuid']}/unsubscribe", {"unsubscribe_note": "ha"}
    )
    assert ended.json()["status"] == "unsubscribed"
    still = await read(guest, owner["uuid"])
    assert (still["status"], still["name"], still["birthday"]) == ("subscribed", "Ada Berg", "1990-02-03")


async def test_the_forms_uuid_takes_a_name_and_never_shows_one(guest: Guest, mails):
    asked = await ask(guest)
    told = await guest.call("PUT", f"/subscriptions/{asked['uuid']}", ADA)
    assert {key: told.json()[key] for key in ("name", "birthday", "gender", "uuid")} == {
        "name": "Ada Berg", "birthday": "1990-02-03", "gender": "female", "uuid": asked["uuid"],
    }  # fmt: skip
    seen = await read(guest, asked["uuid"])
    assert (seen["name"], seen["birthday"], seen["gender"]) == (None, None, None)
    (mail,) = await mails()
    owner = await confirm(guest, mail)
    assert owner["uuid"] != asked["uuid"]
    assert (owner["name"], owner["birthday"]) == ("Ada Berg", "1990-02-03")


async def test_the_forms_uuid_ends_a_day_after_the_owner_agreed(guest: Guest, sessions, mails):
    asked = await ask(guest)
    (mail,) = await mails()
    owner = await confirm(guest, mail)
    async with transaction(sessions) as session:
        await session.execute(
            text(
                "UPDATE subscriptions SET confirmed_at = confirmed_at - interval '25 hours' WHERE store_id = :id"
            ),
            {"id": guest.store.id},
        )
    assert (await guest.call("GET", f"/subscriptions/{asked['uuid']}")).status_code == 404
    assert (await guest.call("PUT", f"/subscriptions/{asked['uuid']}", ADA)).status_code == 404
    assert (await read(guest, owner["uuid"]))["status"] == "subscribed"


async def test_asking_again_after_the_end_begins_again_with_what_was_known(guest: Guest, sessions, mails):
    await ask(guest, utms={"country": "USA"})
    owner = await confirm(guest, (await mails())[0])
    await guest.call("PUT", f"/subscriptions/{owner['uuid']}", ADA)
    await guest.call("POST", f"/subscriptions/{owner['uuid']}/unsubscribe", {"unsubscribe_note": "Too many"})
    await mails()
    asked = await ask(guest)
    await guest.call("PUT", f"/subscriptions/{asked['uuid']}", {**ADA, "name": "Eve"})
    again = await confirm(guest, (await mails())[0])
    assert (again["uuid"], again["name"], again["status"]) == (owner["uuid"], "Ada Berg", "subscribed")
    (row,) = await rows_of(sessions, guest.store)
    assert row.utms == {"country": "USA"}
    assert (await read(guest, asked["uuid"]))["status"] == "subscribed"


async def test_the_mailed_link_works_again_until_the_newsletter_is_ended(guest: Guest, mails):
    await ask(guest)
    (mail,) = await mails()
    first = await confirm(guest, mail)
    assert await confirm(guest, mail) == first
    await guest.call("POST", f"/subscriptions/{first['uuid']}/unsubscribe", {"List-Unsubscribe": "One-Click"})
    answer = await guest.call("POST", "/subscriptions/confirm", {"token": token_in(mail)})
    assert (answer.status_code, answer.json()["code"]) == (404, "confirmation_not_found")


async def test_a_link_ends_with_time_and_with_the_next_mail(guest: Guest, sessions, mails):
    await ask(guest)
    (old,) = await mails()
    async with transaction(sessions) as session:  # ten minutes later, another may be sent
        await session.execute(text("DELETE FROM jobs"))
    await ask(guest)
    (new,) = await mails()
    refused = await guest.call("POST", "/subscriptions/confirm", {"token": token_in(old)})
    assert refused.status_code == 404
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE subscriptions SET confirm_expires_at = :now WHERE store_id = :id"),
            {"id": guest.store.id, "now": utc_now()},
        )
    refused = await guest.call("POST", "/subscriptions/confirm", {"token": token_in(new)})
    assert refused.status_code == 404


async def test_of_many_confirmations_at_once_all_see_one_subscription(guest: Guest, sessions, mails):
    await ask(guest)
    first = await confirm(guest, (await mails())[0])
    await guest.call("POST", f"/subscriptions/{first['uuid']}/unsubscribe", {"unsubscribe_note": ""})
    await ask(guest)
    (mail,) = await mails()  # of the two, the welcome had nothing to say any more
    answers = await asyncio.gather(*(confirm(guest, mail) for _ in range(8)))
    assert {(answer["uuid"], answer["status"]) for answer in answers} == {(first["uuid"], "subscribed")}
    assert len(await rows_of(sessions, guest.store)) == 1
    assert len(await mails()) == 1


async def test_when_others_asked_for_an_address_is_not_told(guest: Guest, sessions):
    await ask(guest)
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE subscriptions SET created_at = created_at - interval '9 days' WHERE store_id = :id"),
            {"id": guest.store.id},
        )
    again = await ask(guest)
    assert utc_now() - datetime.fromisoformat(again["created_at"]) < timedelta(minutes=5)


async def test_no_secret_of_the_mail_stands_in_a_table(guest: Guest, sessions, mails):
    await ask(guest)
    (mail,) = await mails()
    token = token_in(mail)
    async with sessions() as session:
        for table in ("subscriptions", "jobs"):
            found = await session.scalar(
                text(f"SELECT count(*) FROM {table} t WHERE t::text LIKE :secret"), {"secret": f"%{token}%"}
            )
            assert found == 0, table


async def test_one_click_ends_it_without_cookie_and_from_anywhere(guest: Guest, sessions, mails):
    await ask(guest)
    await confirm(guest, (await mails())[0])
    (welcome,) = await mails()
    assert welcome["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address = urlsplit(welcome["List-Unsubscribe"].strip("<>"))
    assert address.netloc == "shop.example"
    headers = {"X-Store": guest.store.code, "Origin": "https://mail.example"}
    for form in (
        {"data": {"List-Unsubscribe": "One-Click"}},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
    ):
        answer = await guest.client.post(address.path, headers=headers, **form)
        assert (answer.status_code, answer.json()["status"]) == (200, "unsubscribed")
    (row,) = await rows_of(sessions, guest.store)
    assert row.unsubscribed_at is not None
    looked = await guest.client.get(address.path, headers=headers)
    assert looked.status_code == 303
    assert urlsplit(looked.headers["location"]).fragment == f"/newsletter/{row.uuid}"


async def test_opening_the_address_of_one_click_ends_nothing(guest: Guest, mails):
    await ask(guest)
    owner = await confirm(guest, (await mails())[0])
    await guest.call("GET", f"/subscriptions/{owner['uuid']}/unsubscribe")
    assert (await read(guest, owner["uuid"]))["status"] == "subscribed"


async def test_the_owners_end_is_the_end_of_what_others_asked_for_too(guest: Guest, sessions, mails):
    await ask(guest)
    owner = await confirm(guest, (await mails())[0])
    stranger = await ask(guest)
    await guest.call("POST", f"/subscriptions/{owner['uuid']}/unsubscribe", {"unsubscribe_note": "Enough"})
    assert {row.status for row in await rows_of(sessions, guest.store)} == {"unsubscribed"}
    assert (await read(guest, stranger["uuid"]))["status"] == "unsubscribed"
    assert await mails() == []


async def test_a_note_may_come_later_and_nothing_else_changes(guest: Guest, sessions):
    asked = await ask(guest)
    await guest.call("POST", f"/subscriptions/{asked['uuid']}/unsubscribe", {"List-Unsubscribe": "One-Click"})
    (before,) = await rows_of(sessions, guest.store)
    await guest.call("POST", f"/subscriptions/{asked['uuid']}/unsubscribe", {"unsubscribe_note": "Too many"})
    await guest.call("POST", f"/subscriptions/{asked['uuid']}/unsubscribe", {"List-Unsubscribe": "One-Click"})
    (after,) = await rows_of(sessions, guest.store)
    assert after.unsubscribe_note == "Too many"
    assert after.unsubscribed_at == before.unsubscribed_at


async def test_a_store_may_begin_at_once_and_still_tells_strangers_nothing(guest: Guest, sessions, mails):
    await begin_at_once(sessions, guest.store)
    first = await ask(guest, behaviour="roulette")
    assert first["status"] == "subscribed"
    (welcome,) = await mails()
    assert "List-Unsubscribe" in welcome
    owner = re.search(r"#/newsletter/([\w-]+)", text_of(welcome))[1]
    await guest.call("PUT", f"/subscriptions/{owner}", ADA)
    again = await ask(guest)
    assert {**again, "created_at": ""} == {**first, "created_at": ""}
    assert (await read(guest, again["uuid"]))["name"] is None
    assert (await read(guest, owner))["name"] == "Ada Berg"
    assert await mails() == []
    (row,) = await rows_of(sessions, guest.store)
    assert (row.consent_source, row.consent_at is None) == ("roulette", False)


async def test_where_a_reader_came_from_is_kept(guest: Guest, sessions):
    form = [
        ("email", "ada@example.com"), ("identity", "id-7"), ("utms[country]", "USA"), ("utms[ip]", "127.0.0.1"),
        ("behaviour", "roulette"), ("behaviour_params[session]", "some_info"),
    ]  # fmt: skip
    body = "&".join(f"{name}={value}" for name, value in form)
    answer = await guest.client.post(
        "/storefront/v1/subscriptions",
        content=body,
        headers={
            **guest.headers,
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept-Language": "de-CH,de;q=0.9,en;q=0.5",
        },
    )
    assert answer.status_code == 200, answer.text
    await ask(guest)  # says nothing of where from, and takes nothing away
    (row,) = await rows_of(sessions, guest.store)
    assert (row.identity, row.behaviour, row.language) == ("id-7", "roulette", "de-CH,de,en")
    assert row.utms == {"country": "USA", "ip": "127.0.0.1"}
    assert row.behaviour_params == {"session": "some_info"}


async def test_the_mail_is_in_the_readers_language(guest: Guest, mails):
    await guest.call(
        "POST", "/subscriptions", {"email": "ada@example.com"}, **{"Accept-Language": "fr, de-AT"}
    )
    (mail,) = await mails()
    assert mail["Content-Language"] == "de"
    assert mail["Subject"] == "Bitte bestätigen Sie Ihren Newsletter"


async def test_another_stores_subscription_is_not_there(guest: Guest, other_guest: Guest, mails):
    asked = await ask(guest)
    (mail,) = await mails()
    assert (await other_guest.call("GET", f"/subscriptions/{asked['uuid']}")).status_code == 404
    refused = await other_guest.call("POST", "/subscriptions/confirm", {"token": token_in(mail)})
    assert refused.status_code == 404
    assert (await ask(other_guest))["uuid"] != asked["uuid"]


async def test_a_repeated_key_repeats_the_answer(guest: Guest, sessions):
    key = {"Idempotency-Key": uuid4().hex}
    first = await guest.call("POST", "/subscriptions", {"email": "ada@example.com"}, **key)
    again = await guest.call("POST", "/subscriptions", {"email": "ada@example.com"}, **key)
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await guest.call("POST", "/subscriptions", {"email": "eve@example.com"}, **key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")
    assert len(await rows_of(sessions, guest.store)) == 1


async def add_customer(sessions: Sessions, store: Store, email: str) -> int:
    async with transaction(sessions) as session:
        return await session.scalar(
            text(
                "INSERT INTO customers (store_id, email, email_key, username, invite_token, updated_at) "
                "VALUES (:store, :email, :email, 'Ada', :token, now()) RETURNING id"
            ),
            {"store": store.id, "email": email, "token": uuid4().hex},
        )


@pytest.fixture
async def config(guest: Guest, reads):
    return await StoreDirectory(reads).get(guest.store.id)


async def test_a_new_customers_newsletter_begins_with_their_verified_address(
    guest: Guest, config, sessions, mails
):
    customer = await add_customer(sessions, guest.store, "ada@example.com")
    wish = {
        "customer_id": customer, "email": "Ada@example.com", "email_key": "ada@example.com", "language": "de",
    }  # fmt: skip
    async with transaction(sessions) as session:
        await subscribe_customer(session, config, **wish, verified=False, now=utc_now())
    assert await mails() == []
    async with transaction(sessions) as session:
        await confirm_customer(
            session, config.id, customer_id=customer + 1, email_key="ada@example.com", now=utc_now()
        )
    (row,) = await rows_of(sessions, guest.store)
    assert row.status == "pending"
    async with transaction(sessions) as session:
        await confirm_customer(
            session, config.id, customer_id=customer, email_key="ada@example.com", now=utc_now()
        )
    (row,) = await rows_of(sessions, guest.store)
    assert (row.status, row.consent_source, row.customer_id) == ("subscribed", "signup", customer)
    (welcome,) = await mails()
    assert welcome["Content-Language"] == "de"


async def test_a_customer_with_a_verified_address_is_subscribed_at_once(
    guest: Guest, config, sessions, mails
):
    customer = await add_customer(sessions, guest.store, "ada@example.com")
    async with transaction(sessions) as session:
        await subscribe_customer(
            session, config, customer_id=customer, email="ada@example.com", email_key="ada@example.com",
            verified=True, language=None, now=utc_now(), source="google",
        )  # fmt: skip
    (row,) = await rows_of(sessions, guest.store)
    assert (row.status, row.consent_source, row.confirmed_at is None) == ("subscribed", "google", False)
    assert len(await mails()) == 1


async def test_a_closed_account_leaves_no_subscription(guest: Guest, config, sessions, mails):
    customer = await add_customer(sessions, guest.store, "ada@example.com")
    await ask(guest)
    await ask(guest, "eve@example.com")
    async with transaction(sessions) as session:
        await subscribe_customer(
            session, config, customer_id=customer, email="ada@example.com", email_key="ada@example.com",
            verified=True, language=None, now=utc_now(),
        )  # fmt: skip
        await forget_customer(
            session, config.id, customer_id=customer, email_key="ada@example.com", proven=True
        )
    assert [row.email for row in await rows_of(sessions, guest.store)] == ["eve@example.com"]
    assert [mail["To"] for mail in await mails()] == ["eve@example.com"]


async def test_what_nobody_agreed_to_is_forgotten_after_a_month(guest: Guest, sessions, mails):
    await ask(guest)
    await confirm(guest, (await mails())[0])
    await ask(guest, "eve@example.com")
    await forget_requests(sessions, now=utc_now() + timedelta(days=29))
    assert len(await rows_of(sessions, guest.store)) == 2
    await forget_requests(sessions, now=utc_now() + timedelta(days=31))
    assert [row.email for row in await rows_of(sessions, guest.store)] == ["ada@example.com"]


async def test_a_stranger_who_asks_too_cannot_end_what_the_owner_asked_for(guest: Guest, sessions, mails):
    """Whoever knows the address gets the request's uuid. The owner's link begins the newsletter all the same."""
    await ask(guest)
    stranger = await ask(guest)
    (mail,) = await mails()
    ended = await guest.call(
        "POST", f"/subscriptions/{stranger['uuid']}/unsubscribe", {"unsubscribe_note": "ha"}
    )
    assert ended.json()["status"] == "unsubscribed"
    assert (await confirm(guest, mail))["status"] == "subscribed"
    (row,) = await rows_of(sessions, guest.store)
    assert row.status == "subscribed"


async def test_nor_before_the_owners_mail_is_sent(guest: Guest, mails):
    await ask(guest)
    stranger = await ask(guest)
    await guest.call("POST", f"/subscriptions/{stranger['uuid']}/unsubscribe", {"unsubscribe_note": "ha"})
    (mail,) = await mails()
    assert mail["Subject"] == "Please confirm your newsletter"
    assert (await confirm(guest, mail))["status"] == "subscribed"


async def test_where_it_begins_at_once_an_end_by_the_form_is_told_and_can_be_undone(
    guest: Guest, sessions, mails
):
    await begin_at_once(sessions, guest.store)
    await ask(guest)
    await mails()
    stranger = await ask(guest)
    for _ in range(2):
        ended = await guest.call(
            "POST", f"/subscriptions/{stranger['uuid']}/unsubscribe", {"unsubscribe_note": "ha"}
        )
        assert ended.json()["status"] == "unsubscribed"
    (told,) = await mails()
    assert (told["To"], told["Subject"]) == ("ada@example.com", "Your newsletter has ended")
    kept = await confirm(guest, told)
    assert kept["status"] == "subscribed"
    # From now on it is the owner's own, and the form's word is about another request.
    again = await ask(guest)
    await guest.call("POST", f"/subscriptions/{again['uuid']}/unsubscribe", {"unsubscribe_note": "ha"})
    assert (await read(guest, kept["uuid"]))["status"] == "subscribed"


async def test_the_owners_own_end_is_not_asked_about(guest: Guest, sessions, mails):
    """Neither where it began at once, nor what others asked for meanwhile."""
    await begin_at_once(sessions, guest.store)
    await ask(guest)
    (welcome,) = await mails()
    owner = re.search(r"#/newsletter/([\w-]+)", text_of(welcome))[1]
    await guest.call("POST", f"/subscriptions/{owner}/unsubscribe", {"unsubscribe_note": "Enough"})
    assert await mails() == []
