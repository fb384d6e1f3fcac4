"""Logging in by another provider's token: whose account it opens, whose it never opens, and what it makes."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from app.db.session import Sessions
from app.domain.customers.queries import lock_customer
from app.domain.customers.service import prove_address
from app.domain.stores.models import Store
from app.integrations.oauth import http
from app.kit.clock import utc_now
from tests.api.account_shop import PASSWORD, Person, signed_up, some_email
from tests.api.social_shop import SocialShop, by_redirect, social_shop, with_facebook, with_google
from tests.conftest import make_store
from tests.shop import waiting_for_locks
from tests.standins.wire import Reply


@pytest.fixture(scope="module")
async def running(database_url: str, redis_url: str, sessions: Sessions) -> AsyncIterator[SocialShop]:
    async with social_shop(database_url, redis_url, sessions) as made:
        yield made


@pytest.fixture
def shop(running: SocialShop) -> Any:
    yield running
    running.issuer.faults.clear()
    running.facebook.faults.clear()


def somebody(shop: SocialShop, store: Store, email: str = "") -> Person:
    return Person(shop.client, store, email=email or some_email())


async def verify(shop: SocialShop, person: Person) -> None:
    """As if the mailed link had been opened, in the login of the account."""
    async with shop.sessions() as session:
        from sqlalchemy import text

        await session.execute(
            text("UPDATE customers SET email_verified_at = now(), owner_proven_at = now() WHERE id = :id"),
            {"id": person.id},
        )
        await session.commit()


async def identities(shop: SocialShop, person: Person) -> list[tuple[Any, ...]]:
    return await shop.rows(
        "SELECT issuer, subject FROM customer_identities WHERE customer_id = :id", id=person.id
    )


# ---- Google: the first time, and ever after


async def test_the_first_login_makes_an_account_and_the_next_one_opens_it(shop, store):
    ada, subject = somebody(shop, store), uuid4().hex
    first = await with_google(
        ada, shop.issuer.id_token(sub=subject, email=ada.email), country="United Kingdom"
    )
    assert first.status_code == 200, first.text
    assert first.json()["email"] == ada.email
    assert first.json()["email_verified"] is True
    assert first.json()["has_password"] is False
    assert (first.json()["username"], first.json()["firstname"], first.json()["lastname"]) == (
        "Ada Berg",
        "Ada",
        "Berg",
    )
    assert first.json()["detected_country"] == "United Kingdom"
    assert first.headers["cache-control"] == "private, no-store"
    assert await ada.is_logged_in()
    again = somebody(shop, store)
    second = await with_google(again, shop.issuer.id_token(sub=subject, email=ada.email))
    assert second.json()["id"] == ada.id
    assert await identities(shop, ada) == [(shop.issuer.url, subject)]


async def test_a_form_logs_in_as_json_does(shop, store):
    answer = await shop.client.post(
        "/storefront/v1/customer/login/google",
        data={
            "token": shop.issuer.id_token(sub=uuid4().hex, email=some_email()),
            "subscribe": "1",
            "skip_cart_merge": "0",
        },
        headers={"X-Store": store.code},
    )
    assert answer.status_code == 200, answer.text


async def test_a_browser_gets_a_cookie_and_no_key(shop, store):
    ada = somebody(shop, store)
    token = shop.issuer.id_token(sub=uuid4().hex, email=ada.email)
    answer = await with_google(ada, token, headers={"X-Session": "cookie"})
    assert answer.json()["auth_key"] == ""
    assert "__Host-storefront" in ada.cookies
    assert await ada.is_logged_in()


async def test_the_subject_counts_and_never_the_address(shop, store):
    """An address changes hands at the provider; its new user is somebody else."""
    ada = somebody(shop, store)
    await with_google(ada, shop.issuer.id_token(sub=uuid4().hex, email=ada.email))
    subject = (await identities(shop, ada))[0][1]
    moved = somebody(shop, store)
    answer = await with_google(moved, shop.issuer.id_token(sub=subject, email=some_email()))
    assert answer.json()["id"] == ada.id
    assert answer.json()["email"] == ada.email


async def test_the_same_subject_of_another_issuer_is_somebody_else(shop, store):
    subject = uuid4().hex
    ada, bob = somebody(shop, store), somebody(shop, store)
    await with_google(ada, shop.issuer.id_token(sub=subject, email=ada.email))
    await with_facebook(bob, shop.facebook.make_token(subject, email=bob.email))
    assert ada.id != bob.id


async def test_an_identity_opens_an_account_in_its_own_store_only(shop, store, sessions):
    ada, subject = somebody(shop, store), uuid4().hex
    await with_google(ada, shop.issuer.id_token(sub=subject, email=ada.email))
    other = somebody(shop, await make_store(sessions))
    answer = await with_google(other, shop.issuer.id_token(sub=subject, email=ada.email))
    assert answer.status_code == 200
    assert other.id != ada.id


async def test_many_first_logins_at_once_make_one_account(shop, store):
    subject, email = uuid4().hex, some_email()
    token = shop.issuer.id_token(sub=subject, email=email)
    people = [somebody(shop, store) for _ in range(8)]
    answers = await asyncio.gather(*(with_google(one, token) for one in people))
    assert [one.status_code for one in answers] == [200] * 8
    assert len({one.json()["id"] for one in answers}) == 1
    assert await shop.rows("SELECT count(*) FROM customers WHERE store_id = :id", id=store.id) == [(1,)]


async def test_two_providers_with_one_address_at_once_make_one_account(shop, store):
    email = some_email()
    tokens = [shop.issuer.id_token(sub=uuid4().hex, email=email) for _ in range(6)]
    people = [somebody(shop, store) for _ in tokens]
    answers = await asyncio.gather(*(with_google(one, t) for one, t in zip(people, tokens, strict=True)))
    assert [one.status_code for one in answers] == [200] * 6
    assert await shop.rows("SELECT count(*) FROM customers WHERE store_id = :id", id=store.id) == [(1,)]


async def test_one_identity_with_many_addresses_at_once_makes_one_account(shop, store):
    subject = uuid4().hex
    people = [somebody(shop, store) for _ in range(6)]
    tokens = [shop.issuer.id_token(sub=subject, email=one.email) for one in people]
    answers = await asyncio.gather(*(with_google(one, t) for one, t in zip(people, tokens, strict=True)))
    assert [one.status_code for one in answers] == [200] * 6
    assert len({one.json()["id"] for one in answers}) == 1
    assert await shop.rows("SELECT count(*) FROM customers WHERE store_id = :id", id=store.id) == [(1,)]


async def test_a_session_that_came_along_ends_with_the_login(shop, store):
    ada = await signed_up(shop.client, store)
    former = ada.auth_key
    await verify(shop, ada)
    await with_google(ada, shop.issuer.id_token(sub=uuid4().hex, email=ada.email))
    assert ada.auth_key != former
    assert not await ada.elsewhere(auth_key=former).is_logged_in()


# ---- linking


async def test_a_verified_address_links_to_an_account_whose_address_was_verified(shop, store):
    ada = await signed_up(shop.client, store)
    await verify(shop, ada)
    here = somebody(shop, store)
    answer = await with_google(here, shop.issuer.id_token(sub=uuid4().hex, email=ada.email.upper()))
    assert answer.json()["id"] == ada.id
    assert answer.json()["has_password"] is True
    assert await ada.is_logged_in()
    assert (await ada.elsewhere().log_in()).status_code == 200


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("{}@fass.de", "{}@faß.de"),
        ("{}fin@example.de", "{}\ufb01n@example.de"),
        ("{}s@example.de", "{}\u017f@example.de"),
    ],
    ids=["another domain", "a ligature", "a long s"],
)
async def test_an_address_that_only_looks_alike_is_somebody_elses(shop, store, mine, theirs):
    word = f"ada-{uuid4().hex[:10]}"
    ada = somebody(shop, store, mine.format(word))
    await ada.sign_up()
    await verify(shop, ada)
    eve = somebody(shop, store, theirs.format(word))
    answer = await with_google(eve, shop.issuer.id_token(sub=uuid4().hex, email=eve.email))
    assert answer.status_code == 200, answer.text
    assert (eve.id == ada.id, answer.json()["email"]) == (False, eve.email)
    assert await identities(shop, ada) == []
    assert (await ada.log_in()).status_code == 200


@pytest.mark.parametrize("said", [False, None, "false"])
async def test_an_address_that_the_provider_has_not_verified_opens_no_account(shop, store, said):
    ada = await signed_up(shop.client, store)
    await verify(shop, ada)
    thief = somebody(shop, store)
    token = shop.issuer.id_token(sub=uuid4().hex, email=ada.email, email_verified=said)
    answer = await with_google(thief, token)
    assert (answer.status_code, answer.json()["code"]) == (401, "link_needs_password")
    assert answer.headers["www-authenticate"]
    assert await identities(shop, ada) == []
    wrong = await with_google(thief, token, password="not the password")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "login_failed")
    assert await identities(shop, ada) == []


async def test_the_accounts_password_links_what_the_provider_has_not_verified(shop, store):
    ada = await signed_up(shop.client, store)
    here, subject = somebody(shop, store), uuid4().hex
    token = shop.issuer.id_token(sub=subject, email=ada.email, email_verified=False)
    answer = await with_google(here, token, password=PASSWORD)
    assert answer.json()["id"] == ada.id
    assert answer.json()["email_verified"] is False
    again = somebody(shop, store)
    assert (await with_google(again, token)).json()["id"] == ada.id


async def test_the_password_of_one_account_links_nothing_to_another(shop, store):
    ada, bob = await signed_up(shop.client, store), await signed_up(shop.client, store)
    thief = somebody(shop, store)
    token = shop.issuer.id_token(sub=uuid4().hex, email=ada.email, email_verified=False)
    answer = await with_google(thief, token, email=bob.email, password="the password of bob")
    assert answer.status_code == 401
    assert await identities(shop, ada) == await identities(shop, bob) == []


async def test_the_true_owner_of_an_address_drives_out_who_planted_an_account_on_it(shop, store):
    """Somebody signs up with Ada's address, stays logged in, links a login of their own, and waits."""
    thief = await signed_up(shop.client, store)
    thiefs_login = shop.issuer.id_token(sub=uuid4().hex, email=thief.email, email_verified=False)
    assert (await with_google(thief.elsewhere(), thiefs_login, password=PASSWORD)).status_code == 200
    ada, subject = somebody(shop, store, thief.email), uuid4().hex
    answer = await with_google(ada, shop.issuer.id_token(sub=subject, email=thief.email))
    assert answer.json()["id"] == thief.id
    assert answer.json()["email_verified"] is True
    assert answer.json()["has_password"] is False
    assert await ada.is_logged_in()
    assert not await thief.is_logged_in()
    assert (await thief.elsewhere().log_in()).status_code == 401
    assert await identities(shop, ada) == [(shop.issuer.url, subject)]
    back = await with_google(thief.elsewhere(), thiefs_login)
    assert (back.status_code, back.json()["code"]) == (401, "link_needs_password")


