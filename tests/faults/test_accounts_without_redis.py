"""Redis is away: what needs a login says so within a second, and guests go on buying."""

import time

from sqlalchemy import text

from app.db.session import Sessions
from tests.api.account_shop import PASSWORD, some_email
from tests.api.live import free_port
from tests.shop import Guest, add_variant, open_till, running_shop, settings_for

PASSKEY = {
    "login_id": "A" * 43,
    "credential": {
        "id": "AAAA",
        "type": "public-key",
        "response": {"clientDataJSON": "e30", "authenticatorData": "AAAA", "signature": "AAAA"},
    },
}


async def test_account_calls_answer_503_within_a_second_and_guests_go_on(
    database_url, store, sessions: Sessions
):
    gone = f"redis://127.0.0.1:{free_port()}"
    email = some_email()
    calls = [
        ("POST", "/customer/login", {"email": email, "password": PASSWORD}, {}),
        ("POST", "/customer/signup", {"username": "Ada", "email": email, "password": PASSWORD}, {}),
        ("GET", "/customer", None, {"Authorization": "Bearer " + "A" * 43}),
        ("PATCH", "/customer", {"firstname": "Ada"}, {"Authorization": "Bearer " + "A" * 43}),
        ("POST", "/customer/logout", None, {"Authorization": "Bearer " + "A" * 43}),
        ("GET", "/customer/sessions", None, {"Authorization": "Bearer " + "A" * 43}),
        ("DELETE", "/customer/sessions", None, {"Authorization": "Bearer " + "A" * 43}),
        ("POST", "/customer/login/code/confirm", {"email": email, "code": "123456"}, {}),
        ("POST", "/customer/login/passkey/options", {}, {}),
        ("POST", "/customer/login/passkey", PASSKEY, {}),
        ("POST", "/customer/passkeys/options", {}, {"Authorization": "Bearer " + "A" * 43}),
        ("GET", "/customer/passkeys", None, {"Authorization": "Bearer " + "A" * 43}),
    ]
    option = await open_till(sessions, store)
    settings = settings_for(database_url, gone, STOREFRONT_LIMITS="login=100/60")
    async with running_shop(settings) as client:
        for method, path, body, headers in calls:
            started = time.perf_counter()
            answer = await client.request(
                method, f"/storefront/v1{path}", json=body, headers={"X-Store": store.code, **headers}
            )
            assert answer.status_code == 503, (path, answer.text)
            assert int(answer.headers["retry-after"]) >= 1
            assert time.perf_counter() - started < 1, path
        forgot = await client.post(
            "/storefront/v1/customer/password/forgot", json={"email": email}, headers={"X-Store": store.code}
        )
        assert forgot.status_code == 204
        guest = Guest(client, store, option)
        checkout = await guest.prepare(await add_variant(sessions, store))
        assert (await guest.pay(checkout["totals"]["total"])).status_code == 204
    settings = settings_for(database_url, gone)
    async with running_shop(settings) as client:
        answer = await client.post(
            "/storefront/v1/customer/signup",
            json={"username": "Ada", "email": email, "password": PASSWORD},
            headers={"X-Store": store.code},
        )
        assert answer.status_code == 503
    async with sessions() as session:
        count = await session.scalar(
            text("SELECT count(*) FROM customers WHERE store_id = :id"), {"id": store.id}
        )
    assert count == 0  # an account that nobody was let into would only be in the way of a second try
