"""Figures of storms and drills: how big they are, and one line for each at the end of a run.

A plugin of pytest. `--full` makes them as big as the figures that are printed say; without it they are small
enough for every run. A test that held says so in its line; one that did not fails, and its line says that.
"""

from collections.abc import Callable
from typing import Protocol

import pytest

PROPERTY = "figure"


class Say(Protocol):
    def __call__(self, what: str, found: object = None, /) -> None: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full",
        action="store_true",
        help="storms and drills in full size, as `make figures` and `make faults` print them",
    )


@pytest.fixture(scope="session")
def sized(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """Picks a size: the full one with --full, else the small one."""
    full = bool(request.config.getoption("--full"))
    return lambda all_of_it, few: all_of_it if full else few


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Say:
    """Takes the line of this test. Reports carry it, so that it also comes home from other processes."""

    def say(what: str, found: object = None, /) -> None:
        line = what if found is None else f"{what}: {found}"
        request.node.user_properties.append((PROPERTY, line))

    return say


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    # A run ends with the audit, after the test itself.
    broken = {report.nodeid for report in reports if getattr(report, "failed", False)}
    said = [
        (line, "FAILED" if report.nodeid in broken else "ok")
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, line in report.user_properties
        if name == PROPERTY
    ]
    if said:
        terminalreporter.section("figures")
        for line, verdict in said:
            terminalreporter.line(f"{line}  {verdict}", red=verdict != "ok", green=verdict == "ok")
