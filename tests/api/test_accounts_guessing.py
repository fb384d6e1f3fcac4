"""Guessing passwords: how soon it ends, for whom, and that its target can still get in."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import httpx
import pytest

from app.api.client import wide_network_of
from app.api.errors import HttpError
from app.api.gate import GuessLimits
from app.domain.stores.models import Store
from app.kit.errors import Unavailable
from app.kit.rates import LocalRateCounter, in_words
from app.settings import Limit
from tests.api.account_shop import OTHER_PASSWORD, Person, some_email
from tests.shop import running_shop, settings_for

LIMITS = "login=1000/60,signup=30/60,signup_account=3/60,guess=4/60,guess_account=9/60"


@pytest.fixture(scope="module")
async def limited(database_url, redis_url) -> AsyncIterator[httpx.AsyncClient]:
    """A shop that counts, behind a proxy that tells whose call it is."""
    settings = settings_for(
        database_url, redis_url, STOREFRONT_LIMITS=LIMITS, STOREFRONT_TRUSTED_PROXIES="127.0.0.0/8"
    )
    async with running_shop(settings) as client:
        yield client


async def join(client: httpx.AsyncClient, store: Store, *, address: str = "") -> Person:
    """Somebody who signs up, from a network of their own where no address is given."""
    address = address or f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"
    ada = Person(client, store)
    answer = await ada.call(
        "POST",
        "/customer/signup",
        {"username": "Ada", "email": ada.email, "password": ada.password},
        headers={"X-Forwarded-For": address},
    )
    assert answer.status_code == 200, answer.text
    return ada


async def guess(person: Person, address: str, *, password: str = OTHER_PASSWORD, agent: str = "bot") -> int:
    caller = person.elsewhere(password=password, agent=agent)
    answer = await caller.log_in(headers={"X-Forwarded-For": address})
    if answer.status_code == 429:
        assert answer.json()["code"] == "rate_limited"
        assert int(answer.headers["retry-after"]) >= 1
        # Of the limit that refused, and of no other one that let the call through.
        assert answer.headers["ratelimit-remaining"] == "0"
        assert answer.headers["ratelimit-reset"] == answer.headers["retry-after"]
    return answer.status_code


async def test_a_network_guesses_at_an_account_so_often_and_no_more(limited, store):
    ada = await join(limited, store)
    found = [await guess(ada, f"198.51.100.{n}") for n in range(6)]
    assert found == [401, 401, 401, 401, 429, 429]
    assert await guess(ada, "198.51.100.9", password=ada.password) == 429


async def test_guesses_at_once_are_counted_one_by_one(limited, store):
    ada = await join(limited, store)
    found = await asyncio.gather(*(guess(ada, "198.51.100.7") for _ in range(12)))
    assert sorted(found) == [401] * 4 + [429] * 8


async def test_an_address_without_account_is_counted_alike(limited, store):
    nobody = Person(limited, store, email=some_email())
    found = [await guess(nobody, "198.51.100.7") for _ in range(6)]
    assert found == [401, 401, 401, 401, 429, 429]


async def test_many_networks_together_end_too_but_never_shut_out_a_known_device(limited, store):
    ada = await join(limited, store, address="203.0.113.5")
    found = [await guess(ada, f"10.0.{n}.1") for n in range(12)]
    assert found == [401] * 9 + [429] * 3
    assert await guess(ada, "203.0.113.5", password=ada.password, agent="another device") == 429
    assert await guess(ada, "203.0.113.77", password=ada.password, agent=ada.agent) == 200


async def test_whoever_calls_themselves_what_the_owners_app_does_is_no_known_device(limited, store):
    ada = await join(limited, store)
    found = [await guess(ada, f"10.0.{n}.1", agent=ada.agent) for n in range(12)]
    assert found == [401] * 9 + [429] * 3


async def test_a_browser_is_known_wherever_it_goes(limited, store):
    ada = await join(limited, store)
    came = await ada.log_in(headers={"X-Session": "cookie", "X-Forwarded-For": "203.0.113.5"})
    mark = f"__Host-device={came.cookies['__Host-device']}"
    found = [await guess(ada, f"10.0.{n}.1") for n in range(12)]
    assert found[-1] == 429
    browser = ada.elsewhere(agent="a newer version")
    away = {"X-Session": "cookie", "X-Forwarded-For": "198.51.100.9", "Cookie": mark}
    assert (await browser.log_in(headers=away)).status_code == 200


async def test_a_stranger_in_another_network_costs_the_owner_nothing(limited, store):
    ada = await join(limited, store)
    for _ in range(6):
        await guess(ada, "198.51.100.7")
    assert await guess(ada, "203.0.113.5", password=ada.password) == 200


async def test_the_right_password_takes_back_what_was_wrong_before(limited, store):
    ada = await join(limited, store)
    for _ in range(3):
        assert [await guess(ada, "198.51.100.7"), await guess(ada, "198.51.100.7")] == [401, 401]
        assert await guess(ada, "198.51.100.7", password=ada.password, agent=ada.agent) == 200
        assert await guess(ada, "198.51.100.7", password=ada.password) == 200


async def test_whether_an_address_is_taken_is_told_so_often_and_no_more(limited, store):
    ada = Person(limited, store)
    found = []
    for n in range(5):
        answer = await ada.elsewhere().call(
            "POST",
            "/customer/signup",
            {"username": "Eve", "email": ada.email, "password": OTHER_PASSWORD},
            headers={"X-Forwarded-For": f"10.1.{n}.1"},
        )
        found.append(answer.status_code)
    assert found == [200, 422, 422, 429, 429]


class Away:
    """A counter that cannot be reached."""

    async def take(self, subject: str, *, calls: int, seconds: int):
        raise Unavailable("unavailable", "away")

    async def forget(self, subject: str) -> None:
        raise Unavailable("unavailable", "away")


async def test_nobody_guesses_while_guesses_cannot_be_counted():
    limits = GuessLimits((Limit("guess", 4, 60), Limit("guess_account", 9, 60)), Away())
    with pytest.raises(Unavailable):
        await limits.count(1, "ada@example.com", network="10.0.0.0/24")


async def test_without_limits_nothing_is_counted():
    limits = GuessLimits((), Away())
    await limits.forgive(await limits.count(1, "ada@example.com", network="10.0.0.0/24"))


async def test_stores_count_for_themselves():
    limits = GuessLimits((Limit("guess", 1, 60), Limit("guess_account", 9, 60)), LocalRateCounter())
    await limits.count(1, "ada@example.com", network="n")
    await limits.count(2, "ada@example.com", network="n")
    with pytest.raises(HttpError):
        await limits.count(1, "ada@example.com", network="n")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("198.51.100.77", "198.51.100.0/24"),
        ("::ffff:198.51.100.77", "198.51.100.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("unix", "unix"),
    ],
)
def test_a_network_is_what_one_person_is_likely_to_have(address, network):
    assert wide_network_of(address) == network


FORM = {"username": "Ada", "password": "correct horse battery"}
RESET = {
    "current_password": "not this one",
    "password": "another staple",
    "confirm_password": "another staple",
}


@pytest.fixture
async def narrow(database_url, redis_url) -> AsyncIterator[httpx.AsyncClient]:
    settings = settings_for(
        database_url,
        redis_url,
        STOREFRONT_LIMITS="signup=2/3600,password=2/600",
        STOREFRONT_TRUSTED_PROXIES="127.0.0.0/8",
    )
    async with running_shop(settings) as client:
        yield client


def network() -> dict[str, str]:
    return {"X-Forwarded-For": f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"}


async def test_a_form_with_a_fault_costs_no_try_of_signing_up(narrow, store):
    somebody, here = Person(narrow, store), network()

    async def sign_up(**more) -> int:
        body = FORM | {"email": some_email()} | more
        return (await somebody.call("POST", "/customer/signup", body, headers=here)).status_code

    for fault in ({"email": "ada"}, {"password": "short"}, {"username": " "}, {"country": "Nowhere"}):
        assert [await sign_up(**fault) for _ in range(3)] == [422] * 3
    assert [await sign_up() for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize(
    "fault", [{"confirm_password": "yet another"}, {"password": "password1", "confirm_password": "password1"}]
)
async def test_a_form_with_a_fault_costs_no_try_of_a_new_password(narrow, store, fault):
    somebody, here = Person(narrow, store), network()

    async def reset(**more) -> int:
        answer = await somebody.call("POST", "/customer/password/reset", RESET | more, headers=here)
        return answer.status_code

    assert [await reset(**fault) for _ in range(4)] == [422] * 4
    assert [await reset() for _ in range(3)] == [401, 401, 429]


async def test_closing_an_account_shares_no_limit_with_passwords(narrow, store):
    ada = Person(narrow, store)
    here = network()
    body = FORM | {"email": ada.email}
    ada.auth_key = (await ada.call("POST", "/customer/signup", body, headers=here)).json()["auth_key"]
    for _ in range(3):
        asked = await ada.call("POST", "/customer/password/forgot", {"email": ada.email}, headers=here)
    assert asked.status_code == 429
    assert (await ada.call("DELETE", "/customer", headers=here)).status_code == 204


async def test_a_refusal_says_in_words_when_to_come_again_and_in_seconds_beside(narrow, store):
    somebody, here = Person(narrow, store), network()
    for _ in range(3):
        body = FORM | {"email": some_email()}
        refused = await somebody.call("POST", "/customer/signup", body, headers=here)
    assert refused.json()["detail"] == "Too many calls of this kind; try again in about an hour."
    assert 3500 < int(refused.headers["retry-after"]) <= 3600
    assert refused.headers["ratelimit-limit"] == "2"


async def test_an_office_can_sign_up_and_each_address_is_tried_at_five_times(database_url, redis_url, store):
    settings = settings_for(
        database_url,
        redis_url,
        STOREFRONT_LIMITS="login=1000/60",
        STOREFRONT_TRUSTED_PROXIES="127.0.0.0/8",
    )
    async with running_shop(settings) as client:
        somebody, here = Person(client, store), network()

        async def sign_up(email: str) -> int:
            body = FORM | {"email": email}
            return (await somebody.call("POST", "/customer/signup", body, headers=here)).status_code

        assert [await sign_up(some_email()) for _ in range(8)] == [200] * 8
        known = some_email()
        assert [await sign_up(known) for _ in range(6)] == [200] + [422] * 4 + [429]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "in a second"),
        (40, "in 40 seconds"),
        (119.5, "in about 2 minutes"),
        (700, "in about 12 minutes"),
        (3_001, "in about an hour"),
        (3_600, "in about an hour"),
        (86_400, "in about 24 hours"),
    ],
)
def test_a_wait_is_said_as_people_say_it(seconds, words):
    assert in_words(seconds) == words
