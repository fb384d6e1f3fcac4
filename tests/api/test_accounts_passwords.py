"""Forgotten, changed and proven: what mailed secrets open, how often, and what they close behind them."""

import asyncio
import re

import pytest
from sqlalchemy import text

from app.db.session import transaction
from app.domain.accounts.jobs import sweep_accounts
from app.kit.clock import utc_now
from tests.api.account_shop import OTHER_PASSWORD, PASSWORD, Person, signed_up, some_email

SECRET = re.compile(r"(?:token|uuid)=([\w-]{43})")


@pytest.fixture
async def ada(mails, client, store) -> Person:
    """Somebody who has signed up and has not proven the address."""
    return await signed_up(client, store)


def secret_in(mail: tuple[str, str, str]) -> str:
    (found,) = SECRET.findall(mail[2])
    return found


async def forget(person: Person, mails) -> str:
    """Ask for a new password; the token of the mail."""
    answer = await person.call("POST", "/customer/password/forgot", {"email": person.email})
    assert answer.status_code == 204
    (mail,) = [one for one in await mails() if "new password" in one[1].lower() or "reset" in one[1].lower()]
    assert mail[0] == person.email
    return secret_in(mail)


async def verify(person: Person, mails) -> None:
    (mail,) = await mails()
    answer = await person.call("POST", "/customer/email/verify", {"token": secret_in(mail)})
    assert answer.status_code == 204, answer.text


def new_password(**proof: str) -> dict[str, str]:
    return {"password": OTHER_PASSWORD, "confirm_password": OTHER_PASSWORD, **proof}


async def test_the_mailed_link_proves_the_address_once_and_leads_to_the_shop(ada: Person, mails):
    (mail,) = await mails()
    assert mail[0] == ada.email
    assert "https://shop.example/#/verify?token=" in mail[2]
    token = {"token": secret_in(mail)}
    assert (await ada.call("POST", "/customer/email/verify", token)).status_code == 204
    assert (await ada.call("GET", "/customer")).json()["email_verified"] is True
    again = await ada.call("POST", "/customer/email/verify", token)
    assert (again.status_code, again.json()["code"]) == (422, "token_not_usable")


async def test_forgetting_a_password_answers_and_queues_the_same_for_everybody(ada: Person, mails, sessions):
    await mails()
    answers = []
    for email in (ada.email, some_email()):
        answer = await ada.elsewhere().call("POST", "/customer/password/forgot", {"email": email})
        answers.append((answer.status_code, answer.content))
    assert answers == [(204, b""), (204, b"")]
    async with sessions() as session:
        rows = (
            await session.execute(
                text("SELECT kind, payload FROM jobs WHERE kind = 'accounts.reset_password' ORDER BY id")
            )
        ).all()
    assert [set(row.payload) for row in rows] == [{"email_key"}, {"email_key"}]
    assert [mail[0] for mail in await mails()] == [ada.email]


async def test_a_reset_token_opens_once_and_ends_every_other_session(ada: Person, mails):
    other = ada.elsewhere()
    await other.log_in()
    await verify(ada, mails)
    token = await forget(ada, mails)
    assert (await ada.call("GET", f"/customer/password/token?token={token}")).json() == {"valid": True}
    fresh = ada.elsewhere()
    answer = await fresh.call("POST", "/customer/password/reset", new_password(password_reset_token=token))
    assert answer.status_code == 200, answer.text
    fresh.auth_key = answer.json()["auth_key"]
    assert await fresh.is_logged_in()
    assert not await ada.is_logged_in()
    assert not await other.is_logged_in()
    assert (await ada.elsewhere().log_in()).status_code == 401
    assert (await ada.elsewhere(password=OTHER_PASSWORD).log_in()).status_code == 200
    again = await fresh.call("POST", "/customer/password/reset", new_password(password_reset_token=token))
    assert (again.status_code, again.json()["errors"][0]["field"]) == (422, "password_reset_token")
    assert (await ada.call("GET", f"/customer/password/token?token={token}")).status_code == 404
    subjects = [mail[1] for mail in await mails()]
    assert subjects.count("Your password was changed") == 1


