"""Logging in at a provider by redirect: one browser, one begin, one end, and no way in for anybody else."""

import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest
from redis.asyncio import Redis

from app.db.session import Sessions
from app.domain.customers.providers import ATTEMPT_SECONDS, HANDOVER_SECONDS
from app.domain.stores.models import Store
from app.integrations.oauth import http
from app.kit.ids import base64url, digest
from tests.api.account_shop import PASSWORD, Person, signed_up, some_email
from tests.api.social_shop import NAME, SocialShop, by_redirect, come_back, finish, go, social_shop
from tests.conftest import make_store
from tests.standins.others import changing_provider, missing_for_changing_provider, oidc_provider_mock
from tests.standins.wire import Reply

SHOP_URL = "https://shop.example"
# As an old browser calls, an app, and one of today.
CALLERS = {
    "an auth_key": {},
    "a cookie": {"X-Session": "cookie"},
    "a cookie of today": {"X-Session": "cookie", "Sec-Fetch-Site": "same-origin"},
}
VERIFIER = "a-secret-of-an-app-that-nobody-else-has-seen-yet"
CHALLENGE = base64url(digest(VERIFIER))


@pytest.fixture(scope="module")
async def running(database_url: str, redis_url: str, sessions: Sessions) -> AsyncIterator[SocialShop]:
    async with social_shop(
        database_url,
        redis_url,
        sessions,
        STOREFRONT_SHOP_URL=SHOP_URL,
        STOREFRONT_PUBLIC_URL="https://api.shop.example",
    ) as made:
        yield made


@pytest.fixture
def shop(running: SocialShop) -> Any:
    yield running
    running.issuer.faults.clear()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


def somebody(shop: SocialShop, store: Store, email: str = "") -> Person:
    return Person(shop.client, store, email=email or some_email())


async def test_there_and_back_makes_an_account_and_opens_it_the_next_time(shop, store):
    ada, subject = somebody(shop, store), uuid4().hex
    first = await by_redirect(ada, shop.issuer, sub=subject, email=ada.email)
    assert first.status_code == 200, first.text
    assert (first.json()["email"], first.json()["email_verified"]) == (ada.email, True)
    assert await ada.is_logged_in()
    again = somebody(shop, store)
    assert (await by_redirect(again, shop.issuer, sub=subject, email=ada.email)).json()["id"] == ada.id


async def test_the_way_to_the_provider_is_made_of_settings_and_fresh_secrets(shop, store):
    ada = somebody(shop, store)
    answer = await ada.call("GET", f"/customer/oauth/{NAME}", headers={"Host": "evil.example"})
    first, second = answer.headers["location"], await go(somebody(shop, store))
    asked, other = (parse_qs(urlsplit(address).query) for address in (first, second))
    assert asked["redirect_uri"] == [f"https://api.shop.example/storefront/v1/customer/oauth/{NAME}/callback"]
    for name in ("state", "nonce", "code_challenge"):
        assert asked[name] != other[name]
        assert len(asked[name][0]) == 43
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-oauth=")
    for part in ("HttpOnly", "Secure", "SameSite=lax", "Path=/", f"Max-Age={ATTEMPT_SECONDS}"):
        assert part in cookie


async def test_redis_holds_digests_and_forgets_after_ten_minutes_and_one(shop, store, redis):
    ada = somebody(shop, store)
    address = await go(ada)
    state = parse_qs(urlsplit(address).query)["state"][0]
    key = f"attempt:{digest(state).hex()}"
    record = await redis.get(key)
    assert 0 < await redis.ttl(key) <= ATTEMPT_SECONDS
    assert state.encode() not in record
    assert ada.cookies["__Host-oauth"].encode() not in record
    told = await come_back(ada, **shop.issuer.approve(address))
    assert await redis.get(key) is None
    kept = f"handover:{digest(told['code']).hex()}"
    assert 0 < await redis.ttl(kept) <= HANDOVER_SECONDS
    await finish(ada, told["code"])
    assert await redis.get(kept) is None


async def test_the_shop_is_told_where_somebody_comes_from(shop, store):
    ada = somebody(shop, store)
    back = shop.issuer.approve(await go(ada))
    answer = await ada.call("GET", f"/customer/oauth/{NAME}/callback", params=back)
    assert answer.headers["location"].startswith(f"{SHOP_URL}/?provider={NAME}&code=")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content == b""


