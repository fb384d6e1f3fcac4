"""A shop that trusts three login providers, their stand-ins, and a shopper's browser that goes there and back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from sqlalchemy import text

from app.db.session import Sessions
from app.settings import Settings
from tests.api.account_shop import Person
from tests.shop import running_shop, settings_for
from tests.standins.facebook import APP_ID, APP_SECRET, Facebook, facebook_stand_in
from tests.standins.issuer import CLIENT_ID, CLIENT_SECRET, Issuer, issuer_stand_in

NAME = "stand-in"


@dataclass
class SocialShop:
    client: httpx.AsyncClient
    issuer: Issuer  # Google's, and that of the provider by redirect
    facebook: Facebook
    settings: Settings
    sessions: Sessions

    async def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        async with self.sessions() as session:
            return [tuple(row) for row in await session.execute(text(query), values)]


@asynccontextmanager
async def social_shop(
    database_url: str, redis_url: str, sessions: Sessions, **environ: str
) -> AsyncIterator[SocialShop]:
    async with issuer_stand_in() as issuer, facebook_stand_in() as facebook:
        settings = settings_for(
            database_url,
            redis_url,
            **{
                "GOOGLE_CLIENT_IDS": CLIENT_ID,
                "GOOGLE_ISSUER": issuer.url,
                "FACEBOOK_APP_ID": APP_ID,
                "FACEBOOK_APP_SECRET": APP_SECRET,
                "FACEBOOK_GRAPH_URL": facebook.url,
                "OIDC_PROVIDERS": NAME,
                "OIDC_STAND_IN_ISSUER": issuer.url,
                "OIDC_STAND_IN_CLIENT_ID": CLIENT_ID,
                "OIDC_STAND_IN_CLIENT_SECRET": CLIENT_SECRET,
                **environ,
            },
        )
        async with running_shop(settings) as client:
            # Everybody has cookies of their own, also where many call at once.
            client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
            yield SocialShop(client, issuer, facebook, settings, sessions)


async def with_google(
    person: Person, token: str, *, headers: dict[str, str] | None = None, **body: Any
) -> httpx.Response:
    """Log somebody in by an ID token, as `Person.log_in` does by password."""
    return keep(
        person, await person.call("POST", "/customer/login/google", {"token": token, **body}, headers=headers)
    )


async def with_facebook(person: Person, token: str, **body: Any) -> httpx.Response:
    return keep(person, await person.call("POST", "/customer/login/facebook", {"token": token, **body}))


async def go(person: Person, **params: str) -> str:
    """Begin a login by redirect; the address at the provider."""
    answer = await person.call("GET", f"/customer/oauth/{NAME}", params=params)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


async def come_back(person: Person, **params: str) -> dict[str, str]:
    """What the shop's page finds in its address when the provider has led back with these."""
    answer = await person.call("GET", f"/customer/oauth/{NAME}/callback", params=params)
    assert answer.status_code == 302, answer.text
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    return {name: value for name, (value,) in query.items()}


async def finish(
    person: Person, code: str, *, headers: dict[str, str] | None = None, **body: Any
) -> httpx.Response:
    answer = await person.call("POST", "/customer/oauth/finish", {"code": code, **body}, headers=headers)
    return keep(person, answer)


async def by_redirect(person: Person, issuer: Issuer, **claims: Any) -> httpx.Response:
    """The whole way there and back."""
    told = await come_back(person, **issuer.approve(await go(person), **claims))
    return await finish(person, told["code"])


def keep(person: Person, answer: httpx.Response) -> httpx.Response:
    if answer.status_code == 200:
        person.auth_key, person.id = answer.json()["auth_key"], answer.json()["id"]
    return answer
