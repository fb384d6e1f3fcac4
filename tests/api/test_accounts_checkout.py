"""An account made in the checkout, and carts at login: what becomes the customer's, and that buying goes on."""

import asyncio
import dataclasses

import httpx
import pytest
from sqlalchemy import text

from app.api.dependencies import STATE_KEY as SHOP_KEY
from app.api.gate import STATE_KEY as GATE_KEY
from app.db.session import Sessions, transaction
from app.domain.checkout import claiming
from app.domain.customers.queries import find_customer_by_email, lock_customer
from app.domain.stores.models import Store
from app.main import create_app
from tests.api.account_shop import PASSWORD, Person, signed_up, some_email
from tests.api.live import free_port, serve
from tests.shop import (
    ADDRESS,
    Guest,
    add_order_link,
    add_variant,
    open_till,
    running_shop,
    settings_for,
    waiting_for_locks,
)


def body(email: str, **more) -> dict:
    return {"email": email, "shipping_address": ADDRESS, **more}


@pytest.fixture
async def buyer(guest: Guest, sessions: Sessions) -> Guest:
    await guest.add(await add_variant(sessions, guest.store), 2)
    await guest.open_checkout()
    return guest


async def set_customer(buyer: Guest, email: str, **more):
    headers = more.pop("headers", {})
    return await buyer.call("PUT", f"/checkout/{buyer.token}/customer", body(email, **more), **headers)


async def accounts_of(sessions: Sessions, store: Store) -> int:
    async with sessions() as session:
        found = await session.scalar(
            text("SELECT count(*) FROM customers WHERE store_id = :id"), {"id": store.id}
        )
    return int(found or 0)


async def test_a_password_in_the_checkout_makes_an_account_and_the_order_is_its_own(buyer, client, sessions):
    email = some_email()
    answer = await set_customer(buyer, email, password=PASSWORD)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    ada = Person(client, buyer.store, email=email, auth_key=made["auth_key"])
    profile = (await ada.call("GET", "/customer")).json()
    assert made["customer_id"] == profile["id"]
    assert (profile["username"], profile["firstname"], profile["email"]) == ("Ada Berg", "Ada", email)
    assert (await ada.call("GET", "/cart")).json()["item_count"] == 2
    shipped = await buyer.call(
        "PUT", f"/checkout/{buyer.token}/shipping", {"shipping_option_id": buyer.option_id}
    )
    paid = await buyer.pay(shipped.json()["totals"]["total"])
    assert paid.status_code == 204, paid.text
    order_id = int(paid.headers["location"].rpartition("/")[2])
    assert (await ada.call("GET", f"/orders/{order_id}")).status_code == 200
    assert (await Person(client, buyer.store, email=email).log_in()).status_code == 200


async def test_no_connection_waits_while_a_password_is_hashed(database_url, redis_url, store, sessions):
    app = create_app(settings_for(database_url, redis_url))
    held: list[int] = []

    class Watching:
        """The hasher of the shop, which notes how many connections are in use when it begins."""

        def __init__(self, hasher):
            self._hasher = hasher

        async def hash(self, password: str) -> str:
            held.append(app.state[SHOP_KEY].engine.pool.checkedout())
            return await self._hasher.hash(password)

    option = await open_till(sessions, store)
    async with serve(app) as url, httpx.AsyncClient(base_url=url, timeout=20) as client:
        gate = app.state[GATE_KEY]
        app.state[GATE_KEY] = dataclasses.replace(gate, hasher=Watching(gate.hasher))
        buyer = Guest(client, store, option)
        await buyer.add(await add_variant(sessions, store))
        await buyer.open_checkout()
        assert "auth_key" in (await set_customer(buyer, some_email(), password=PASSWORD)).json()
    assert held == [0]


async def test_a_browser_gets_its_cookie_there_too(buyer):
    answer = await set_customer(buyer, some_email(), password=PASSWORD, headers={"X-Session": "cookie"})
    buyer.client.cookies.clear()
    assert answer.json()["auth_key"] == ""
    assert any(line.startswith("__Host-storefront=") for line in answer.headers.get_list("set-cookie"))


