"""Redis killed, frozen, slow, emptied or full while people buy: guests notice nothing.

A customer's own cart is the call that needs Redis, for nobody else's will do: with Redis away its answer is a
quick 503.
"""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import httpx
import pytest
from redis.asyncio import Redis

from app.domain.customers.sessions import SessionLimits
from app.integrations.redis import RedisGateway
from app.integrations.redis_sessions import RedisSessions
from app.kit.clock import utc_now
from tests.faults import truth
from tests.faults.drill_kills import until_more_is_bought
from tests.faults.form import Form
from tests.faults.parts import wait_until
from tests.faults.place import Place, times
from tests.faults.shoppers import FINE, crowd, webhooks
from tests.figures import Say

PEOPLE = 3
ASKED = 10
SOON_SECONDS = 1.0  # what an answer may take that is "no"


@asynccontextmanager
async def killed(place: Place) -> AsyncIterator[None]:
    place.stage.redis.process.send_signal(signal.SIGKILL)
    await place.stage.stop_redis()
    yield
    await place.stage.start_redis()


@asynccontextmanager
async def frozen(place: Place) -> AsyncIterator[None]:
    place.stage.redis.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        place.stage.redis.process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def slow(place: Place) -> AsyncIterator[None]:
    place.redis.delay = SOON_SECONDS
    try:
        yield
    finally:
        place.redis.mend()


@asynccontextmanager
async def emptied(place: Place) -> AsyncIterator[None]:
    async with past_the_line(place) as client:
        await client.flushall()
    yield


@asynccontextmanager
async def full(place: Place) -> AsyncIterator[None]:
    async with past_the_line(place) as client:
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("maxmemory", "1")
        try:
            yield
        finally:
            await client.config_set("maxmemory", "0")


@asynccontextmanager
async def past_the_line(place: Place) -> AsyncIterator[Redis]:
    client: Redis = Redis.from_url(place.stage.redis.url)
    try:
        yield client
    finally:
        await client.aclose()


Fault = Callable[[Place], AbstractAsyncContextManager[None]]
# What a customer meets meanwhile, and whether their session is there afterwards. A full Redis can still be read.
FAULTS: list[tuple[Fault, str, bool]] = [
    (killed, "asked to come back", False),
    (frozen, "asked to come back", True),
    (slow, "asked to come back", True),
    (emptied, "told that their login has ended", False),
    (full, "known", True),
]


@pytest.mark.parametrize(
    ("fault", "customer", "stays"), FAULTS, ids=[fault.__name__ for fault, _, _ in FAULTS]
)
async def test_guests_keep_buying_whatever_becomes_of_redis(
    place: Place, form: Form, fault: Fault, customer: str, stays: bool, figure: Say
) -> None:
    stage = place.stage
    await stage.until_ready()
    before = place.running()
    began = len(stage.acknowledged)
    rounds = max(1, form.restarts // 2)
    slowest = 0.0
    seed = random.Random(fault.__name__).randrange(10**6)
    async with webhooks(stage), crowd(stage, people=PEOPLE, seed=seed) as load:
        for number in range(1, rounds + 1):
            headers = await log_in(place, number)
            cart = await find_cart(place, headers)
            async with fault(place):
                # At once, before anybody else has found out.
                answers = await asyncio.gather(*(own_cart(place, headers) for _ in range(ASKED)))
                await truth.check_that_guests_buy(stage)
                await until_more_is_bought(stage, load, PEOPLE)
                answers += [await own_cart(place, headers) for _ in range(ASKED)]
            for answer in answers:
                check_answer(answer, customer, cart)
                slowest = max(slowest, answer.elapsed.total_seconds())
            away = customer == "asked to come back"
            assert away or any(answer.status_code != 503 for answer in answers), "Redis is there"
            fresh = headers if stays else await log_in(place, number)
            await wait_until(
                partial(is_served, place, fresh, cart), "the customer is served", said=stage.said
            )
    assert set(load.heard) <= FINE, load.heard
    assert place.running() == before, "no process of the shop was started anew"
    found = await truth.check(stage)
    assert len(stage.acknowledged) - began == load.bought
    figure(
        f"Redis {fault.__name__} {times(rounds)} under load",
        f"{load.bought} bought meanwhile, no guest refused, a customer is {customer} within {slowest:.1f} s; {found}",
    )


async def log_in(place: Place, customer_id: int) -> dict[str, str]:
    """What the browser of a customer sends who has just logged in."""
    gateway = RedisGateway(place.stage.redis.url, wait_seconds=5)
    try:
        sessions = RedisSessions(gateway, SessionLimits())
        made = await sessions.start(
            place.stage.store.id, customer_id, remember=True, device="", now=utc_now()
        )
    finally:
        await gateway.close()
    return {"Authorization": f"Bearer {made.token}", "X-Store": place.stage.store.code}


async def own_cart(place: Place, headers: dict[str, str]) -> httpx.Response:
    wanted = {"product_id": place.stage.variants[0], "quantity": 1}
    return await place.stage.client.post("/storefront/v1/cart/items", json=wanted, headers=headers)


async def find_cart(place: Place, headers: dict[str, str]) -> str:
    """The uuid of the customer's cart. A process may not have noticed yet that Redis is back from the last round."""
    carts: list[str] = []

    async def found() -> bool:
        answer = await own_cart(place, headers)
        if answer.status_code == 200:
            carts.append(answer.json()["cart_uuid"])
        return bool(carts)

    await wait_until(found, "the customer is served", said=place.stage.said)
    return carts[0]


def check_answer(answer: httpx.Response, customer: str, cart: str) -> None:
    """With Redis away no cart of anybody else is opened for a customer; one that is slow for a moment is away, too."""
    if answer.status_code == 503:
        assert answer.json()["code"] == "unavailable"
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.elapsed.total_seconds() < SOON_SECONDS
    elif answer.status_code == 401:
        assert customer == "told that their login has ended"
        assert answer.json()["code"] == "session_ended"
    else:
        assert answer.status_code == 200, answer.text
        assert customer == "known"
        assert answer.json()["cart_uuid"] == cart


async def is_served(place: Place, headers: dict[str, str], cart: str) -> bool:
    answer = await own_cart(place, headers)
    assert answer.status_code in (200, 503), answer.text
    return answer.status_code == 200 and answer.json()["cart_uuid"] == cart
