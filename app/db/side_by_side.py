"""How what is asked for by many at once is asked for in one statement, while each of them asks for its own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from app.kit.errors import UNAVAILABLE, Unavailable

Wanted = TypeVar("Wanted")
Found = TypeVar("Found")


class SideBySide(Generic[Wanted, Found]):
    """A function of many, called by each for one: those who call in the same turn of the event loop share a call.

    `do` answers each in the order in which they asked. Where it fails for several, each is tried alone, so that none
    fails for another's sake; but where it says Unavailable, which is nobody's fault, all are told so: each alone would
    wait as long once more. So are all where the call is cut off.
    """

    def __init__(self, do: Callable[[Sequence[Wanted]], Awaitable[Sequence[Found]]]) -> None:
        self._do = do
        self._asked: list[tuple[Wanted, asyncio.Future[Found]]] = []
        # Tasks of its own: whoever is cancelled takes nothing away from the others.
        self._calls: set[asyncio.Task[None]] = set()

    async def __call__(self, wanted: Wanted) -> Found:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Found] = loop.create_future()
        self._asked.append((wanted, answer))
        if len(self._asked) == 1:
            # It begins when everybody whose turn it is now has had it.
            call = loop.create_task(self._answer_all())
            self._calls.add(call)
            call.add_done_callback(partial(self._end, self._asked))
        return await answer

    def _end(self, asked: "list[tuple[Wanted, asyncio.Future[Found]]]", call: "asyncio.Task[None]") -> None:
        self._calls.discard(call)
        if self._asked is asked:  # it was cut off before it began
            self._asked = []
        for _, answer in asked:
            _tell(answer, Unavailable(UNAVAILABLE, "The server is going down. Please try again."))

    async def _answer_all(self) -> None:
        asked, self._asked = self._asked, []
        try:
            found = await self._do([wanted for wanted, _ in asked])
        except Exception as problem:  # noqa: BLE001 - whoever asked is told
            if len(asked) == 1 or isinstance(problem, Unavailable):
                for _, answer in asked:
                    _tell(answer, problem)
            else:
                await asyncio.gather(*(self._answer(wanted, answer) for wanted, answer in asked))
            return
        for (_, answer), one in zip(asked, found, strict=True):
            if not answer.done():
                answer.set_result(one)

    async def _answer(self, wanted: Wanted, answer: "asyncio.Future[Found]") -> None:
        try:
            (found,) = await self._do([wanted])
        except Exception as problem:  # noqa: BLE001 - whoever asked is told
            _tell(answer, problem)
        else:
            if not answer.done():
                answer.set_result(found)


def _tell(answer: "asyncio.Future[Found]", problem: Exception) -> None:
    if not answer.done():
        answer.set_exception(problem)
