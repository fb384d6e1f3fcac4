"""Secrets where they do not belong, as people send them: none comes back, none is written down.

That none is in a log or a table is seen at the end of the run, by tests/canaries.py. Two things come back by
intention: the name of a field that is none, and the words of a search, in the addresses of its pages.
"""

import logging
from collections.abc import Iterator

import pytest

from app.api.credentials import SESSION_COOKIE
from app.log import configure_logging
from tests.api.stripe_shop import Buyer
from tests.canaries import CARD, CARD_NUMBER, MARK, WATCH
from tests.shop import Guest, add_variant

TOKEN = f"{MARK}{'t' * 35}"
KEY = {"Idempotency-Key": f"{MARK}{'k' * 20}"}

HEADERS = {
    "a bearer token": {"Authorization": f"Bearer {TOKEN}"},
    "a login": {"Authorization": f"Basic {TOKEN}"},
    "a session": {"Cookie": f"{SESSION_COOKIE}={TOKEN}"},
    "two sessions": {"Cookie": f"{SESSION_COOKIE}={TOKEN}; {SESSION_COOKIE}=2"},
    "the name of a store": {"X-Store": TOKEN},
    "an id of the request": {"X-Request-Id": f"{MARK}!"},
}

CALLS = {
    "a path": ("GET", f"/checkout/{TOKEN}", None),
    "the path of an order": ("GET", f"/orders/{TOKEN}", None),
    "the path of a service": ("POST", f"/checkout/{TOKEN}/payment/{CARD}", {}),
    "an address that is none": ("GET", f"/{TOKEN}", None),
    "a query": ("GET", f"/cart?cart_uuid={TOKEN}", None),
    "a query that is none": ("GET", f"/products?token={TOKEN}&page={CARD_NUMBER}&sort={TOKEN}", None),
    "an unknown field": ("POST", "/cart/items", {"product_id": 1, "quantity": 1, "card": CARD_NUMBER}),
    "a number": ("POST", "/cart/items", {"product_id": int(CARD_NUMBER), "quantity": int(CARD_NUMBER)}),
    "a text for a number": ("POST", "/cart/items", {"product_id": CARD_NUMBER, "quantity": TOKEN}),
    "a cart": ("POST", "/cart/items", {"product_id": 1, "quantity": 1, "cart_uuid": TOKEN}),
    "a cart to check out": ("POST", "/checkout", {"cart_uuid": TOKEN}),
    "a mailed link": ("POST", "/orders/1/link", {"uuid": TOKEN}),
    "an order's number": ("POST", "/orders/lookup", {"order": CARD_NUMBER, "email": f"{TOKEN}@"}),
}


@pytest.mark.parametrize("name", HEADERS)
async def test_a_secret_in_a_header_does_not_come_back(guest: Guest, sessions, name: str):
    variant = await add_variant(sessions, guest.store)
    body = {"product_id": variant, "quantity": 1}
    for method, path, sent in (("GET", "/cart", None), ("POST", "/cart/items", body)):
        answer = await guest.call(method, path, sent, **HEADERS[name])
        assert answer.status_code < 500, answer.text
        assert MARK not in answer.text + str(answer.headers)


@pytest.mark.parametrize("name", CALLS)
async def test_a_secret_in_a_wrong_place_does_not_come_back(guest: Guest, name: str):
    method, path, body = CALLS[name]
    answer = await guest.call(method, path, body)
    assert answer.status_code < 500, answer.text
    assert not _stands_in(answer.text + str(answer.headers))


@pytest.mark.parametrize(
    "field", ["payment_type", "payment_token", "amount", "identity", "checkout_token", "card"]
)
async def test_a_card_number_in_a_wrong_field_of_paying_does_not_come_back(
    guest: Guest, sessions, field: str
):
    await guest.prepare(await add_variant(sessions, guest.store))
    for value in (CARD_NUMBER, int(CARD_NUMBER), {"number": CARD_NUMBER}, [CARD]):
        body = {"payment_type": "test", "payment_token": "decline", "amount": 1, field: value}
        answer = await guest.call("POST", f"/checkout/{guest.token}/payment", body, **KEY)
        assert 400 <= answer.status_code < 500, answer.text
        assert not _stands_in(answer.text)


async def test_a_card_that_stripe_refuses_does_not_come_back(buyer: Buyer):
    for card in (CARD, CARD_NUMBER):
        answer = await buyer.pay(card)
        assert (answer.status_code, answer.json()["reason"]) == (402, "resource_missing")
        assert not _stands_in(answer.text)


async def test_trouble_with_stripe_writes_no_key_into_the_log(buyer: Buyer):
    before = len(WATCH.leaks)
    buyer.stripe.fail("create", "cut")
    assert (await buyer.pay(CARD)).status_code == 402
    buyer.stripe.fail("confirm", "error_after")
    assert (await buyer.pay()).status_code == 202
    await buyer.reconcile()
    assert WATCH.leaks[before:] == []


@pytest.fixture
def everything_logged() -> Iterator[None]:
    """As under LOG_LEVEL=debug: every library says all that it has to say."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    configure_logging(level="debug", form="json")
    root.handlers[:] = handlers
    yield
    configure_logging(level="info", form="json")
    root.handlers[:] = handlers


async def test_no_secret_is_logged_at_the_lowest_level(everything_logged, buyer: Buyer):
    before = len(WATCH.leaks)
    assert (await buyer.pay(CARD)).status_code == 402
    paid = await buyer.pay()
    assert paid.status_code == 204
    assert (await buyer.guest.read_order(int(paid.headers["location"].rpartition("/")[2]))).status_code == 200
    assert WATCH.leaks[before:] == []


def _stands_in(shown: str) -> bool:
    return any(secret in shown for secret in (MARK, CARD_NUMBER))