async def test_a_state_is_good_once(shop, store):
    ada = somebody(shop, store)
    address = await go(ada)
    assert "code" in await come_back(ada, **shop.issuer.approve(address))
    again = await come_back(ada, **shop.issuer.approve(address))
    assert again == {"provider": NAME, "error": "login_failed"}


async def test_another_browser_cannot_end_what_this_one_began(shop, store):
    """Else a link with a thief's own code and state would log a shopper in as the thief."""
    thief, shopper = somebody(shop, store), somebody(shop, store)
    back = shop.issuer.approve(await go(thief))
    assert await come_back(shopper, **back) == {"provider": NAME, "error": "login_failed"}
    await go(shopper)
    assert (await come_back(shopper, **back))["error"] == "login_failed"


async def test_two_windows_of_one_browser_can_both_end_well(shop, store):
    ada = somebody(shop, store)
    first, second = await go(ada), await go(ada)
    assert "code" in await come_back(ada, **shop.issuer.approve(first))
    assert "code" in await come_back(ada, **shop.issuer.approve(second))


@pytest.mark.parametrize("planted", ["", "x", "a" * 5000, "é" * 43])
async def test_a_mark_that_we_have_not_issued_is_not_taken_up(shop, store, planted):
    ada = somebody(shop, store)
    answer = await ada.call(
        "GET", f"/customer/oauth/{NAME}", headers={"Cookie": f"__Host-oauth={planted}".encode("latin-1")}
    )
    assert len(ada.cookies["__Host-oauth"]) == 43
    assert answer.status_code == 302


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "made-up"},
        {"state": ""},
        {"code": ""},
        {"code": "made-up"},
        {"iss": "https://evil.example"},
        {"error": "server_error"},
    ],
    ids=str,
)
async def test_what_does_not_fit_leads_back_with_an_error(shop, store, changed):
    ada = somebody(shop, store)
    back = shop.issuer.approve(await go(ada)) | changed
    assert await come_back(ada, **back) == {"provider": NAME, "error": "login_failed"}


async def test_a_shopper_who_changes_their_mind_is_told_apart(shop, store):
    ada = somebody(shop, store)
    state = shop.issuer.approve(await go(ada))["state"]
    assert (await come_back(ada, error="access_denied", state=state))["error"] == "login_cancelled"


async def test_an_answer_without_anything_leads_back_too(shop, store):
    assert await come_back(somebody(shop, store)) == {"provider": NAME, "error": "login_failed"}


async def test_a_bad_id_token_leads_back_with_an_error(shop, store):
    ada = somebody(shop, store)
    for claims in ({"nonce": "replayed"}, {"aud": "other"}, {"exp": 1}, {"sub": None}):
        back = shop.issuer.approve(await go(ada), **claims)
        assert await come_back(ada, **back) == {"provider": NAME, "error": "login_failed"}


async def test_a_provider_in_trouble_leads_back_and_is_a_503_at_the_begin(shop, store, monkeypatch):
    monkeypatch.setattr(http, "CALL_SECONDS", 0.3)
    ada = somebody(shop, store)
    back = shop.issuer.approve(await go(ada))
    shop.issuer.faults["token"] = "hang"
    assert await come_back(ada, **back) == {"provider": NAME, "error": "unavailable"}
    back = shop.issuer.approve(await go(ada))
    shop.issuer.faults["token"] = Reply(500, {})
    assert await come_back(ada, **back) == {"provider": NAME, "error": "unavailable"}


async def test_an_unknown_provider_is_not_there(shop, store):
    ada = somebody(shop, store)
    for path in ("nosuch", "nosuch/callback", "x" * 33, "..%2f"):
        answer = await ada.call("GET", f"/customer/oauth/{path}")
        assert answer.status_code == 404, path


async def test_a_code_of_ours_is_good_once(shop, store):
    ada = somebody(shop, store)
    told = await come_back(ada, **shop.issuer.approve(await go(ada), sub=uuid4().hex, email=ada.email))
    assert (await finish(ada, told["code"])).status_code == 200
    for code in (told["code"], "no-such-secret-in-this-shop", "é"):
        answer = await finish(ada.elsewhere(), code)
        assert (answer.status_code, answer.json()["code"]) == (401, "login_failed")


