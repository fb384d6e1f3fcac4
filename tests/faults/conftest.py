"""The stage that the drills share, and how long they go on."""

from collections.abc import AsyncIterator, Callable

import pytest

from tests.faults.form import Form
from tests.faults.place import Place, open_place
from tests.faults.stage import Stage, open_stage

pytest.register_assert_rewrite("tests.faults.truth", "tests.faults.shoppers")


@pytest.fixture(scope="session")
def form(sized: Callable[[int, int], int]) -> Form:
    return Form(kills=sized(50, 8), restarts=sized(10, 2), commits=sized(100, 10))


@pytest.fixture(scope="session")
async def shared_stage() -> AsyncIterator[Stage]:
    async with open_stage() as made:
        yield made


@pytest.fixture
async def stage(shared_stage: Stage) -> AsyncIterator[Stage]:
    """The one stage, mended after a drill that failed in the middle, so that the next one says its own."""
    yield shared_stage
    await shared_stage.mend()


@pytest.fixture(scope="session")
async def place() -> AsyncIterator[Place]:
    async with open_place() as made:
        yield made
