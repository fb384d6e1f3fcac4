"""Signing up, logging in and out: what is answered, what is stored, and what never is."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text

from app.db.session import Sessions, transaction
from app.domain.stores.models import Store
from app.kit.clock import utc_now
from tests.api.account_shop import PASSWORD, Person, signed_up, some_email
from tests.people import session_store

OF_THE_SOURCE = {
    "auth_key", "id", "username", "email", "firstname", "lastname", "birthday", "gender",
    "detected_country", "relationship", "subscribed", "shipping_info",
}  # fmt: skip


@pytest.fixture
async def ada(client: httpx.AsyncClient, store: Store) -> Person:
    return await signed_up(client, store)


async def test_a_sign_up_answers_the_customer_and_logs_in(client, store):
    ada = Person(client, store)
    answer = await ada.sign_up(country="United Kingdom", time_zone="Europe/London", subscribe=0)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) >= OF_THE_SOURCE
    assert answer.json()["detected_country"] == "United Kingdom"
    assert answer.json()["email_verified"] is False
    assert answer.headers["cache-control"] == "private, no-store"
    assert "set-cookie" not in answer.headers
    profile = await ada.call("GET", "/customer")
    assert profile.status_code == 200
    assert profile.json() == {k: v for k, v in answer.json().items() if k != "auth_key"}


async def test_a_form_signs_up_as_json_does(client, store):
    answer = await client.post(
        "/storefront/v1/customer/signup",
        data={"username": "Ada", "email": some_email(), "password": PASSWORD, "subscribe": "1"},
        headers={"X-Store": store.code},
    )
    assert answer.status_code == 200, answer.text


async def test_an_address_has_one_account_however_it_is_written(ada: Person):
    again = ada.elsewhere(email=ada.email.upper())
    answer = await again.sign_up()
    assert answer.status_code == 422
    assert answer.json()["code"] == "email_taken"
    assert (await ada.elsewhere(email=ada.email.upper()).log_in()).status_code == 200


async def test_the_same_address_is_another_account_in_another_store(client, ada: Person, sessions: Sessions):
    from tests.conftest import make_store

    other = Person(client, await make_store(sessions), email=ada.email)
    assert (await other.log_in()).status_code == 401
    assert (await other.sign_up()).status_code == 200
    stranger = Person(client, other.store, auth_key=ada.auth_key)
    assert not await stranger.is_logged_in()


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short", "too_short"),
        ("x" * 129, "too_long"),
        ("password1", "weak_password"),
        ("Ada Berg 1\x07", "invalid_text"),
        ("aaaaaaaaaaaa", "weak_password"),
        ("adabergh", "weak_password"),
    ],
)
async def test_a_bad_password_is_refused_and_named(client, store, password, code):
    ada = Person(client, store, password=password)
    answer = await ada.sign_up(username="Ada Bergh")
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert (fault["field"], fault["code"]) == ("password", code)


async def test_without_a_password_nobody_signs_up(client, store):
    refused = await Person(client, store).sign_up(password=None)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "password"


async def test_a_store_may_make_accounts_without_a_password_and_mails_a_link(
    client, store, sessions: Sessions
):
    async with transaction(sessions) as session:
        await session.execute(
            text(
                'UPDATE stores SET settings = \'{"customers": {"password_generated": true}}\' WHERE id = :id'
            ),
            {"id": store.id},
        )
    bob = Person(client, store)
    answer = await bob.sign_up(password=None)
    assert answer.status_code == 200, answer.text
    assert answer.json()["has_password"] is False
    assert await _kinds(sessions, store.id) == ["accounts.set_password"]
    assert (await bob.elsewhere(password="nobody's password").log_in()).status_code == 401


async def test_a_wrong_password_and_an_unknown_address_answer_alike(ada: Person):
    wrong = await ada.elsewhere(password="not the password").log_in()
    nobody = await ada.elsewhere(email=some_email()).log_in()
    assert wrong.status_code == nobody.status_code == 401
    assert {k: v for k, v in wrong.json().items() if k != "request_id"} == {
        k: v for k, v in nobody.json().items() if k != "request_id"
    }
    assert wrong.json()["code"] == "login_failed"
    assert "www-authenticate" in wrong.headers


async def test_each_login_has_a_key_of_its_own_and_ends_the_one_it_came_with(ada: Person):
    first = ada.auth_key
    assert (await ada.log_in()).status_code == 200
    assert ada.auth_key != first
    assert not await ada.elsewhere(auth_key=first).is_logged_in()
    assert await ada.is_logged_in()


async def test_a_cookie_login_has_no_key_and_takes_up_no_id_of_the_browser(ada: Person):
    planted = "A" * 43
    browser = ada.elsewhere(cookies={"__Host-storefront": planted})
    answer = await browser.log_in(headers={"X-Session": "cookie"})
    assert answer.json()["auth_key"] == ""
    cookie = next(line for line in answer.headers.get_list("set-cookie") if "__Host-storefront=" in line)
    assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/", "Max-Age=2592000"))
    assert browser.cookies["__Host-storefront"] != planted
    assert await browser.is_logged_in()


async def test_a_login_that_is_not_to_be_remembered_goes_with_the_window(ada: Person):
    browser = ada.elsewhere()
    answer = await browser.log_in(headers={"X-Session": "cookie"}, remember_me=False)
    cookie = next(line for line in answer.headers.get_list("set-cookie") if "__Host-storefront=" in line)
    assert "Max-Age" not in cookie


async def test_logging_out_ends_the_session_that_was_used_and_no_other(ada: Person):
    other = ada.elsewhere()
    await other.log_in()
    answer = await ada.call("POST", "/customer/logout")
    assert answer.status_code == 200
    assert answer.json() == {"need_create_checkout": False}
    assert not await ada.is_logged_in()
    assert await other.is_logged_in()
    again = await ada.call("POST", "/customer/logout")
    assert again.json() == {"need_create_checkout": False}


async def test_a_browser_forgets_its_cookie_at_logout(ada: Person):
    browser = ada.elsewhere()
    await browser.log_in(headers={"X-Session": "cookie"})
    answer = await browser.call("POST", "/customer/logout")
    gone = [line for line in answer.headers.get_list("set-cookie") if "Max-Age=0" in line]
    assert any("__Host-storefront=" in line for line in gone)


async def test_what_is_stored_opens_nothing(ada: Person, sessions: Sessions):
    async with sessions() as session:
        row = (
            await session.execute(text("SELECT * FROM customers WHERE id = :id"), {"id": ada.id})
        ).mappings()
        kept = dict(row.one())
        jobs = (await session.execute(text("SELECT payload::text FROM jobs"))).scalars().all()
    assert kept["password_digest"].startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert PASSWORD not in str(kept)
    assert ada.auth_key not in str(kept)
    assert not any(PASSWORD in job or ada.auth_key in job for job in jobs)


async def test_a_digest_of_weaker_parameters_is_made_anew_at_login(ada: Person, sessions: Sessions):
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=1, memory_cost=32, parallelism=1).hash(PASSWORD)
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE customers SET password_digest = :weak WHERE id = :id"), {"weak": weak, "id": ada.id}
        )
    assert (await ada.log_in()).status_code == 200
    async with sessions() as session:
        kept = await session.scalar(
            text("SELECT password_digest FROM customers WHERE id = :id"), {"id": ada.id}
        )
    assert "m=64,t=1,p=1" in kept


async def test_a_closed_account_does_not_log_in(ada: Person, sessions: Sessions):
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE customers SET closed_at = now() WHERE id = :id"), {"id": ada.id})
    assert (await ada.elsewhere().log_in()).status_code == 401
    assert not await ada.is_logged_in()


async def test_the_profile_changes_and_refuses_what_is_impossible(ada: Person):
    changed = await ada.call(
        "PATCH",
        "/customer",
        {
            "firstname": "Adele",
            "lastname": " Berger ",
            "birthday": "1990-02-03",
            "gender": "female",
            "relationship": "In a relationship",
            "country": "GB",
        },
    )
    assert changed.status_code == 200, changed.text
    profile = (await ada.call("GET", "/customer")).json()
    assert profile == changed.json()
    assert (profile["firstname"], profile["lastname"], profile["birthday"]) == (
        "Adele",
        "Berger",
        "1990-02-03",
    )
    assert (profile["detected_country"], profile["country_code"]) == ("United Kingdom", "GB")
    for field, value in {
        "gender": "nosuch",
        "birthday": "2999-01-01",
        "country": "Narnia",
        "relationship": "x",
        "id": 1,
        "email": "not an address",
        "username": " ",
        "firstname": "a\u0007b",
    }.items():
        answer = await ada.call("PATCH", "/customer", {field: value})
        assert answer.status_code == 422, (field, answer.text)
        assert answer.json()["errors"][0]["field"] in {field, ""}, answer.text
    cleared = await ada.call("PATCH", "/customer", {"birthday": None, "gender": None, "country": None})
    assert (cleared.json()["birthday"], cleared.json()["gender"]) == (None, None)
    assert (await ada.call("GET", "/customer")).json()["firstname"] == "Adele"


async def test_what_nobody_has_said_is_null_and_null_takes_back_what_was_said(ada: Person):
    facts = ("firstname", "lastname", "birthday", "gender", "relationship", "detected_country")
    named = {"firstname": "Ada", "lastname": "Berg"}
    for sent, shown in (
        ({}, (None, None)),
        (named, ("Ada", "Berg")),
        ({"firstname": None, "lastname": ""}, (None, None)),
    ):
        profile = (await ada.call("PATCH", "/customer", sent)).json()
        assert [profile[name] for name in facts] == [*shown, None, None, None, None]
    assert (await ada.call("PATCH", "/customer", {"username": None})).status_code == 422


async def test_a_new_mail_address_waits_for_its_proof(ada: Person, sessions: Sessions):
    new = some_email()
    changed = (await ada.call("PATCH", "/customer", {"email": new})).json()
    assert (changed["email"], changed["new_email"]) == (ada.email, new)
    assert await _kinds(sessions, ada.store.id) == ["accounts.verify_email", "accounts.verify_new_email"]


async def test_the_link_to_an_unproven_address_is_mailed_again_and_a_waiting_change_taken_back(
    ada: Person, sessions: Sessions
):
    await ada.call("PATCH", "/customer", {"email": some_email()})
    for _ in range(2):
        kept = (await ada.call("PATCH", "/customer", {"email": ada.email})).json()
        assert (kept["email"], kept["new_email"], kept["email_verified"]) == (ada.email, None, False)
    first, waiting, *again = await _kinds(sessions, ada.store.id)
    assert (first, waiting) == ("accounts.verify_email", "accounts.verify_new_email")
    # One a minute; a new minute may have begun between the two.
    assert again in (["accounts.verify_email"], ["accounts.verify_email"] * 2)


async def test_a_stranger_is_asked_once_a_minute_whether_an_address_is_theirs(
    ada: Person, sessions: Sessions
):
    strangers = some_email()
    for typed in (strangers, strangers.upper(), strangers):
        assert (await ada.call("PATCH", "/customer", {"email": typed})).status_code == 200
    asked = (await _kinds(sessions, ada.store.id)).count("accounts.verify_new_email")
    # One a minute; a new minute may have begun in between.
    assert asked in (1, 2)
    await ada.call("PATCH", "/customer", {"email": some_email()})
    assert (await _kinds(sessions, ada.store.id)).count("accounts.verify_new_email") == asked + 1


async def test_a_login_of_long_ago_moves_the_account_to_no_other_address_without_its_password(
    ada: Person, redis_url: str
):
    async with session_store(redis_url) as kept:
        old = await kept.start(
            ada.store.id, ada.id, remember=True, device="", now=utc_now() - timedelta(hours=1)
        )
    stolen = ada.elsewhere(auth_key=old.token)
    new = some_email()
    refused = await stolen.call("PATCH", "/customer", {"email": new})
    assert (refused.status_code, refused.json()["code"]) == (403, "fresh_login_needed")
    guessed = await stolen.call("PATCH", "/customer", {"email": new, "current_password": "not this one"})
    assert (guessed.status_code, guessed.json()["errors"][0]["field"]) == (422, "current_password")
    same = await stolen.call("PATCH", "/customer", {"email": ada.email, "firstname": "Adele"})
    assert (same.status_code, same.json()["new_email"]) == (200, None)
    proven = await stolen.call("PATCH", "/customer", {"email": new, "current_password": ada.password})
    assert proven.json()["new_email"] == new


async def test_the_profile_wants_a_login(client, store):
    nobody = Person(client, store)
    for method, body in (("GET", None), ("PATCH", {})):
        answer = await nobody.call(method, "/customer", body)
        assert answer.status_code == 401
        assert answer.json()["code"] == "login_required"


async def _kinds(sessions: Sessions, store_id: int) -> list[str]:
    async with sessions() as session:
        found = await session.execute(
            text("SELECT kind FROM jobs WHERE store_id = :id ORDER BY id"), {"id": store_id}
        )
        return list(found.scalars())