async def test_a_code_of_one_store_is_none_of_another(shop, store, sessions):
    ada = somebody(shop, store)
    told = await come_back(ada, **shop.issuer.approve(await go(ada)))
    other = somebody(shop, await make_store(sessions))
    assert (await finish(other, told["code"])).status_code == 401


@pytest.mark.parametrize("caller", CALLERS)
async def test_a_browser_finishes_only_what_it_began(shop, store, caller):
    """Whatever it wants to be answered with, and whether or not it says where its calls come from."""
    headers = CALLERS[caller]
    thief, shopper = somebody(shop, store), somebody(shop, store)
    await go(shopper)
    told = await come_back(thief, **shop.issuer.approve(await go(thief), sub=uuid4().hex, email=thief.email))
    led = await finish(shopper, told["code"], headers=headers)
    assert (led.status_code, led.json()["code"]) == (401, "login_failed")
    assert "__Host-storefront" not in shopper.cookies
    told = await come_back(thief, **shop.issuer.approve(await go(thief), sub=uuid4().hex, email=some_email()))
    own = await finish(thief, told["code"], headers=headers)
    assert own.status_code == 200
    assert ("__Host-storefront" in thief.cookies) == bool(headers)


async def test_an_app_finishes_by_its_own_secret_what_a_browser_began_for_it(shop, store):
    browser, app = somebody(shop, store), somebody(shop, store)

    async def handed_over() -> str:
        address = await go(browser, code_challenge=CHALLENGE)
        told = await come_back(browser, **shop.issuer.approve(address, sub=uuid4().hex, email=app.email))
        return told["code"]

    for others in ({}, {"code_verifier": f"{VERIFIER}x"}, {"code_verifier": "é" * 60}):
        refused = await finish(browser, await handed_over(), **others)
        assert (refused.status_code, refused.json()["code"]) == (401, "login_failed")
    code = await handed_over()
    answer = await finish(app, code, code_verifier=VERIFIER)
    assert (answer.status_code, answer.json()["email"]) == (200, app.email), answer.text
    assert (await finish(app, code, code_verifier=VERIFIER)).status_code == 401


async def test_a_secret_for_a_login_that_had_none_opens_nothing(shop, store):
    """A thief's own login, to which an app is led: its secret does not fit."""
    thief, app = somebody(shop, store), somebody(shop, store)
    told = await come_back(thief, **shop.issuer.approve(await go(thief), sub=uuid4().hex, email=thief.email))
    assert (await finish(app, told["code"], code_verifier=VERIFIER)).status_code == 401


@pytest.mark.parametrize("challenge", ["", "x", "x" * 42, "x" * 44, "x" * 42 + "=", "é" * 43], ids=ascii)
async def test_a_challenge_that_is_none_names_its_field(shop, store, challenge):
    answer = await somebody(shop, store).call(
        "GET", f"/customer/oauth/{NAME}", params={"code_challenge": challenge}
    )
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == ["code_challenge"]


async def test_a_code_that_needs_a_password_can_be_sent_again_with_it(shop, store):
    ada = await signed_up(shop.client, store)
    here = somebody(shop, store)
    claims = {"sub": uuid4().hex, "email": ada.email, "email_verified": False}
    told = await come_back(here, **shop.issuer.approve(await go(here), **claims))
    asked = await finish(here, told["code"])
    assert (asked.status_code, asked.json()["code"]) == (401, "link_needs_password")
    wrong = await finish(here, told["code"], password="not the password")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "login_failed")
    assert (await finish(here, told["code"], password=PASSWORD)).json()["id"] == ada.id
    assert (await finish(here, told["code"], password=PASSWORD)).status_code == 401


async def test_a_provider_without_addresses_asks_for_one(shop, store):
    ada, claims = somebody(shop, store), {"sub": uuid4().hex, "email": None}
    shop.issuer.userinfo = {"sub": claims["sub"]}
    told = await come_back(ada, **shop.issuer.approve(await go(ada), **claims))
    assert (await finish(ada, told["code"])).json()["code"] == "email_needed"
    made = await finish(ada, told["code"], email=ada.email, password=PASSWORD)
    assert (made.status_code, made.json()["email_verified"]) == (200, False)


