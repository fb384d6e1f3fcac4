"""How tests have accounts: people who sign up and log in, and the mails that came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from app.domain.stores.models import Store
from tests.canaries import MARK

# Marked, so that one that gets into a log line, an error or a table is seen.
PASSWORD = f"{MARK}correct horse battery"
OTHER_PASSWORD = f"{MARK}another staple entirely"


def some_email() -> str:
    return f"ada-{uuid4().hex[:10]}@example.com"


@dataclass
class Person:
    """Somebody with a client of a running shop; by bearer once `auth_key` is known, by cookie where given."""

    client: httpx.AsyncClient
    store: Store
    email: str = field(default_factory=some_email)
    password: str = PASSWORD
    auth_key: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    agent: str = "Shop app 1.0"
    id: int = 0

    async def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        sent = {"X-Store": self.store.code, "User-Agent": self.agent, **(headers or {})}
        if self.auth_key:
            sent.setdefault("Authorization", f"Bearer {self.auth_key}")
        if self.cookies:
            sent.setdefault("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
            sent.setdefault("Sec-Fetch-Site", "same-origin")
        answer = await self.client.request(method, f"/storefront/v1{path}", json=json, headers=sent, **more)
        # The client's own jar would mix the cookies of all people.
        for name, value in answer.cookies.items():
            self.cookies[name] = value
        self.client.cookies.clear()
        return answer

    async def sign_up(self, **more: Any) -> httpx.Response:
        body = {"username": "Ada Berg", "email": self.email, "password": self.password, **more}
        answer = await self.call("POST", "/customer/signup", body)
        return self._keep(answer)

    async def log_in(self, *, headers: Mapping[str, str] | None = None, **more: Any) -> httpx.Response:
        body = {"email": self.email, "password": self.password, **more}
        return self._keep(await self.call("POST", "/customer/login", body, headers=headers))

    async def is_logged_in(self) -> bool:
        return (await self.call("GET", "/customer")).status_code == 200

    def elsewhere(self, **changes: Any) -> "Person":
        """The same person at another device, not logged in."""
        values = {"email": self.email, "password": self.password, "id": self.id, **changes}
        return Person(self.client, self.store, **values)

    def _keep(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code == 200:
            self.auth_key = answer.json()["auth_key"]
            self.id = answer.json()["id"]
        return answer


async def signed_up(client: httpx.AsyncClient, store: Store, **more: Any) -> Person:
    person = Person(client, store)
    answer = await person.sign_up(**more)
    assert answer.status_code == 200, answer.text
    return person
