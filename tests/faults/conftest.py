"""The stage that the drills share, how long they go on, and the table of what they found."""

import os
from collections.abc import AsyncIterator

import pytest

from tests.faults.figures import FIGURES, FORMS, Form
from tests.faults.place import Place, open_place
from tests.faults.stage import Stage, open_stage

pytest.register_assert_rewrite("tests.faults.truth", "tests.faults.shoppers")


@pytest.fixture(scope="session")
def form() -> Form:
    return FORMS[os.environ.get("FAULTS", "short")]


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FIGURES:
        width = max(len(what) for what, _ in FIGURES)
        terminalreporter.section("what was broken, and what was found")
        for what, found in FIGURES:
            terminalreporter.write_line(f"{what:<{width}}  {found}")