async def test_without_redis_a_login_by_redirect_is_a_503_in_time(database_url, sessions, store):
    async with social_shop(database_url, "redis://127.0.0.1:9/0", sessions) as lame:
        ada = somebody(lame, store)
        begin = await ada.call("GET", f"/customer/oauth/{NAME}")
        assert (begin.status_code, begin.json()["code"]) == (503, "unavailable")
        ended = await finish(ada, "any")
        assert (ended.status_code, ended.json()["code"]) == (503, "unavailable")
        assert ended.headers["retry-after"]
        assert (await come_back(ada, code="c", state="s"))["error"] == "unavailable"
        token = lame.issuer.id_token(sub=uuid4().hex, email=ada.email)
        by_token = await ada.call("POST", "/customer/login/google", {"token": token})
        assert by_token.status_code == 503
    found = await _customers(sessions, store)
    assert found == 0


async def _customers(sessions: Sessions, store: Store) -> int:
    from sqlalchemy import text

    async with sessions() as session:
        return int(
            await session.scalar(
                text("SELECT count(*) FROM customers WHERE store_id = :id"), {"id": store.id}
            )
        )


async def test_a_provider_that_others_have_written_is_understood(database_url, redis_url, sessions, store):
    """The whole way with oidc-provider-mock: its own description, keys, code, PKCE and signature."""
    email = some_email()
    user = {"sub": "mock-1", "email": email, "email_verified": True, "name": "Ada Mock"}
    async with (
        oidc_provider_mock(user) as url,
        social_shop(database_url, redis_url, sessions, OIDC_STAND_IN_ISSUER=url) as shop,
        httpx.AsyncClient() as browser,
    ):
        ada = somebody(shop, store)
        for _ in range(2):
            page = await browser.post(await go(ada), data={"sub": "mock-1"})
            assert page.status_code == 302, page.text
            back = parse_qs(urlsplit(page.headers["location"]).query)
            told = await come_back(ada, **{name: value for name, (value,) in back.items()})
            answer = await finish(ada, told["code"])
            assert answer.status_code == 200, answer.text
            assert (answer.json()["email"], answer.json()["username"]) == (email, "Ada Mock")
    assert await _customers(sessions, store) == 1


NOW = int(time.time())
CHANGED = {
    "another audience": {"aud": "somebody-else"},
    "no audience": {"aud": None},
    "another issuer": {"iss": "https://evil.example"},
    "expired": {"exp": NOW - 600},
    "no end": {"exp": None},
    "not yet valid": {"nbf": NOW + 600},
    "made in the future": {"iat": NOW + 600},
    "no subject": {"sub": None},
    "a number for a subject": {"sub": 5},
    "a nonce of another login": {"nonce": "replayed"},
    "no nonce": {"nonce": None},
    "made for another client": {"azp": "somebody-else"},
}


@pytest.mark.skipif(bool(missing_for_changing_provider()), reason=missing_for_changing_provider())
async def test_a_provider_whose_claims_are_changed_is_refused_claim_by_claim(
    database_url, redis_url, sessions, store
):
    """The whole way with oauth2-mock-server, which signs whatever its hook makes of a token."""
    async with (
        changing_provider() as provider,
        social_shop(database_url, redis_url, sessions, OIDC_STAND_IN_ISSUER=provider.url) as shop,
        httpx.AsyncClient() as browser,
    ):

        async def there_and_back() -> tuple[Person, dict[str, str]]:
            ada = somebody(shop, store)
            # The calls of a test to this address stand in no log of the shop.
            page = await browser.get((await go(ada)).replace("//localhost:", "//127.0.0.1:"))
            back = parse_qs(urlsplit(page.headers["location"]).query)
            return ada, await come_back(ada, **{name: value for name, (value,) in back.items()})

        good = {"sub": "john", "email": some_email(), "email_verified": True}
        await provider.change(**good)
        ada, told = await there_and_back()
        answer = await finish(ada, told["code"])
        assert (answer.status_code, answer.json()["email"]) == (200, good["email"]), answer.text
        told_of = {}
        for title, changed in CHANGED.items():
            await provider.change(**{**good, **changed})
            told_of[title] = (await there_and_back())[1].get("error")
        assert told_of == dict.fromkeys(CHANGED, "login_failed")
