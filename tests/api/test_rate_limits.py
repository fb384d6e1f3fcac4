"""How often one address may call: never more than the limit, said on every answer, and still so without Redis."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from litestar import Response, get, post
from litestar.params import RequestBody
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from app.api.answers import Answer
from app.api.client import network_of
from app.api.edge import create_edge
from app.api.openapi import document
from app.api.rate_limits import LIMIT, RateLimits
from app.api.request import ShopRequest
from app.domain.stores.models import Store
from app.integrations.embedded.redis import start_redis
from app.integrations.redis import Breaker, RedisDown, RedisGateway
from app.integrations.redis_limits import RedisRateCounter
from app.kit.rates import LocalRateCounter, RateCounter, Verdict
from app.main import create_app
from app.settings import LOOPBACK, Limit, Settings
from tests.api.live import free_port, serve
from tests.shop import running_shop, settings_for
from tests.standins.silent import silent_server

# Redis has 200 ms; the rest is for a machine that is busy with other things.
BUDGET_SECONDS = 0.35
FIND = {"order": "#1001", "email": "nobody@example.com"}

Make = Callable[[Callable[[], float]], RateCounter]


@pytest.fixture
async def gateway(redis_url: str) -> AsyncIterator[RedisGateway]:
    made = RedisGateway(redis_url, wait_seconds=5)  # how long it waits is tested below
    yield made
    await made.close()


@pytest.fixture(params=["local", "redis"])
def make(request: pytest.FixtureRequest, gateway: RedisGateway) -> Make:
    """Both counters keep the same promises."""
    if request.param == "local":
        return lambda clock: LocalRateCounter(clock=clock)
    return lambda clock: RedisRateCounter(gateway, clock=clock)


def subject() -> str:
    return f"test:{secrets.token_hex(8)}"


def source() -> str:
    """A loopback address of the test's own, so that tests never count each other's calls."""
    a, b, c = secrets.token_bytes(3)
    return f"127.{a}.{b}.{c % 250 + 2}"


# ---- counting


async def test_a_call_passes_again_when_the_oldest_one_has_left_the_window(make: Make) -> None:
    now = [1_000.0]
    counter, who = make(lambda: now[0]), subject()

    async def take() -> Verdict:
        return await counter.take(who, calls=3, seconds=10)

    assert await take() == Verdict(True, 2, 10.0)
    now[0] = 1_004.0
    assert await take() == Verdict(True, 1, 6.0)
    assert await take() == Verdict(True, 0, 6.0)
    assert await take() == Verdict(False, 0, 6.0)
    now[0] = 1_009.5
    assert await take() == Verdict(False, 0, 0.5)
    now[0] = 1_010.0
    assert await take() == Verdict(True, 0, 4.0)
    now[0] = 1_030.0
    assert await take() == Verdict(True, 2, 10.0)


async def test_no_span_of_the_window_sees_more_than_the_limit(make: Make) -> None:
    now = [500.0]
    counter, who = make(lambda: now[0]), subject()
    passed = []
    for step in range(200):
        now[0] = 500.0 + step / 4
        if (await counter.take(who, calls=7, seconds=5)).allowed:
            passed.append(now[0])
    assert len(passed) == 70
    assert all(sum(start <= at < start + 5 for at in passed) <= 7 for start in passed)


async def test_of_many_parallel_calls_exactly_the_limit_passes(make: Make) -> None:
    counter, who = make(time.time), subject()
    verdicts = await asyncio.gather(*(counter.take(who, calls=10, seconds=60) for _ in range(50)))
    assert sum(one.allowed for one in verdicts) == 10
    assert sorted(one.remaining for one in verdicts if one.allowed) == list(range(10))
    assert all(0 < one.reset <= 60 for one in verdicts)


async def test_control_reading_before_writing_lets_more_calls_pass(gateway: RedisGateway) -> None:
    key = f"naive:{subject()}"
    all_have_read = asyncio.Barrier(50)

    async def take() -> bool:
        count = int(await gateway.client.get(key) or 0)
        await all_have_read.wait()
        if count >= 10:
            return False
        await gateway.client.incr(key)
        await gateway.client.expire(key, 60)
        return True

    passed = await asyncio.gather(*(take() for _ in range(50)))
    assert sum(passed) > 10


async def test_two_processes_count_together_and_by_the_clock_of_redis(redis_url: str) -> None:
    gateways = [RedisGateway(redis_url, wait_seconds=5) for _ in range(2)]
    counters, who = [RedisRateCounter(one) for one in gateways], subject()
    try:
        verdicts = await asyncio.gather(
            *(counters[number % 2].take(who, calls=5, seconds=60) for number in range(30))
        )
        assert sum(one.allowed for one in verdicts) == 5
        life = await gateways[0].client.pttl(f"rate:{who}")
        assert 0 < life <= 60_000
    finally:
        for one in gateways:
            await one.close()


async def test_a_lowered_limit_holds_for_calls_counted_before(make: Make) -> None:
    now = [100.0]
    counter, who = make(lambda: now[0]), subject()
    for moment in (100.0, 101.0, 102.0, 103.0):
        now[0] = moment
        await counter.take(who, calls=10, seconds=20)
    # Of 4 counted calls 3 must leave before one of a limit of 2 passes: the third comes from 102.
    assert await counter.take(who, calls=2, seconds=20) == Verdict(False, 0, 19.0)
    now[0] = 122.0
    assert (await counter.take(who, calls=2, seconds=20)).allowed


async def test_counting_here_keeps_a_bounded_number_of_subjects() -> None:
    counter = LocalRateCounter(most_subjects=3)
    for name in ("a", "b", "c", "a", "d"):
        await counter.take(name, calls=2, seconds=60)
    assert not (await counter.take("a", calls=2, seconds=60)).allowed
    # The one that was seen least recently is forgotten.
    assert (await counter.take("b", calls=1, seconds=60)).allowed


# ---- what callers see


@get("/read")
async def read() -> dict[str, Any]:
    return {}


@post("/look", status_code=200, opt={LIMIT: "lookup"})
async def look() -> dict[str, Any]:
    return {}


@post("/write", status_code=200, opt={LIMIT: "forms"})
async def write(request: ShopRequest) -> dict[str, Any]:
    return {"length": len((await request.body()).decode())}


@post("/login", status_code=200, opt={LIMIT: "login"})
async def login() -> dict[str, Any]:
    return {}


class Note(msgspec.Struct):
    words: str


@post("/note", status_code=200, opt={LIMIT: "lookup"})
async def note(data: RequestBody[Note]) -> Response[str]:
    return Answer(data.words)


LIMITS_HERE = (Limit("lookup", 3, 60), Limit("forms", 2, 60), Limit("login", 2, 60))


@asynccontextmanager
async def callers(
    gateway: RedisGateway, folder: Path, *, trusted: Any = ()
) -> AsyncIterator[Callable[..., Awaitable[httpx.Response]]]:
    """Calls of a small limited application, all from one address."""
    rates = RateLimits(LIMITS_HERE, trusted=trusted, counter=RedisRateCounter(gateway))
    app = create_edge(
        Settings(data_dir=folder),
        route_handlers=[read, look, write, login, note],
        checks={},
        guards=[rates.guard],
    )
    transport = httpx.AsyncHTTPTransport(local_address=source())
    async with serve(app) as url, httpx.AsyncClient(base_url=url, transport=transport) as client:

        async def call(path: str, *, content: bytes | None = None, **headers: str) -> httpx.Response:
            if path == "/read":
                return await client.get(path, headers=headers)
            return await client.post(path, content=content, headers=headers)

        yield call


async def test_answers_say_what_is_left_and_a_refusal_when_to_come_again(
    gateway: RedisGateway, tmp_path: Path
) -> None:
    async with callers(gateway, tmp_path) as call:
        for left in ("2", "1", "0"):
            answer = await call("/look")
            assert answer.status_code == 200
            assert answer.headers["ratelimit-limit"] == "3"
            assert answer.headers["ratelimit-remaining"] == left
            assert 59 <= int(answer.headers["ratelimit-reset"]) <= 60
        refused = await call("/look")
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["code"] == "rate_limited"
        assert refused.json()["type"] == "/docs/errors#rate_limited"
        assert refused.headers["ratelimit-remaining"] == "0"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["retry-after"] == refused.headers["ratelimit-reset"]
        assert refused.headers["x-content-type-options"] == "nosniff"


async def test_each_class_counts_for_itself_and_reads_are_not_counted(
    gateway: RedisGateway, tmp_path: Path
) -> None:
    async with callers(gateway, tmp_path) as call:
        statuses = [(await call("/look")).status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        assert (await call("/login")).status_code == 200
        for _ in range(10):
            answer = await call("/read")
            assert answer.status_code == 200
            assert "ratelimit-limit" not in answer.headers


async def test_a_call_that_fails_is_counted_and_says_so(gateway: RedisGateway, tmp_path: Path) -> None:
    async with callers(gateway, tmp_path) as call:
        failed = await call("/write", content=b"\xff", **{"content-type": "application/json"})
        assert failed.status_code >= 400
        assert failed.headers["ratelimit-remaining"] == "1"
        assert "retry-after" not in failed.headers


async def test_a_call_that_announces_a_body_and_has_none_is_counted_once(
    gateway: RedisGateway, tmp_path: Path
) -> None:
    async with callers(gateway, tmp_path) as call:
        for length, status, left in (("00", 422, "2"), (None, 200, "1")):
            headers = {"content-type": "application/json"} | ({"content-length": length} if length else {})
            content = None if length else b'{"words": "hello"}'
            answer = await call("/note", content=content, **headers)
            assert (answer.status_code, answer.headers["ratelimit-remaining"]) == (status, left), length


async def test_parallel_calls_over_http_never_pass_more_than_the_limit(
    gateway: RedisGateway, tmp_path: Path
) -> None:
    async with callers(gateway, tmp_path) as call:
        answers = await asyncio.gather(*(call("/look") for _ in range(40)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 37


async def test_a_forwarded_address_counts_only_from_a_trusted_proxy(
    gateway: RedisGateway, tmp_path: Path
) -> None:
    def forwarded(number: int) -> dict[str, str]:
        return {"x-forwarded-for": f"198.51.{number}.{secrets.randbelow(250) + 1}"}

    async with callers(gateway, tmp_path) as call:
        with capture_logs() as written:
            found = [(await call("/look", **forwarded(number))).status_code for number in range(5)]
        assert found == [200, 200, 200, 429, 429]
        # Whoever runs the shop behind a proxy has to learn that its callers are held for one; once is enough.
        assert sum("STOREFRONT_TRUSTED_PROXIES" in line["event"] for line in written) == 1
    block = f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}"
    async with callers(gateway, tmp_path, trusted=LOOPBACK) as call:
        # One household: every address of a /64, however it is written.
        for number, status in ((1, 200), (2, 200), (3, 200), (4, 429)):
            answer = await call("/look", **{"x-forwarded-for": f"{block.upper()}::{number}"})
            assert answer.status_code == status
        neighbour = await call("/look", **{"x-forwarded-for": f"2001:db8:ffff:{secrets.token_hex(2)}::1"})
        assert neighbour.status_code == 200


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:DB8:0:1::9", "2001:db8:0:1::/64"),
        ("[2001:db8::9]", "2001:db8::/64"),
        ("no address", "no address"),
    ],
)
def test_an_address_is_counted_as_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_an_application_with_an_unknown_class_does_not_start(tmp_path: Path) -> None:
    @post("/typo", opt={LIMIT: "lokup"})
    async def typo() -> None: ...

    with pytest.raises(TypeError, match="lokup"):
        create_edge(Settings(data_dir=tmp_path), route_handlers=[typo], checks={})


# ---- Redis away


@pytest.fixture(params=["gone", "frozen"])
async def away(request: pytest.FixtureRequest) -> AsyncIterator[RedisGateway]:
    if request.param == "gone":
        made = RedisGateway(f"redis://127.0.0.1:{free_port()}")
        yield made
        await made.close()
        return
    async with silent_server() as port:
        made = RedisGateway(f"redis://127.0.0.1:{port}")
        yield made
        await made.close()


async def test_without_redis_each_process_counts_for_itself(away: RedisGateway, tmp_path: Path) -> None:
    async with callers(away, tmp_path) as call:
        for status, left in ((200, "2"), (200, "1"), (200, "0"), (429, "0")):
            began = time.monotonic()
            answer = await call("/look")
            assert time.monotonic() - began < BUDGET_SECONDS
            assert answer.status_code == status
            assert answer.headers["ratelimit-remaining"] == left
        assert int(answer.headers["retry-after"]) >= 1


async def test_without_redis_nobody_can_try_passwords(away: RedisGateway, tmp_path: Path) -> None:
    async with callers(away, tmp_path) as call:
        began = time.monotonic()
        answer = await call("/login")
        assert time.monotonic() - began < BUDGET_SECONDS
        assert answer.status_code == 503
        assert answer.json()["code"] == "unavailable"
        assert int(answer.headers["retry-after"]) >= 1


async def test_after_some_failures_nobody_waits_for_redis(away: RedisGateway, tmp_path: Path) -> None:
    async with callers(away, tmp_path) as call:
        await asyncio.gather(*(call("/look") for _ in range(10)))
        assert away.breaker.is_open
        began = time.monotonic()
        for _ in range(20):
            assert (await call("/look")).status_code == 429
        # One of them may have been the probe.
        assert time.monotonic() - began < 2 * BUDGET_SECONDS


@pytest.mark.parametrize("setting", ["maxmemory", "min-replicas-to-write"])
async def test_a_redis_that_takes_no_writes_is_as_good_as_away(tmp_path: Path, setting: str) -> None:
    server = await asyncio.to_thread(start_redis, tmp_path / "redis")
    gateway = RedisGateway(server.url, wait_seconds=5, breaker=Breaker(failures=100))
    try:
        await gateway.client.config_set(setting, "1")
        async with callers(gateway, tmp_path) as call:
            assert [(await call("/look")).status_code for _ in range(4)] == [200, 200, 200, 429]
            assert (await call("/login")).status_code == 503
        await gateway.client.config_set(setting, "0")
        async with callers(gateway, tmp_path) as call:
            assert (await call("/login")).status_code == 200
    finally:
        await gateway.close()
        await asyncio.to_thread(server.stop)


async def test_only_what_redis_may_get_over_counts_as_away(gateway: RedisGateway) -> None:
    async def fail(message: str) -> None:
        raise ResponseError(message)

    with pytest.raises(RedisDown):
        await gateway.run(lambda _: fail("MISCONF Redis is configured to save RDB snapshots, but cannot"))
    with pytest.raises(ResponseError):
        await gateway.run(lambda _: fail("WRONGTYPE a mistake of ours"))


# ---- the whole shop


async def test_looking_for_orders_is_limited_whatever_is_looked_for(
    database_url: str, redis_url: str, store: Store
) -> None:
    settings = settings_for(
        database_url,
        redis_url,
        STOREFRONT_LIMITS="lookup=4/60",
        STOREFRONT_TRUSTED_PROXIES="127.0.0.0/8",
    )
    headers = {"X-Store": store.code, "X-Forwarded-For": source().replace("127", "10", 1)}
    async with running_shop(settings) as client:
        for left in ("3", "2"):
            found = await client.post("/storefront/v1/orders/find", json=FIND, headers=headers)
            assert (found.status_code, found.headers["ratelimit-remaining"]) == (204, left)
        link = {"uuid": secrets.token_urlsafe(32)}
        for left in ("1", "0"):
            opened = await client.post("/storefront/v1/orders/1/access", json=link, headers=headers)
            assert (opened.status_code, opened.headers["ratelimit-remaining"]) == (404, left)
        for path, body in (("find", FIND), ("1/access", link)):
            refused = await client.post(f"/storefront/v1/orders/{path}", json=body, headers=headers)
            assert refused.status_code == 429
            assert refused.json()["code"] == "rate_limited"
        # Others, and other calls, go on.
        headers["X-Forwarded-For"] = source().replace("127", "10", 1)
        assert (
            await client.post("/storefront/v1/orders/find", json=FIND, headers=headers)
        ).status_code == 204
        page = await client.get("/storefront/v1/products", headers=headers)
        assert page.status_code == 200
        assert "ratelimit-limit" not in page.headers


async def test_whoever_tries_codes_by_opening_checkouts_has_no_more_tries(
    database_url: str, redis_url: str, store: Store
) -> None:
    settings = settings_for(
        database_url,
        redis_url,
        STOREFRONT_LIMITS="coupon=2/60",
        STOREFRONT_TRUSTED_PROXIES="127.0.0.0/8",
    )
    headers = {"X-Store": store.code, "X-Forwarded-For": source().replace("127", "10", 1)}
    cart = {"cart_uuid": str(uuid4())}
    async with running_shop(settings) as client:
        for status in (404, 404, 429):
            tried = await client.post(
                "/storefront/v1/checkout", json={**cart, "coupon": "GUESS"}, headers=headers
            )
            assert (tried.status_code, tried.headers["ratelimit-limit"]) == (status, "2")
        tried = await client.post(
            "/storefront/v1/cart/coupon", json={**cart, "code": "GUESS"}, headers=headers
        )
        assert tried.status_code == 429
        without = await client.post("/storefront/v1/checkout", json=cart, headers=headers)
        assert (without.status_code, without.headers["ratelimit-limit"]) == (404, "600")


async def test_off_counts_nothing(client: httpx.AsyncClient, store: Store) -> None:
    for _ in range(15):
        found = await client.post("/storefront/v1/orders/find", json=FIND, headers={"X-Store": store.code})
        assert found.status_code == 204
        assert "ratelimit-limit" not in found.headers


def test_the_document_names_each_limited_call(database_url: str, redis_url: str) -> None:
    app = create_app(settings_for(database_url, redis_url))
    told = document(app)
    limited = set()
    for methods in told["paths"].values():
        for operation in methods.values():
            if isinstance(operation, dict) and "429" in operation.get("responses", {}):
                limited.add(operation["operationId"])
                fine = [answer for status, answer in operation["responses"].items() if status[0] in "23"]
                assert fine
                assert all("RateLimit-Remaining" in answer["headers"] for answer in fine)
    assert {"findOrder", "openOrder", "openCheckout", "payCheckout"} <= limited
    assert not {"getOrder", "getCart", "listProducts"} & limited
    refusal = told["components"]["responses"]["RateLimited"]
    assert set(refusal["headers"]) == {
        "RateLimit-Limit",
        "RateLimit-Remaining",
        "RateLimit-Reset",
        "Retry-After",
    }
    for header in refusal["headers"].values():
        assert header["$ref"].rpartition("/")[2] in told["components"]["headers"]
