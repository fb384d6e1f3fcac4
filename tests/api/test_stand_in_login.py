"""The development provider: it believes everybody, and still a login of it opens nothing that it did not approve."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.domain.customers.providers import VerifiedIdentity
from app.integrations.test_logins import SECONDS, LoginRequest, TestLogins
from app.kit.clock import utc_now
from app.kit.errors import Unauthenticated
from app.main import create_app
from tests.api.account_shop import Person, signed_up, some_email
from tests.api.social_shop import finish
from tests.shop import settings_for

NAME = "test-provider"
PUBLIC = "https://api.shop.example"
BACK = f"{PUBLIC}/storefront/v1/customer/oauth/{NAME}/callback"


def query_of(address: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(address).query).items()}


async def go(person: Person) -> dict[str, str]:
    """What the shop sends the browser to the provider with."""
    answer = await person.call("GET", f"/customer/oauth/{NAME}")
    assert urlsplit(answer.headers["location"]).path == "/test-login"
    return query_of(answer.headers["location"])


async def say(client: httpx.AsyncClient, asked: dict[str, str], **form: str) -> httpx.Response:
    return await client.post("/test-login", data=asked | form)


async def come_back(person: Person, address: str) -> dict[str, str]:
    parts = urlsplit(address)
    answer = await person.client.get(
        f"{parts.path}?{parts.query}",
        headers={"Cookie": "; ".join(f"{name}={value}" for name, value in person.cookies.items())},
    )
    person.client.cookies.clear()
    assert answer.status_code == 302
    return query_of(answer.headers["location"])


async def test_whoever_one_says_to_be_there_one_is_here(client, store):
    ada = Person(client, store)
    for _ in range(2):
        said = await say(client, await go(ada), email=ada.email, name="Ada Berg", verified="1")
        told = await come_back(ada, said.headers["location"])
        entered = await finish(ada, told["code"])
        assert entered.status_code == 200, entered.text
        shown = entered.json()
        assert (shown["email"], shown["email_verified"], shown["username"]) == (ada.email, True, "Ada Berg")
        assert shown["id"] == ada.id
        ada.auth_key = ""


async def test_an_address_that_is_not_verified_there_opens_no_account_here(client, store):
    owner = await signed_up(client, store)
    stranger = Person(client, store)
    said = await say(client, await go(stranger), email=owner.email, name="Ada")
    told = await come_back(stranger, said.headers["location"])
    refused = await finish(stranger, told["code"])
    assert (refused.status_code, refused.json()["code"]) == (401, "link_needs_password")


async def test_leaving_the_provider_leads_back_with_the_reason(client, store):
    ada = Person(client, store)
    said = await say(client, await go(ada), decision="cancel")
    assert (await come_back(ada, said.headers["location"]))["error"] == "login_cancelled"


async def test_the_form_shows_nothing_as_markup_and_says_what_is_no_address(client, store):
    ada = Person(client, store)
    asked = await go(ada)
    page = await client.get("/test-login", params=asked | {"state": '"><script>'})
    assert page.status_code == 200
    assert "<script>" not in page.text
    assert "form-action 'self'" in page.headers["content-security-policy"]
    refused = await say(client, asked, email="nobody")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "email")


@pytest.mark.parametrize("address", ["https://evil.example/", "//evil.example", ""])
async def test_the_provider_leads_back_to_the_shop_only(client, store, address):
    asked = await go(Person(client, store)) | {"redirect_uri": address}
    assert (await client.get("/test-login", params=asked)).status_code == 404
    for decision in ("approve", "cancel"):
        said = await say(client, asked, email=some_email(), decision=decision)
        assert (said.status_code, "location" in said.headers) == (404, False)


async def test_a_page_that_was_not_asked_for_is_not_there(client):
    assert (await client.get("/test-login")).status_code == 404


@pytest.fixture
def provider() -> TestLogins:
    return TestLogins(public_url=PUBLIC, secrets=("key",))


async def approved(provider: TestLogins) -> str:
    """A code for a login that has begun."""
    begun = query_of(await provider.begin(state="s", nonce="n", verifier="v", redirect_uri=BACK))
    back = provider.approve(
        LoginRequest(**begun), email="ada@example.com", name="Ada", is_verified=True, now=utc_now()
    )
    return query_of(back or "")["code"]


async def ask(provider: TestLogins, code: str, *, later: int = 0, **changed: str) -> VerifiedIdentity:
    wanted = {"nonce": "n", "verifier": "v", "redirect_uri": BACK, **changed}
    return await provider.finish(code, issuer=None, now=utc_now() + timedelta(seconds=later), **wanted)


async def test_a_code_is_good_for_the_login_that_it_was_made_for(provider):
    code = await approved(provider)
    assert (await ask(provider, code)).email == "ada@example.com"
    for changed in ({"nonce": "x"}, {"verifier": "x"}, {"redirect_uri": "x"}, {"later": SECONDS + 5}):
        with pytest.raises(Unauthenticated):
            await ask(provider, code, **changed)


@pytest.mark.parametrize("forged", ["", ".", "e30.x", "e30", "ä.ö"])
async def test_a_code_that_nobody_signed_is_refused(provider, forged):
    with pytest.raises(Unauthenticated):
        await ask(provider, forged)
    other = TestLogins(public_url=PUBLIC, secrets=("another key",))
    with pytest.raises(Unauthenticated):
        await ask(provider, await approved(other))


async def test_the_options_name_the_providers_and_how_each_is_used(client, store):
    named = (await Person(client, store).call("GET", "/options")).json()["login_providers"]
    assert {"name": NAME, "redirect": f"/storefront/v1/customer/oauth/{NAME}", "client_id": None} in named


def test_production_has_no_such_provider(database_url, redis_url, tmp_path):
    environ = {"STOREFRONT_ENV": "production", "STOREFRONT_PUBLIC_URL": "https://shop.example"}
    settings = settings_for(database_url, redis_url, STOREFRONT_DATA_DIR=str(tmp_path), **environ)
    gate = create_app(settings).state["gate"]
    assert gate.providers.redirects == {}
