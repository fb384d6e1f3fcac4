"""Who is asking: ids that are never adopted, limits, parallel changes, and the rule against forged calls."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.customers.sessions import MOST_PER_CUSTOMER, NewSession, SessionLimits
from app.integrations.embedded.redis import embedded_redis
from app.integrations.redis import RedisGateway
from app.integrations.redis_sessions import RedisSessions
from app.kit.ids import digest, new_token
from app.settings import Settings
from tests.api.live import serve
from tests.standins.sessions_app import sessions_app

START = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
LIMITS = SessionLimits(idle=3600, idle_remembered=86_400, whole=7200, whole_remembered=172_800)
CART = "0b9ab1c5-1e7c-4bb5-8a0e-3f3c3b2b7c11"


def later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisGateway]:
    async with embedded_redis(tmp_path_factory.mktemp("redis")) as url:
        gateway = RedisGateway(url, wait_seconds=5)  # how long is patient enough is tested elsewhere
        yield gateway
        await gateway.close()


@pytest.fixture
async def store(gateway: RedisGateway) -> RedisSessions:
    await gateway.client.flushdb()
    return RedisSessions(gateway, LIMITS)


async def start(
    store: RedisSessions, customer_id: int = 7, *, remember: bool = False, now: datetime = START
) -> NewSession:
    return await store.start(1, customer_id, remember=remember, device="a phone", now=now)


async def test_a_session_says_who_is_logged_in(store: RedisSessions) -> None:
    made = await start(store)
    found = await store.find(1, made.token, now=later(1))
    assert found == made.session
    assert (found.customer_id, found.device, found.ends_at) == (7, "a phone", later(7200))


async def test_an_id_that_was_not_issued_is_refused_and_leaves_nothing_behind(
    store: RedisSessions, gateway: RedisGateway
) -> None:
    for planted in (new_token(), "", "x", "a" * 5000, "../" * 14 + "a", new_token() + "\n"):
        assert await store.find(1, planted, now=START) is None
        assert not await store.end(1, planted)
    assert await gateway.client.dbsize() == 0


async def test_a_login_never_takes_up_the_id_that_was_presented(store: RedisSessions) -> None:
    planted = new_token()
    made = await store.start(1, 7, remember=True, device="", now=START, replaces=planted)
    assert made.token != planted
    assert await store.find(1, planted, now=START) is None


async def test_redis_holds_a_digest_and_never_the_secret(store: RedisSessions, gateway: RedisGateway) -> None:
    made = await start(store)
    keys = sorted(await gateway.client.keys("*"))
    assert keys == [f"session:1:{digest(made.token).hex()}".encode(), b"sessions:1:7"]
    dump = [await gateway.client.hgetall(keys[0]), await gateway.client.zrange(keys[1], 0, -1)]
    assert made.token not in repr(dump)


async def test_a_session_of_one_store_is_nobody_in_another(store: RedisSessions) -> None:
    made = await start(store)
    assert await store.find(2, made.token, now=START) is None
    assert await store.list_sessions(2, 7, now=START) == []


async def test_a_new_login_ends_the_session_it_replaces_whosever_it_was(store: RedisSessions) -> None:
    before = await start(store, 6)
    made = await store.start(1, 7, remember=False, device="", now=START, replaces=before.token)
    assert await store.find(1, before.token, now=START) is None
    assert await store.list_sessions(1, 6, now=START) == []
    assert await store.list_sessions(1, 7, now=START) == [made.session]


@pytest.mark.parametrize(("remember", "idle", "whole"), [(False, 3600, 7200), (True, 86_400, 172_800)])
async def test_a_session_ends_idle_and_ends_for_good(
    store: RedisSessions, remember: bool, idle: int, whole: int
) -> None:
    idles = await start(store, remember=remember)
    assert await store.find(1, idles.token, now=later(idle)) is None
    busy = await start(store, remember=remember)
    for share in range(1, 10):
        assert await store.find(1, busy.token, now=later(whole * share / 10)) is not None
    assert await store.find(1, busy.token, now=later(whole)) is None


async def test_redis_forgets_a_session_by_itself(store: RedisSessions, gateway: RedisGateway) -> None:
    made = await start(store)
    left = await gateway.client.pttl(f"session:1:{made.session.id}")
    assert 3_590_000 < left <= 3_600_000
    assert 7_190_000 < await gateway.client.pttl("sessions:1:7") <= 7_200_000
    await store.find(1, made.token, now=later(6000))
    await store.find(1, made.token, now=later(3000))
    assert await gateway.client.pttl(f"session:1:{made.session.id}") > 3_500_000
    await store.find(1, made.token, now=later(6500))
    assert await gateway.client.pttl(f"session:1:{made.session.id}") <= 700_000


async def test_a_read_writes_only_when_a_share_of_the_idle_life_has_passed(
    store: RedisSessions, gateway: RedisGateway
) -> None:
    made = await start(store)
    key = f"session:1:{made.session.id}"
    await store.find(1, made.token, now=later(359))
    assert await gateway.client.hget(key, "seen") == str(int(START.timestamp() * 1000)).encode()
    await store.find(1, made.token, now=later(400))
    assert await gateway.client.hget(key, "seen") == str(int(later(400).timestamp() * 1000)).encode()


async def test_parallel_renewals_keep_the_latest_and_lose_nothing(
    store: RedisSessions, gateway: RedisGateway
) -> None:
    made = await start(store)
    before = await gateway.client.hgetall(f"session:1:{made.session.id}")
    moments = [later(1000 + step) for step in range(60)]
    found = await asyncio.gather(*(store.find(1, made.token, now=moment) for moment in reversed(moments)))
    assert None not in found
    after = await gateway.client.hgetall(f"session:1:{made.session.id}")
    assert after.pop(b"seen") == str(int(moments[-1].timestamp() * 1000)).encode()
    before.pop(b"seen")
    assert after == before


async def test_a_renewal_never_brings_an_ended_session_back(
    store: RedisSessions, gateway: RedisGateway
) -> None:
    for _ in range(20):
        made = await start(store)
        finds = [store.find(1, made.token, now=later(1000 + step)) for step in range(5)]
        await asyncio.gather(*finds[:2], store.end(1, made.token), *finds[2:])
        assert await store.find(1, made.token, now=later(2000)) is None
    assert await gateway.client.keys("session:*") == []


async def test_a_customer_sees_and_ends_own_sessions_only(store: RedisSessions) -> None:
    first, second = await start(store), await start(store, now=later(10))
    others = await start(store, 8)
    listed = await store.list_sessions(1, 7, now=later(20))
    assert [one.id for one in listed] == [second.session.id, first.session.id]
    assert not await store.end_one(1, 7, others.session.id)
    assert not await store.end_one(1, 7, "nothing")
    assert await store.end_one(1, 7, first.session.id)
    assert await store.find(1, first.token, now=later(20)) is None
    assert await store.find(1, others.token, now=later(20)) is not None


async def test_all_other_sessions_end_at_once(store: RedisSessions) -> None:
    made = [await start(store) for _ in range(5)]
    others = await start(store, 8)
    assert await store.end_all_but(1, 7, made[2].session.id) == 4
    assert await store.list_sessions(1, 7, now=START) == [made[2].session]
    assert await store.end_all_but(1, 7, None) == 1
    assert await store.find(1, made[2].token, now=START) is None
    assert await store.find(1, others.token, now=START) is not None


async def test_a_customer_holds_a_bounded_number_of_sessions(store: RedisSessions) -> None:
    made = [await start(store, now=later(step)) for step in range(MOST_PER_CUSTOMER + 3)]
    kept = await store.list_sessions(1, 7, now=later(60))
    assert {one.id for one in kept} == {one.session.id for one in made[3:]}


async def test_a_device_name_is_cut_and_cleaned(store: RedisSessions) -> None:
    made = await store.start(1, 7, remember=False, device="Fire\nfox\0" + "x" * 500, now=START)
    found = await store.find(1, made.token, now=START)
    assert found is not None
    assert found.device.startswith("Firefoxxx")
    assert len(found.device) == 200


# --- over HTTP


@pytest.fixture(scope="module")
async def shop(gateway: RedisGateway, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    settings = Settings(
        data_dir=Path(tmp_path_factory.mktemp("data")),
        public_url="https://shop.example",
        allowed_origins=("https://app.example",),
    )
    async with serve(sessions_app(settings, RedisSessions(gateway, SessionLimits()))) as url:
        yield url


@pytest.fixture
async def client(shop: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=shop) as client:
        yield client


async def log_in(client: httpx.AsyncClient, customer_id: int = 7) -> str:
    auth_key: str = (await client.post(f"/login/{customer_id}")).json()["auth_key"]
    return auth_key


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def cookie(token: str) -> dict[str, str]:
    return {"Cookie": f"theme=dark; __Host-storefront={token}"}


@pytest.mark.parametrize("carry", [bearer, cookie])
async def test_a_login_opens_what_is_the_customers(client: httpx.AsyncClient, carry: Any) -> None:
    token = await log_in(client)
    assert (await client.get("/mine", headers=carry(token))).json() == {"customer_id": 7}
    who = (await client.get("/who", headers=carry(token))).json()
    assert who == {"kind": "customer", "customer_id": 7, "via": carry.__name__}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("A" * 43),
        bearer("nonsense"),
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer a b"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        cookie("A" * 43),
        {"Cookie": "__Host-storefront"},
        {"Cookie": "; =;;__Host-storefront="},
    ],
)
async def test_without_a_valid_proof_the_customers_calls_answer_401(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await client.get("/mine", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "login_required")
    sent = headers.get("Authorization", "").lower().startswith("bearer")
    told = ', error="invalid_token"' if sent else ""
    assert answer.headers["www-authenticate"] == f'Bearer realm="storefront"{told}'
    assert ("has ended" in answer.json()["detail"]) == sent
    # By bearer it was sent on purpose, and is not taken for a guest's call; a cookie comes along by itself.
    kind = "ended" if sent else "guest"
    assert (await client.get("/who", headers=headers)).json()["kind"] == kind


async def test_a_worthless_bearer_hides_a_good_cookie(client: httpx.AsyncClient) -> None:
    token = await log_in(client)
    headers = {**cookie(token), **bearer("A" * 43)}
    assert (await client.get("/mine", headers=headers)).status_code == 401


async def test_two_different_session_cookies_count_as_none(client: httpx.AsyncClient) -> None:
    mine, planted = await log_in(client), await log_in(client, 8)
    both = {"Cookie": f"__Host-storefront={planted}; __Host-storefront={mine}"}
    assert (await client.get("/mine", headers=both)).status_code == 401


async def test_a_login_by_cookie_answers_no_auth_key_and_a_host_cookie(client: httpx.AsyncClient) -> None:
    plain = await client.post("/login/7")
    assert "set-cookie" not in plain.headers
    answer = await client.post("/login/7", headers={"X-Session": "cookie"})
    assert answer.json() == {"auth_key": ""}
    found = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("__Host-storefront="))
    attributes = {part.strip().lower() for part in found.split(";")[1:]}
    assert {"secure", "httponly", "samesite=lax", "path=/", "max-age=600"} <= attributes
    assert not any(part.startswith("domain") for part in attributes)


async def test_a_planted_cookie_is_not_taken_up_by_a_login(client: httpx.AsyncClient) -> None:
    planted = new_token()
    headers = {**cookie(planted), "Origin": "https://shop.example", "X-Session": "cookie"}
    answer = await client.post("/login/7", headers=headers)
    assert answer.status_code == 200
    assert planted not in answer.headers["set-cookie"]
    assert (await client.get("/mine", headers=cookie(planted))).status_code == 401


async def test_a_logout_ends_whichever_was_used(client: httpx.AsyncClient) -> None:
    token, other = await log_in(client), await log_in(client)
    answer = await client.post("/logout", headers=bearer(token))
    assert answer.status_code == 204
    assert (await client.get("/mine", headers=bearer(token))).status_code == 401
    assert (await client.get("/mine", headers=bearer(other))).status_code == 200


FORGERY = [
    ({}, False),
    ({"Origin": "https://shop.example"}, True),
    ({"Origin": "https://SHOP.example:443"}, True),
    ({"Origin": "https://app.example"}, True),
    ({"Origin": "https://shop.example.evil.test"}, False),
    ({"Origin": "http://shop.example"}, False),
    ({"Origin": "https://shop.example:8443"}, False),
    ({"Origin": "https://shop.example@evil.test"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": ""}, False),
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.test"}, False),
    ({"Sec-Fetch-Site": "none"}, False),
    ({"Referer": "https://shop.example/cart"}, False),
    ({"Host": "second.example", "Origin": "https://second.example"}, True),
    ({"Host": "second.example", "Origin": "http://second.example"}, False),
]


@pytest.mark.parametrize(("headers", "believed"), FORGERY)
async def test_a_changing_call_on_a_cookie_must_come_from_the_shops_own_pages(
    client: httpx.AsyncClient, headers: dict[str, str], believed: bool
) -> None:
    token = await log_in(client)
    by_session = await client.post("/who", headers={**headers, **cookie(token)})
    by_cart = await client.post("/cart", headers={**headers, "Cookie": f"__Host-cart={CART}"})
    for answer in (by_session, by_cart):
        assert answer.status_code == (200 if believed else 403)
        assert believed or answer.json()["code"] == "csrf_refused"
    # Neither a read, nor a bearer, nor a cart that is named in the call rests on a cookie.
    assert (await client.get("/who", headers={**headers, **cookie(token)})).status_code == 200
    by_bearer = await client.post("/who", headers={**headers, **cookie(token), **bearer(token)})
    assert by_bearer.json()["via"] == "bearer"
    named = await client.post(
        "/cart", params={"cart_uuid": CART}, headers={**headers, "Cookie": f"__Host-cart={CART}"}
    )
    assert named.json() == {"cart_uuid": CART}


async def test_two_origins_are_none(client: httpx.AsyncClient) -> None:
    token = await log_in(client)
    headers = [("Origin", "https://shop.example"), ("Origin", "https://evil.test"), *cookie(token).items()]
    assert (await client.post("/who", headers=headers)).status_code == 403