async def test_a_known_address_goes_on_as_a_guest_whatever_the_password(buyer, client, sessions):
    ada = await signed_up(client, buyer.store)
    plain = await set_customer(buyer, ada.email)
    for password in (PASSWORD, "some other password"):
        answer = await set_customer(buyer, ada.email, password=password)
        assert answer.status_code == 200
        assert "auth_key" not in answer.json()
        assert {**answer.json(), "expires_at": ""} == {**plain.json(), "expires_at": ""}
        assert "set-cookie" not in answer.headers
    assert await accounts_of(sessions, buyer.store) == 1


async def test_a_weak_password_is_refused_for_known_and_unknown_addresses_alike(buyer, client):
    ada = await signed_up(client, buyer.store)
    for email in (ada.email, some_email()):
        answer = await set_customer(buyer, email, password="password1")
        assert (answer.status_code, answer.json()["code"]) == (422, "weak_password")


async def test_whether_an_address_has_an_account_is_not_told_faster_than_at_sign_up(
    database_url, redis_url, store, sessions
):
    option = await open_till(sessions, store)
    settings = settings_for(
        database_url, redis_url, STOREFRONT_LIMITS="signup=3/60", STOREFRONT_TRUSTED_PROXIES="127.0.0.0/8"
    )
    async with running_shop(settings) as client:
        found = []
        for _ in range(5):
            buyer = Guest(client, store, option, headers={"X-Forwarded-For": "192.0.2.77"})
            await buyer.add(await add_variant(sessions, store))
            await buyer.open_checkout()
            found.append("auth_key" in (await set_customer(buyer, some_email(), password=PASSWORD)).json())
    assert found == [True, True, True, False, False]


async def test_without_redis_the_buyer_goes_on_as_a_guest(database_url, store, sessions):
    option = await open_till(sessions, store)
    async with running_shop(settings_for(database_url, f"redis://127.0.0.1:{free_port()}")) as client:
        buyer = Guest(client, store, option)
        await buyer.add(await add_variant(sessions, store))
        await buyer.open_checkout()
        answer = await set_customer(buyer, some_email(), password=PASSWORD)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["customer_id"], "auth_key" in answer.json()) == (None, False)
    assert await accounts_of(sessions, store) == 0


async def test_a_login_brings_the_guests_cart_unless_it_is_to_be_left(guest: Guest, client, sessions):
    ada = await signed_up(client, guest.store)
    first, second = await add_variant(sessions, guest.store), await add_variant(sessions, guest.store)
    await guest.add(first, 2)
    await ada.log_in(cart_uuid=guest.cart_uuid)
    assert (await ada.call("GET", "/cart")).json()["item_count"] == 2
    other = Guest(client, guest.store, guest.option_id)
    await other.add(second, 1)
    await ada.log_in(cart_uuid=other.cart_uuid, skip_cart_merge=True)
    assert (await ada.call("GET", "/cart")).json()["item_count"] == 2
    await ada.log_in(cart_uuid=other.cart_uuid)
    assert (await ada.call("GET", "/cart")).json()["item_count"] == 3


async def test_nothing_wrong_with_a_cart_or_checkout_makes_a_login_fail(client, store):
    ada = await signed_up(client, store)
    for brought in (
        {"cart_uuid": "no uuid at all"},
        {"cart_uuid": "3350b0bf-c517-4589-8092-5df7a29c0dd0", "checkout_token": "nothing"},
        {"cart_uuid": "", "checkout_token": ""},
    ):
        assert (await ada.log_in(**brought)).status_code == 200


async def test_a_mistake_of_ours_in_merging_carts_makes_no_login_fail(
    guest: Guest, client, sessions, monkeypatch
):
    ada = await signed_up(client, guest.store)
    mine, theirs = await add_variant(sessions, guest.store), await add_variant(sessions, guest.store)
    member = Guest(client, guest.store, guest.option_id, headers={"Authorization": f"Bearer {ada.auth_key}"})
    await member.add(mine, 1)
    await guest.add(theirs, 2)

    async def stumble(session, *args, **kwargs):
        await session.execute(text("DELETE FROM cart_lines WHERE variant_id = :id"), {"id": theirs})
        raise KeyError("a mistake")

    monkeypatch.setattr(claiming, "merge_lines", stumble)
    assert (await ada.log_in(cart_uuid=guest.cart_uuid)).status_code == 200
    monkeypatch.undo()
    # What was half done is undone: nothing is lost, and it can be merged later.
    await ada.log_in(cart_uuid=guest.cart_uuid)
    assert (await ada.call("GET", "/cart")).json()["item_count"] == 3


