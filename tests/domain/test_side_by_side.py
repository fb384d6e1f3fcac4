"""Asking side by side: one call for all, and none of those who ask pays for another."""

import asyncio

import pytest

from app.db.side_by_side import SideBySide
from app.domain.stores import directory
from app.kit.errors import UNAVAILABLE, NotFound, Unavailable


async def test_those_who_ask_side_by_side_share_a_call_and_none_fails_for_another():
    calls, began, go_on = [], asyncio.Queue(), asyncio.Event()

    async def double(numbers):
        calls.append(list(numbers))
        began.put_nowait(len(numbers))
        await go_on.wait()
        if 0 in numbers:
            raise ZeroDivisionError
        return [2 * number for number in numbers]

    ask = SideBySide(double)
    first = [asyncio.create_task(ask(number)) for number in (1, 2, 3)]
    assert await began.get() == 3
    later = [asyncio.create_task(ask(number)) for number in (4, 0, 5)]
    assert await began.get() == 3
    # Whoever asked first goes away, and takes nothing from the others.
    first[0].cancel()
    later[0].cancel()
    go_on.set()
    assert await asyncio.gather(*first[1:]) == [4, 6]
    with pytest.raises(ZeroDivisionError):
        await later[1]
    assert await later[2] == 10
    assert calls[:2] == [[1, 2, 3], [4, 0, 5]]
    assert sorted(calls[2:]) == [[0], [4], [5]]
    with pytest.raises(ZeroDivisionError):
        await ask(0)


async def test_nobody_waits_for_a_call_that_was_cut_off():
    began = asyncio.Event()

    async def hang(_numbers):
        began.set()
        await asyncio.Event().wait()

    ask = SideBySide(hang)
    for has_begun in (True, False):
        asked = [asyncio.create_task(ask(number)) for number in (1, 2)]
        await asyncio.sleep(0)  # they have asked; the call is the next to have its turn
        if has_begun:
            await began.wait()
        for call in ask._calls:
            call.cancel()
        async with asyncio.timeout(5):
            told = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(one) for one in told] == [Unavailable] * 2, has_begun


async def test_a_store_is_read_once_for_all_who_ask_at_once(reads, store, monkeypatch):
    asked, real = [], directory.get_store_config

    async def read(reads, store_id):
        asked.append(store_id)
        return await real(reads, store_id)

    monkeypatch.setattr(directory, "get_store_config", read)
    stores = directory.StoreDirectory(reads)
    found = await asyncio.gather(*(stores.get(store.id) for _ in range(3)))
    assert [one.id for one in found] == [store.id] * 3
    assert asked == [store.id]
    with pytest.raises(NotFound):
        await asyncio.gather(stores.get(0), stores.get(-1))


async def test_nobody_waits_a_second_time_for_what_is_away():
    calls = []

    async def away(numbers):
        calls.append(list(numbers))
        raise Unavailable(UNAVAILABLE, "The database is busy.")

    ask = SideBySide(away)
    told = await asyncio.gather(*(ask(number) for number in (1, 2, 3)), return_exceptions=True)
    assert [type(one) for one in told] == [Unavailable] * 3
    assert calls == [[1, 2, 3]]