async def test_a_thief_who_logs_in_while_the_owner_takes_the_account_back_stays_out(shop, store):
    thief = await signed_up(shop.client, store)
    thiefs_login = shop.issuer.id_token(sub=uuid4().hex, email=thief.email, email_verified=False)
    assert (await with_google(thief.elsewhere(), thiefs_login, password=PASSWORD)).status_code == 200
    async with shop.sessions() as session:
        owned = await lock_customer(session, store.id, thief.id)
        await prove_address(session, owned, now=utc_now())
        coming = asyncio.create_task(with_google(thief.elsewhere(), thiefs_login))
        await waiting_for_locks(shop.sessions, 1)
        await session.commit()
    answer = await coming
    assert (answer.status_code, answer.json()["code"]) == (401, "login_failed")


async def test_a_planted_account_is_not_verified_by_an_unverified_login(shop, store):
    thief = await signed_up(shop.client, store)
    ada = somebody(shop, store, thief.email)
    token = shop.issuer.id_token(sub=uuid4().hex, email=thief.email, email_verified=False)
    assert (await with_google(ada, token)).status_code == 401
    assert await thief.is_logged_in()


async def test_a_closed_account_is_not_opened_again(shop, store):
    ada, subject = somebody(shop, store), uuid4().hex
    token = shop.issuer.id_token(sub=subject, email=ada.email)
    await with_google(ada, token)
    async with shop.sessions() as session:
        from sqlalchemy import text

        await session.execute(text("UPDATE customers SET closed_at = now() WHERE id = :id"), {"id": ada.id})
        await session.commit()
    later = somebody(shop, store)
    assert (await with_google(later, token)).status_code == 200
    assert later.id != ada.id
    assert (await with_google(somebody(shop, store), token)).json()["id"] == later.id