async def test_logging_out_of_an_open_checkout_asks_for_a_new_one(buyer, client):
    ada = await signed_up(client, buyer.store)
    await ada.log_in(cart_uuid=buyer.cart_uuid, checkout_token=buyer.token)
    assert (await buyer.read_checkout())["customer_id"] == ada.id
    answer = await ada.call("POST", "/customer/logout")
    assert answer.json() == {"need_create_checkout": True}


async def test_a_sign_up_that_wants_the_newsletter_has_it_once_the_address_is_proven(client, store, sessions):
    ada = Person(client, store)
    assert (await ada.sign_up(subscribe=True)).json()["subscribed"] is True
    eve = Person(client, store)
    assert (await eve.sign_up(subscribe=False)).json()["subscribed"] is False
    async with transaction(sessions) as session:
        states = await session.execute(
            text("SELECT email, status FROM subscriptions WHERE store_id = :id"), {"id": store.id}
        )
        assert {row.email: row.status for row in states} == {ada.email: "pending"}


async def order_link(sessions, buyer: Guest, order_id: int) -> str:
    """The secret of a mailed link to an order."""
    async with transaction(sessions) as session:
        return await add_order_link(session, buyer.store.id, order_id)


async def buy(buyer: Guest) -> int:
    """What is in the checkout; the order's id."""
    shipped = await buyer.call(
        "PUT", f"/checkout/{buyer.token}/shipping", {"shipping_option_id": buyer.option_id}
    )
    paid = await buyer.pay(shipped.json()["totals"]["total"])
    return int(paid.headers["location"].rpartition("/")[2])


@pytest.mark.parametrize("by", ["the order", "the login"])
async def test_the_link_to_an_order_opens_no_account_that_moves_to_another_address_meanwhile(
    buyer, client, sessions, by
):
    """Who reads the former address may see the order that was mailed there, and no more."""
    email = some_email()
    await set_customer(buyer, email, password=PASSWORD)
    order = await buy(buyer)
    link = {"uuid": await order_link(sessions, buyer, order)}
    path = f"/orders/{order}/access" if by == "the order" else "/customer/login/uuid"
    reader = Person(client, buyer.store)
    async with transaction(sessions) as session:
        customer = await find_customer_by_email(session, buyer.store.id, email)
        locked = await lock_customer(session, buyer.store.id, customer.id)
        coming = asyncio.create_task(reader.call("POST", path, link))
        await waiting_for_locks(sessions, 1)
        locked.email = locked.email_key = some_email()
    answer = await coming
    if by == "the order":
        assert (answer.status_code, "auth_key" in answer.json()) == (200, False)
    else:
        assert (answer.status_code, answer.json()["code"]) == (401, "login_failed")


async def test_the_link_to_an_order_of_an_account_logs_in_and_a_guests_does_not(buyer, client, sessions):
    email = some_email()
    await set_customer(buyer, email, password=PASSWORD)
    theirs = await buy(buyer)
    opened = await buyer.call(
        "POST", f"/orders/{theirs}/access", {"uuid": await order_link(sessions, buyer, theirs)}
    )
    assert opened.status_code == 200, opened.text
    ada = Person(client, buyer.store, email=email, auth_key=opened.json()["auth_key"])
    assert (await ada.call("GET", "/customer")).json()["email_verified"] is True
    by_uuid = await ada.elsewhere().call(
        "POST", "/customer/login/uuid", {"uuid": await order_link(sessions, buyer, theirs)}
    )
    assert by_uuid.json()["id"] == (await ada.call("GET", "/customer")).json()["id"]

    guest = Guest(client, buyer.store, buyer.option_id)
    buyer.cart_uuid, buyer.token = guest.cart_uuid, guest.token
    await buyer.add(await add_variant(sessions, buyer.store))
    await buyer.open_checkout()
    await set_customer(buyer, some_email())
    nobodys = await buy(buyer)
    opened = await buyer.call(
        "POST", f"/orders/{nobodys}/access", {"uuid": await order_link(sessions, buyer, nobodys)}
    )
    assert (opened.status_code, "auth_key" in opened.json()) == (200, False)
    refused = await ada.elsewhere().call(
        "POST", "/customer/login/uuid", {"uuid": await order_link(sessions, buyer, nobodys)}
    )
    assert refused.status_code == 401
