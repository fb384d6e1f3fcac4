"""Asking side by side: one call for all, and none of those who ask pays for another."""

import asyncio

import pytest

from app.db.side_by_side import SideBySide


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
