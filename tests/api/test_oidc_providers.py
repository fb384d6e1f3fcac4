"""Logins by redirect at a provider: what is asked of it, what must come back, and what happens when it fails."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app.domain.customers.providers import VerifiedIdentity
from app.integrations.oauth import http
from app.integrations.oauth.oidc import OidcProvider
from app.kit.errors import Unauthenticated, Unavailable
from tests.standins.issuer import CLIENT_ID, CLIENT_SECRET, Issuer, issuer_stand_in
from tests.standins.wire import Reply

BACK = "https://shop.example/storefront/v1/customer/oauth/test/callback"


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuer_stand_in() as made:
        yield made


def provider_of(issuer: Issuer, url: str = "") -> OidcProvider:
    return OidcProvider(
        name="test",
        issuer=url or issuer.url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        scopes=("openid", "email"),
    )


@pytest.fixture
async def provider(issuer: Issuer) -> AsyncIterator[OidcProvider]:
    made = provider_of(issuer)
    yield made
    await made.close()


async def log_in(
    provider: OidcProvider,
    issuer: Issuer,
    *,
    changed: dict[str, Any] | None = None,
    issuer_parameter: str | None = None,
    **claims: Any,
) -> VerifiedIdentity:
    """The whole way; `changed` is what the end of it is told differently from the beginning."""
    chosen = {"nonce": secrets.token_urlsafe(), "verifier": secrets.token_urlsafe(48), "redirect_uri": BACK}
    address = await provider.begin(state="the-state", **chosen)
    back = issuer.approve(address, **claims)
    assert back["state"] == "the-state"
    return await provider.finish(
        back["code"], issuer=issuer_parameter, now=datetime.now(UTC), **{**chosen, **(changed or {})}
    )


async def test_the_address_at_the_provider_has_a_challenge_and_never_the_verifier(
    issuer: Issuer, provider: OidcProvider
) -> None:
    verifier = secrets.token_urlsafe(48)
    address = await provider.begin(state="s", nonce="n", verifier=verifier, redirect_uri=BACK)
    asked = parse_qs(urlsplit(address).query)
    assert {name: asked[name] for name in ("state", "nonce", "scope", "redirect_uri", "client_id")} == {
        "state": ["s"],
        "nonce": ["n"],
        "scope": ["openid email"],
        "redirect_uri": [BACK],
        "client_id": [CLIENT_ID],
    }
    assert asked["code_challenge_method"] == ["S256"]
    assert verifier not in address
    assert CLIENT_SECRET not in address


async def test_the_whole_way_ends_with_who_somebody_is(issuer: Issuer, provider: OidcProvider) -> None:
    identity = await log_in(provider, issuer, sub="u-1", email="ada@example.com")
    assert (identity.issuer, identity.subject, identity.email) == (issuer.url, "u-1", "ada@example.com")
    assert identity.email_verified
    assert issuer.calls == ["openid-configuration", "token", "jwks"]


async def test_description_and_keys_are_fetched_once(issuer: Issuer, provider: OidcProvider) -> None:
    for _ in range(3):
        await log_in(provider, issuer)
    assert (issuer.calls.count("openid-configuration"), issuer.calls.count("jwks")) == (1, 1)


async def test_many_first_logins_at_once_fetch_them_once(issuer: Issuer, provider: OidcProvider) -> None:
    await asyncio.gather(*(log_in(provider, issuer) for _ in range(10)))
    assert (issuer.calls.count("openid-configuration"), issuer.calls.count("jwks")) == (1, 1)


@pytest.mark.parametrize(
    "changed",
    [{"nonce": "of-another-login"}, {"verifier": "v" * 43}, {"redirect_uri": "https://evil.example"}],
    ids=lambda one: next(iter(one)),
)
async def test_the_end_must_match_the_beginning(
    changed: dict[str, str], issuer: Issuer, provider: OidcProvider
) -> None:
    with pytest.raises(Unauthenticated):
        await log_in(provider, issuer, changed=changed)


@pytest.mark.parametrize(
    "claims", [{"nonce": "replayed"}, {"nonce": None}, {"aud": "other"}, {"exp": 1}, {"sub": None}], ids=str
)
async def test_a_bad_id_token_is_refused_here_as_well(
    claims: dict[str, Any], issuer: Issuer, provider: OidcProvider
) -> None:
    with pytest.raises(Unauthenticated):
        await log_in(provider, issuer, **claims)


async def test_a_code_is_good_once_and_a_made_up_one_never(issuer: Issuer, provider: OidcProvider) -> None:
    chosen = {"nonce": "n", "verifier": "v" * 43, "redirect_uri": BACK}
    code = issuer.approve(await provider.begin(state="s", **chosen))["code"]
    end = {**chosen, "issuer": None, "now": datetime.now(UTC)}
    assert await provider.finish(code, **end)
    for again in (code, "made-up", "é\x00", ""):
        with pytest.raises(Unauthenticated):
            await provider.finish(again, **end)


async def test_an_answer_that_names_another_issuer_is_refused(issuer: Issuer, provider: OidcProvider) -> None:
    assert await log_in(provider, issuer, issuer_parameter=issuer.url)
    with pytest.raises(Unauthenticated):
        await log_in(provider, issuer, issuer_parameter="https://evil.example")


async def test_a_provider_that_promises_its_name_in_the_answer_must_give_it(issuer: Issuer) -> None:
    issuer.metadata["authorization_response_iss_parameter_supported"] = True
    provider = provider_of(issuer)
    assert await log_in(provider, issuer, issuer_parameter=issuer.url)
    with pytest.raises(Unauthenticated):
        await log_in(provider, issuer)
    await provider.close()


async def test_an_address_that_only_userinfo_has_is_taken_from_there(
    issuer: Issuer, provider: OidcProvider
) -> None:
    issuer.userinfo = {"sub": "u-1", "email": "ada@example.com", "email_verified": True}
    identity = await log_in(provider, issuer, sub="u-1", email=None, email_verified=None)
    assert (identity.email, identity.email_verified) == ("ada@example.com", True)


@pytest.mark.parametrize(
    "told",
    [{"sub": "u-2", "email": "bob@example.com"}, {"email": "bob@example.com"}, {"sub": "u-1", "email": 5}],
    ids=str,
)
async def test_userinfo_about_another_user_is_refused(
    told: dict[str, Any], issuer: Issuer, provider: OidcProvider
) -> None:
    issuer.userinfo = told
    with pytest.raises(Unauthenticated):
        await log_in(provider, issuer, sub="u-1", email=None)


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"jwks_uri": "ftp://evil.example"},
        {"token_endpoint": "//evil.example"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"userinfo_endpoint": "file:///etc/passwd"},
    ],
    ids=str,
)
async def test_a_description_that_is_not_the_providers_own_is_not_believed(
    described: dict[str, Any], issuer: Issuer
) -> None:
    issuer.metadata = described
    provider = provider_of(issuer)
    with pytest.raises(Unavailable):
        await log_in(provider, issuer)
    await provider.close()


TROUBLES = [
    Reply(500, {}),
    Reply(502, "bad gateway"),
    Reply(200, "no object"),
    Reply(200, ["list"]),
    Reply(302, {}),
    Reply(200, {"padding": "x" * 300_000}),
]


@pytest.mark.parametrize("path", ["openid-configuration", "token", "jwks"])
@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda one: str(one)[:40])
async def test_trouble_at_the_provider_ends_in_an_answer_of_ours(
    path: str, trouble: Reply, issuer: Issuer, provider: OidcProvider
) -> None:
    issuer.faults[path] = trouble
    with pytest.raises((Unavailable, Unauthenticated)) as ended:
        await log_in(provider, issuer)
    if trouble.status >= 500 or path != "token":
        assert isinstance(ended.value, Unavailable)


@pytest.mark.parametrize("path", ["openid-configuration", "token", "jwks"])
async def test_a_provider_that_hangs_is_given_up_in_time(
    path: str, issuer: Issuer, provider: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "CALL_SECONDS", 0.2)
    issuer.faults[path] = "hang"
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await log_in(provider, issuer)
    assert time.monotonic() - began < 2


async def test_known_keys_and_description_serve_while_those_pages_are_down(
    issuer: Issuer, provider: OidcProvider
) -> None:
    await log_in(provider, issuer)
    issuer.faults |= {"jwks": Reply(500, {}), "openid-configuration": Reply(500, {})}
    assert await log_in(provider, issuer)


async def test_the_secret_goes_in_the_form_where_the_provider_takes_it_there_only(issuer: Issuer) -> None:
    issuer.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    provider = provider_of(issuer)
    with pytest.raises(Unauthenticated):  # the stand-in takes the header only, and saw that there was none
        await log_in(provider, issuer)
    assert issuer.last_form["client_secret"] == CLIENT_SECRET
    await provider.close()
