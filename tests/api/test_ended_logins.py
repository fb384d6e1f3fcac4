"""Logins that end while a call of theirs waits for the account: nothing that outlives them is done any more."""

import asyncio
from typing import Any

import httpx
import pytest

from app.db.session import Sessions, transaction
from app.domain.customers.queries import lock_customer
from app.domain.stores.models import Store
from tests.api.account_shop import Person, signed_up, some_email
from tests.people import session_store
from tests.shop import add_variant, waiting_for_locks
from tests.standins.authenticator import Authenticator


@pytest.fixture
async def thief(client: httpx.AsyncClient, store: Store) -> Person:
    """Somebody in another's account, whose owner is about to end every session."""
    return await signed_up(client, store)


async def while_it_ends(
    thief: Person, sessions: Sessions, redis_url: str, method: str, path: str, body: dict[str, Any]
) -> httpx.Response:
    """The answer to a call that was let in, and then waited until its login was over."""
    async with transaction(sessions) as session:
        await lock_customer(session, thief.store.id, thief.id)
        coming = asyncio.create_task(thief.call(method, path, body))
        await waiting_for_locks(sessions, 1)
        async with session_store(redis_url) as kept:
            assert await kept.end_all_but(thief.store.id, thief.id, None) == 1
    return await coming


async def test_the_account_moves_to_no_other_address(thief, sessions, redis_url):
    body = {"email": some_email()}
    answer = await while_it_ends(thief, sessions, redis_url, "PATCH", "/customer", body)
    assert (answer.status_code, answer.json()["code"]) == (401, "login_required")
    owner = thief.elsewhere()
    assert (await owner.log_in()).json()["new_email"] is None


async def test_an_ended_bearer_does_not_look_like_an_empty_cart(thief, sessions):
    line = {"product_id": await add_variant(sessions, thief.store), "quantity": 1}
    assert (await thief.call("POST", "/cart/items", line)).status_code == 200
    await thief.elsewhere(auth_key=thief.auth_key).call("POST", "/customer/logout")
    for method, body in (("GET", None), ("POST", line)):
        path = "/cart" if body is None else "/cart/items"
        answer = await thief.call(method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
        assert answer.headers["www-authenticate"].endswith('error="invalid_token"')
    # Reading goes on, and so does getting in again with the old key still in the header.
    assert (await thief.call("GET", "/products")).status_code == 200
    assert (await thief.call("POST", "/customer/logout")).status_code == 200
    assert (await thief.log_in()).status_code == 200
    assert (await thief.call("GET", "/cart")).json()["item_count"] == 1


async def test_an_ended_cookie_makes_a_guest(thief, sessions):
    line = {"product_id": await add_variant(sessions, thief.store), "quantity": 1}
    browser = {"Cookie": f"__Host-storefront={'A' * 43}", "Sec-Fetch-Site": "same-origin"}
    guest = Person(thief.client, thief.store)
    assert (await guest.call("GET", "/cart", headers=browser)).json()["token"] is None
    assert (await guest.call("POST", "/cart/items", line, headers=browser)).status_code == 200


async def test_no_passkey_stays_behind(thief, sessions, redis_url):
    options = (await thief.call("POST", "/customer/passkeys/options", {})).json()
    body = {"credential": Authenticator().create(options)}
    answer = await while_it_ends(thief, sessions, redis_url, "POST", "/customer/passkeys", body)
    assert (answer.status_code, answer.json()["code"]) == (401, "login_required")
    owner = thief.elsewhere()
    await owner.log_in()
    assert (await owner.call("GET", "/customer/passkeys")).json()["items"] == []