async def test_of_two_resets_at_once_with_one_token_one_is_done(ada: Person, mails):
    token = await forget(ada, mails)
    answers = await asyncio.gather(
        *(
            ada.elsewhere().call(
                "POST",
                "/customer/password/reset",
                {"password": word, "confirm_password": word, "password_reset_token": token},
            )
            for word in ("first of the two", "second of the two", "third of the two", "fourth of them")
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 422, 422, 422]


async def test_a_newer_request_voids_the_older_token(ada: Person, mails, sessions):
    first = await forget(ada, mails)
    async with transaction(sessions) as session:  # a mail a minute and address: let the minute pass
        await session.execute(text("UPDATE jobs SET dedupe_key = dedupe_key || '-before'"))
    second = await forget(ada, mails)
    for token, status in ((first, 422), (second, 200)):
        answer = await ada.elsewhere().call(
            "POST", "/customer/password/reset", new_password(password_reset_token=token)
        )
        assert answer.status_code == status


async def test_a_token_has_an_end(ada: Person, mails, sessions):
    token = await forget(ada, mails)
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE login_secrets SET expires_at = now()"))
    assert (await ada.call("GET", f"/customer/password/token?token={token}")).status_code == 404
    answer = await ada.call("POST", "/customer/password/reset", new_password(password_reset_token=token))
    assert answer.status_code == 422
    exchanged = await ada.call("POST", "/customer/login/reset-token", {"password_reset_token": token})
    assert exchanged.status_code == 401


async def test_a_token_of_one_store_is_none_in_another(ada: Person, mails, sessions, client):
    from tests.conftest import make_store

    token = await forget(ada, mails)
    other = Person(client, await make_store(sessions))
    answer = await other.call("POST", "/customer/password/reset", new_password(password_reset_token=token))
    assert answer.status_code == 422
    assert (
        await other.call("POST", "/customer/login/reset-token", {"password_reset_token": token})
    ).status_code == 401


async def test_an_exchanged_token_works_in_the_session_it_made_only(ada: Person, mails):
    await verify(ada, mails)
    token = await forget(ada, mails)
    here = ada.elsewhere()
    answer = await here.call("POST", "/customer/login/reset-token", {"password_reset_token": token})
    assert answer.status_code == 200, answer.text
    here.auth_key = answer.json()["auth_key"]
    again = await ada.elsewhere().call("POST", "/customer/login/reset-token", {"password_reset_token": token})
    assert (again.status_code, again.json()["code"]) == (401, "login_failed")
    assert (await ada.call("GET", f"/customer/password/token?token={token}")).status_code == 404
    assert (await here.call("GET", f"/customer/password/token?token={token}")).status_code == 200
    for person, status in ((ada, 422), (ada.elsewhere(), 422), (here, 200)):
        done = await person.call("POST", "/customer/password/reset", new_password(password_reset_token=token))
        assert done.status_code == status, done.text


async def test_of_two_exchanges_at_once_one_logs_in(ada: Person, mails):
    token = await forget(ada, mails)
    answers = await asyncio.gather(
        *(
            ada.elsewhere().call("POST", "/customer/login/reset-token", {"password_reset_token": token})
            for _ in range(4)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]


async def test_the_current_password_changes_it_and_keeps_this_device_only(ada: Person):
    other = ada.elsewhere()
    await other.log_in()
    before = ada.auth_key
    wrong = await ada.call("POST", "/customer/password/reset", new_password(current_password="not this one"))
    assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong_password")
    answer = await ada.call("POST", "/customer/password/reset", new_password(current_password=PASSWORD))
    assert answer.status_code == 200, answer.text
    ada.auth_key = answer.json()["auth_key"]
    assert ada.auth_key != before
    assert await ada.is_logged_in()
    assert not await other.is_logged_in()
    assert not await ada.elsewhere(auth_key=before).is_logged_in()


async def test_a_new_password_meets_the_rules_and_comes_twice(ada: Person):
    differs = await ada.call(
        "POST",
        "/customer/password/reset",
        {"password": OTHER_PASSWORD, "confirm_password": "something else", "current_password": PASSWORD},
    )
    assert differs.json()["errors"][0]["field"] == "confirm_password"
    weak = {"password": "password1", "confirm_password": "password1", "current_password": PASSWORD}
    assert (await ada.call("POST", "/customer/password/reset", weak)).json()["code"] == "weak_password"
    assert (await ada.call("POST", "/customer/password/reset", new_password())).status_code == 422
    nobody = await ada.elsewhere().call(
        "POST", "/customer/password/reset", new_password(current_password=PASSWORD)
    )
    assert nobody.status_code == 401


async def test_a_planted_account_keeps_nothing_of_its_planter(ada: Person, mails, sessions):
    """Whoever made the account with somebody else's address loses it when its owner comes by mail."""
    async with transaction(sessions) as session:
        await session.execute(
            text(
                "INSERT INTO customer_identities (store_id, customer_id, issuer, subject) "
                "VALUES (:store, :id, 'https://id.example', 'planter')"
            ),
            {"store": ada.store.id, "id": ada.id},
        )
    token = await forget(ada, mails)
    owner = ada.elsewhere()
    answer = await owner.call("POST", "/customer/login/reset-token", {"password_reset_token": token})
    assert answer.status_code == 200, answer.text
    owner.auth_key = answer.json()["auth_key"]
    assert (answer.json()["email_verified"], answer.json()["has_password"]) == (True, False)
    assert not await ada.is_logged_in()
    assert (await ada.elsewhere().log_in()).status_code == 401
    async with sessions() as session:
        left = await session.scalar(
            text("SELECT count(*) FROM customer_identities WHERE customer_id = :id"), {"id": ada.id}
        )
    assert left == 0
    done = await owner.call("POST", "/customer/password/reset", new_password(password_reset_token=token))
    assert done.status_code == 200, done.text


async def test_a_new_address_takes_effect_by_its_link_and_the_old_one_is_told(ada: Person, mails):
    await verify(ada, mails)
    token = await forget(ada, mails)
    old, new = ada.email, some_email()
    await ada.call("PATCH", "/customer", {"email": new})
    (mail,) = await mails()
    assert mail[0] == new
    assert (await ada.call("POST", "/customer/email/verify", {"token": secret_in(mail)})).status_code == 204
    profile = (await ada.call("GET", "/customer")).json()
    assert (profile["email"], profile["new_email"], profile["email_verified"]) == (new, None, True)
    (told,) = await mails()
    assert told[0] == old
    assert new not in told[2]
    stale = await ada.elsewhere().call(
        "POST", "/customer/password/reset", new_password(password_reset_token=token)
    )
    assert stale.status_code == 422
    assert (await ada.elsewhere(email=old).log_in()).status_code == 401
    assert (await ada.elsewhere(email=new).log_in()).status_code == 200


async def test_an_address_that_has_an_account_gets_no_mail_and_is_not_taken(
    ada: Person, mails, client, store
):
    bob = await signed_up(client, store)
    await mails()
    changed = await ada.call("PATCH", "/customer", {"email": bob.email})
    assert changed.json()["new_email"] == bob.email
    assert await mails() == []
    new = some_email()
    await ada.call("PATCH", "/customer", {"email": new})
    (mail,) = await mails()
    late = Person(client, store, email=new)
    await late.sign_up()
    answer = await ada.call("POST", "/customer/email/verify", {"token": secret_in(mail)})
    assert (answer.status_code, answer.json()["code"]) == (422, "email_taken")
    assert (await ada.call("GET", "/customer")).json()["email"] == ada.email


async def test_a_login_link_logs_in_once(ada: Person, mails, sessions):
    from app.domain.accounts.mailing import queue_mail

    await verify(ada, mails)
    async with transaction(sessions) as session:
        await queue_mail(session, ada.store.id, "login_link", customer_id=ada.id, now=utc_now())
    (mail,) = await mails()
    body = {"uuid": secret_in(mail)}
    answers = await asyncio.gather(
        *(ada.elsewhere().call("POST", "/customer/login/uuid", body) for _ in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
    assert (
        await ada.elsewhere().call("POST", "/customer/login/uuid", {"uuid": "nothing"})
    ).status_code == 401
    assert await ada.is_logged_in()


async def test_a_login_from_a_new_device_is_mailed_and_one_from_a_known_one_is_not(ada: Person, mails):
    await mails()
    await ada.elsewhere().log_in()
    assert await mails() == []
    phone = ada.elsewhere(agent="Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Version/18.0 Safari/604.1")
    await phone.log_in()
    (mail,) = await mails()
    assert mail[0] == ada.email
    assert "Safari, iPhone" in mail[2]
    assert "127.0.0.1" in mail[2]
    browser = ada.elsewhere(agent=phone.agent)
    await browser.log_in(headers={"X-Session": "cookie"})
    assert len(await mails()) == 1
    assert "__Host-device" in browser.cookies
    await browser.log_in(headers={"X-Session": "cookie"})
    assert await mails() == []


async def test_sessions_are_listed_and_ended_one_by_one_and_all(ada: Person, client, store):
    other = ada.elsewhere(agent="Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
    await other.log_in()
    listed = (await ada.call("GET", "/customer/sessions")).json()["items"]
    assert {item["device"]: item["current"] for item in listed} == {
        "Shop app 1.0": True,
        "Firefox, Linux": False,
    }
    theirs = next(item["id"] for item in listed if not item["current"])
    bob = await signed_up(client, store)
    for session_id in (theirs, "9007199254740991", "a" * 64):
        assert (await bob.call("DELETE", f"/customer/sessions/{session_id}")).status_code == 404
    assert (await ada.call("DELETE", f"/customer/sessions/{theirs}")).status_code == 204
    assert not await other.is_logged_in()
    await other.log_in()
    assert (await ada.call("DELETE", "/customer/sessions")).status_code == 204
    assert not await ada.is_logged_in()
    assert not await other.is_logged_in()
    assert await bob.is_logged_in()
    assert (await ada.call("GET", "/customer/sessions")).status_code == 401


async def test_headers_come_back_without_what_logs_in(ada: Person):
    answer = await ada.call("GET", "/headers", headers={"X-Seen": "yes", "Cookie": "a=b"})
    headers = answer.json()["headers"]
    assert headers["x-seen"] == "yes"
    assert not {"cookie", "authorization"} & set(headers)


async def test_the_password_setting_is_answered(client, store):
    answer = await client.get("/storefront/v1/settings/customer-password", headers={"X-Store": store.code})
    assert answer.json() == {"generate_password_for_user_automatically": False}


async def test_what_is_over_is_swept(ada: Person, mails, sessions):
    await mails()
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE login_secrets SET expires_at = now() - interval '8 days'"))
        await session.execute(text("UPDATE customer_devices SET last_seen_at = now() - interval '366 days'"))
    await sweep_accounts(sessions, now=utc_now())
    async with sessions() as session:
        left = await session.execute(
            text("SELECT (SELECT count(*) FROM login_secrets), (SELECT count(*) FROM customer_devices)")
        )
        assert tuple(left.one()) == (0, 0)
