"""Dear answers are kept for a moment, cheap ones never, and none beyond its limit."""

import asyncio

import pytest

from app.db.kept import DEAR_SECONDS, MOST_ENTRIES, Kept


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Something to read that takes a while by the clock, and counts."""

    def __init__(self, clock: Clock, took: float) -> None:
        self.clock, self.took, self.reads = clock, took, 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self) -> int:
        self.reads += 1
        number = self.reads
        await self.gate.wait()
        self.clock.now += self.took
        return number


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_what_is_cheap_is_read_each_time(clock):
    kept, source = Kept(5, clock=clock), Source(clock, DEAR_SECONDS / 2)
    assert [await kept.get("a", source.read) for _ in range(3)] == [1, 2, 3]


async def test_what_is_dear_is_kept_for_twenty_times_its_price(clock):
    kept, source = Kept(5, clock=clock), Source(clock, 0.1)
    assert await kept.get("a", source.read) == 1
    clock.now += 1.9
    assert await kept.get("a", source.read) == 1
    assert await kept.get("b", source.read) == 2


async def test_an_older_answer_is_given_while_one_task_reads_it_anew(clock):
    kept, source = Kept(5, clock=clock), Source(clock, 0.1)
    await kept.get("a", source.read)
    clock.now += 2.1
    source.gate.clear()
    assert [await kept.get("a", source.read) for _ in range(3)] == [1, 1, 1]
    await asyncio.sleep(0)
    assert source.reads == 2
    source.gate.set()
    await kept._reading["a"]
    assert await kept.get("a", source.read) == 2


async def test_no_answer_is_older_than_the_limit(clock):
    kept, source = Kept(5, clock=clock), Source(clock, 1.0)
    await kept.get("a", source.read)
    clock.now += 5
    both = await asyncio.gather(kept.get("a", source.read), kept.get("a", source.read))
    assert (both, source.reads) == ([2, 2], 2)


async def test_nothing_is_kept_where_the_limit_is_zero(clock):
    kept, source = Kept(0, clock=clock), Source(clock, 1.0)
    assert [await kept.get("a", source.read) for _ in range(2)] == [1, 2]


async def test_a_failure_is_told_and_not_kept(clock):
    kept, source = Kept(5, clock=clock), Source(clock, 1.0)

    async def fail() -> int:
        raise OSError("gone")

    await kept.get("a", source.read)
    clock.now += 6
    with pytest.raises(OSError, match="gone"):
        await kept.get("a", fail)
    assert await kept.get("a", source.read) == 2


async def test_the_number_of_kept_answers_is_bounded(clock):
    kept, source = Kept(5, clock=clock), Source(clock, 1.0)
    for number in range(MOST_ENTRIES + 10):
        await kept.get(number, source.read)
    assert len(kept._entries) == MOST_ENTRIES