# ---- what a token must be


async def test_a_token_that_is_not_good_is_one_and_the_same_refusal(shop, store):
    ada = somebody(shop, store)
    for token in ("not-a-token", shop.issuer.id_token(aud="other"), shop.issuer.id_token(exp=1)):
        answer = await with_google(ada, token)
        assert (answer.status_code, answer.json()["code"]) == (401, "login_failed")
        assert answer.headers["www-authenticate"]
    for body in ({}, {"token": ""}, {"token": 5}, {"token": "x" * 20_000}, {"token": "x", "id": 1}):
        assert (await ada.call("POST", "/customer/login/google", body)).status_code == 422


async def test_a_nonce_that_is_given_must_be_the_tokens_and_is_good_once(shop, store):
    ada, nonce = somebody(shop, store), uuid4().hex
    token = shop.issuer.id_token(sub=uuid4().hex, email=ada.email, nonce=nonce)
    assert (await with_google(ada.elsewhere(), token, nonce="another")).status_code == 401
    assert (await with_google(ada, token, nonce=nonce)).status_code == 200
    replayed = await with_google(ada.elsewhere(), token, nonce=nonce)
    assert (replayed.status_code, replayed.json()["code"]) == (401, "login_failed")


async def test_a_nonce_is_not_used_up_by_a_login_that_wants_a_password(shop, store):
    ada, nonce = await signed_up(shop.client, store), uuid4().hex
    token = shop.issuer.id_token(sub=uuid4().hex, email=ada.email, email_verified=False, nonce=nonce)
    here = somebody(shop, store)
    assert (await with_google(here, token, nonce=nonce)).json()["code"] == "link_needs_password"
    assert (await with_google(here, token, nonce=nonce, password=PASSWORD)).status_code == 200


