"""Figures of the storms: how big they are, and one line for each at the end of a run.

A plugin of pytest. `--full` makes storms as big as the figures that are printed say; without it they are small
enough for every run. A test that held says so in its line; one that did not fails, and its line says that.
"""

from collections.abc import Callable

import pytest

PROPERTY = "figure"
Say = Callable[[str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="storms in full size, as `make figures` prints them")


@pytest.fixture(scope="session")
def sized(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """Picks a size: the full one with --full, else the small one."""
    full = bool(request.config.getoption("--full"))
    return lambda all_of_it, few: all_of_it if full else few


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Say:
    """Takes the line of this test. Reports carry it, so that it also comes home from other processes."""
    return lambda line: request.node.user_properties.append((PROPERTY, line))


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
