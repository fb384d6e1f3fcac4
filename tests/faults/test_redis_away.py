"""Redis gone, frozen, restarted or emptied: nobody waits for it, and only the customer's own calls stop."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.domain.customers.sessions import SessionLimits
from app.integrations.embedded.redis import start_redis
from app.integrations.redis import FAILURES, WAIT_SECONDS, Breaker, RedisDown, RedisGateway
from app.integrations.redis_sessions import RedisSessions
from app.kit.clock import utc_now
from app.kit.ids import new_token
from app.settings import Settings
from tests.api.live import free_port, serve
from tests.standins.sessions_app import sessions_app
from tests.standins.silent import silent_server

# The limit is 200 ms; the rest is for a machine that is busy with other things.
BUDGET_SECONDS = 0.35


@pytest.fixture(params=["gone", "frozen"])
async def away(request: pytest.FixtureRequest) -> AsyncIterator[RedisGateway]:
    if request.param == "gone":
        gateway = RedisGateway(f"redis://127.0.0.1:{free_port()}")
        yield gateway
        await gateway.close()
        return
    async with silent_server() as port:
        gateway = RedisGateway(f"redis://127.0.0.1:{port}")
        yield gateway
        await gateway.close()


async def test_a_call_fails_within_the_budget(away: RedisGateway) -> None:
    began = time.monotonic()
    with pytest.raises(RedisDown) as refused:
        await away.ping()
    assert time.monotonic() - began < BUDGET_SECONDS
    assert refused.value.retry_after >= 1


async def test_after_some_failures_nobody_waits_at_all(away: RedisGateway) -> None:
    await asyncio.gather(*(away.ping() for _ in range(20)), return_exceptions=True)
    assert away.breaker.is_open
    began = time.monotonic()
    for _ in range(50):
        with pytest.raises(RedisDown):
            await away.ping()
    # One of them may have been the probe.
    assert time.monotonic() - began < BUDGET_SECONDS


async def test_an_answer_that_came_while_the_process_was_kept_from_running_is_heard(tmp_path: Path) -> None:
    def keep_from_running() -> None:
        time.sleep(WAIT_SECONDS + 0.05)

    async def keep_busy() -> None:
        for _ in range(3):
            keep_from_running()
            await asyncio.sleep(0)

    server = await asyncio.to_thread(start_redis, tmp_path)
    gateway = RedisGateway(server.url)
    try:
        await gateway.ping()
        await asyncio.gather(gateway.ping(), keep_busy())
        assert not gateway.breaker.is_open
    finally:
        await gateway.close()
        await asyncio.to_thread(server.stop)


async def test_guests_go_on_and_the_customers_own_calls_answer_503(
    away: RedisGateway, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, public_url="https://shop.example")
    store = RedisSessions(away, SessionLimits())
    headers = {"Authorization": f"Bearer {new_token()}"}
    async with (
        serve(sessions_app(settings, store)) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        for path, found in (("/catalogue", 200), ("/who", 200), ("/mine", 503)):
            began = time.monotonic()
            answer = await client.get(path, headers=headers)
            assert answer.status_code == found
            assert time.monotonic() - began < BUDGET_SECONDS
        assert answer.json()["code"] == "unavailable"
        assert int(answer.headers["retry-after"]) >= 1
        assert (await client.get("/who", headers=headers)).json()["kind"] == "unknown"
        # Without a proof there is nothing to look up, and the answer is the usual one.
        assert (await client.get("/who")).json()["kind"] == "guest"
        assert (await client.get("/mine")).status_code == 401


async def test_a_restarted_redis_is_found_again_and_has_forgotten_the_sessions(tmp_path: Path) -> None:
    clock = [0.0]
    server = await asyncio.to_thread(start_redis, tmp_path)
    gateway = RedisGateway(server.url, breaker=Breaker(failures=2, clock=lambda: clock[0]))
    store = RedisSessions(gateway, SessionLimits())
    try:
        made = await store.start(1, 7, remember=True, device="", now=utc_now())
        await asyncio.gather(*(store.find(1, made.token, now=utc_now()) for _ in range(10)))
        await asyncio.to_thread(server.stop)
        for _ in range(3):
            with pytest.raises(RedisDown):
                await store.find(1, made.token, now=utc_now())
        assert gateway.breaker.is_open
        server = await asyncio.to_thread(start_redis, tmp_path)
        with pytest.raises(RedisDown):
            await store.find(1, made.token, now=utc_now())
        clock[0] += 1.0
        assert await store.find(1, made.token, now=utc_now()) is None
        assert not gateway.breaker.is_open
        again = await store.start(1, 7, remember=True, device="", now=utc_now())
        assert await store.find(1, again.token, now=utc_now()) == again.session
    finally:
        await gateway.close()
        await asyncio.to_thread(server.stop)


async def test_a_restart_between_two_calls_is_not_even_noticed(tmp_path: Path) -> None:
    server = await asyncio.to_thread(start_redis, tmp_path)
    gateway = RedisGateway(server.url)
    try:
        await asyncio.gather(*(gateway.ping() for _ in range(10)))
        await asyncio.to_thread(server.stop)
        server = await asyncio.to_thread(start_redis, tmp_path)
        for _ in range(10):
            await gateway.ping()
    finally:
        await gateway.close()
        await asyncio.to_thread(server.stop)


async def test_a_full_redis_is_asked_for_what_it_can_still_say(tmp_path: Path) -> None:
    server = await asyncio.to_thread(start_redis, tmp_path)
    gateway = RedisGateway(server.url, wait_seconds=5)
    store = RedisSessions(gateway, SessionLimits())
    try:
        made = await store.start(1, 7, remember=True, device="", now=utc_now())
        await gateway.run(lambda client: client.config_set("maxmemory", "1"))
        for _ in range(3 * FAILURES):
            with pytest.raises(RedisDown):
                await store.start(1, 8, remember=True, device="", now=utc_now())
        assert await store.find(1, made.token, now=utc_now()) == made.session
        assert not gateway.breaker.is_open
        await gateway.run(lambda client: client.config_set("maxmemory", "0"))
        assert (await store.start(1, 8, remember=True, device="", now=utc_now())).session.customer_id == 8
    finally:
        await gateway.close()
        await asyncio.to_thread(server.stop)
