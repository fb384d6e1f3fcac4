"""A limit for the answers of others: what comes within it is heard, and nothing is waited for much longer."""

import asyncio
import time

import pytest

from app.kit.patience import MOST, STEP_SECONDS, Patience

LIMIT = 0.3


async def test_what_comes_before_the_limit_is_heard():
    async with Patience(LIMIT):
        await asyncio.sleep(LIMIT - 10 * STEP_SECONDS)


async def test_silence_ends_at_the_limit():
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with Patience(LIMIT):
            await asyncio.Event().wait()
    assert time.monotonic() - began >= LIMIT


async def test_nothing_is_ended_behind_the_block():
    async with Patience(STEP_SECONDS):
        pass
    await asyncio.sleep(3 * STEP_SECONDS)


async def test_whoever_is_told_to_stop_stops_and_has_not_run_out_of_time():
    async def wait() -> None:
        async with Patience(LIMIT):
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_loop_that_is_busy_all_the_time_gives_up_in_the_end():
    """Each turn takes so long that the steps of the limit alone would last for ever."""
    limit, turn = 10 * STEP_SECONDS, 20 * STEP_SECONDS
    turns = 0

    def keep_busy() -> None:
        nonlocal turns, again
        turns += 1
        time.sleep(turn)
        again = loop.call_soon(keep_busy)

    loop = asyncio.get_running_loop()
    again = loop.call_soon(keep_busy)
    with pytest.raises(TimeoutError):
        async with Patience(limit):
            await asyncio.Event().wait()
    again.cancel()
    assert turns * turn >= MOST * limit
    assert turns < limit / STEP_SECONDS