async def test_what_a_provider_calls_somebody_is_made_printable(shop, store):
    ada = somebody(shop, store)
    token = shop.issuer.id_token(sub=uuid4().hex, email=ada.email, name="A\x00da\n\u202eB" + "x" * 500)
    answer = await with_google(ada, token)
    assert answer.status_code == 200
    assert answer.json()["username"] == ("Ada B" + "x" * 500)[:100]


async def test_an_address_that_cannot_be_written_to_counts_as_none(shop, store):
    token = shop.issuer.id_token(sub=uuid4().hex, email="not an address")
    answer = await with_google(somebody(shop, store), token)
    assert (answer.status_code, answer.json()["code"]) == (422, "email_needed")


# ---- Facebook


async def test_facebook_makes_an_account_whose_address_is_not_verified_yet(shop, store):
    ada, user = somebody(shop, store), str(time.time_ns())
    answer = await with_facebook(ada, shop.facebook.make_token(user, email=ada.email))
    assert answer.status_code == 200, answer.text
    assert answer.json()["email_verified"] is False
    assert await identities(shop, ada) == [("https://www.facebook.com", user)]
    mails = await shop.rows("SELECT kind FROM jobs WHERE store_id = :id", id=store.id)
    assert mails == [("accounts.verify_email",)]
    again = somebody(shop, store)
    assert (await with_facebook(again, shop.facebook.make_token(user))).json()["id"] == ada.id


async def test_facebooks_address_opens_no_account_without_its_password(shop, store):
    ada = await signed_up(shop.client, store)
    await verify(shop, ada)
    token = shop.facebook.make_token(email=ada.email)
    answer = await with_facebook(somebody(shop, store), token)
    assert answer.status_code == 401
    assert answer.json()["code"] == "link_needs_password"
    here = somebody(shop, store)
    assert (await with_facebook(here, token, password=PASSWORD)).json()["id"] == ada.id


async def test_without_an_address_of_facebooks_a_typed_one_with_a_password_makes_an_account(shop, store):
    ada, user = somebody(shop, store), str(time.time_ns())
    token = shop.facebook.make_token(user)
    asked = await with_facebook(ada, token)
    assert (asked.status_code, asked.json()["code"]) == (422, "email_needed")
    assert asked.json()["errors"][0]["field"] == "email"
    bare = await with_facebook(ada, token, email=ada.email)
    assert (bare.status_code, bare.json()["code"]) == (422, "password_needed")
    weak = await with_facebook(ada, token, email=ada.email, password="password1")
    assert weak.json()["errors"][0]["field"] == "password"
    made = await with_facebook(ada, token, email=ada.email, password=PASSWORD, name="Ada of Facebook")
    assert made.status_code == 200, made.text
    assert (made.json()["username"], made.json()["email_verified"]) == ("Ada of Facebook", False)
    assert (await ada.elsewhere().log_in()).json()["id"] == ada.id
    assert (await with_facebook(somebody(shop, store), token)).json()["id"] == ada.id


async def test_a_typed_address_links_to_its_account_only_by_its_password(shop, store):
    ada = await signed_up(shop.client, store)
    await verify(shop, ada)
    token = shop.facebook.make_token(str(time.time_ns()))
    wrong = await with_facebook(somebody(shop, store), token, email=ada.email, password="not the password")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "login_failed")
    assert await identities(shop, ada) == []
    here = somebody(shop, store)
    right = await with_facebook(here, token, email=ada.email, password=PASSWORD)
    assert right.json()["id"] == ada.id


async def test_a_typed_address_does_not_count_where_facebook_gives_one(shop, store):
    ada, bob = await signed_up(shop.client, store), somebody(shop, store)
    token = shop.facebook.make_token(str(time.time_ns()), email=bob.email)
    answer = await with_facebook(bob, token, email=ada.email)
    assert answer.json()["email"] == bob.email
    assert answer.json()["id"] != ada.id


# ---- when a provider does not answer, or is not set


@pytest.mark.parametrize("fault", ["hang", Reply(500, {}), Reply(200, "nonsense")], ids=str)
async def test_a_provider_in_trouble_is_a_503_in_time(shop, store, fault, monkeypatch):
    monkeypatch.setattr(http, "CALL_SECONDS", 0.3)
    shop.facebook.faults["debug_token"] = fault
    began = time.monotonic()
    answer = await with_facebook(somebody(shop, store), "any")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]
    assert time.monotonic() - began < 3


async def test_a_provider_that_is_not_set_is_not_there(client, store):
    ada = Person(client, store)
    for path in ("/customer/login/google", "/customer/login/facebook"):
        answer = await ada.call("POST", path, {"token": "any"})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_one_person_has_one_account_through_both_doors_of_a_provider(shop, store):
    """Google by its token and Google by redirect are one issuer."""
    subject, email = uuid4().hex, some_email()
    by_token, there_and_back = somebody(shop, store), somebody(shop, store)
    await with_google(by_token, shop.issuer.id_token(sub=subject, email=email))
    await by_redirect(there_and_back, shop.issuer, sub=subject, email=email)
    assert there_and_back.id == by_token.id
