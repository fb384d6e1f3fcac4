"""How the figures are shown and kept."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.benchmarks.reference import REFERENCE_PER_SECOND

KEPT: Final = Path(".cache/bench")
GOAL_CONNECTIONS: Final = 16


def keep(record: dict[str, Any], *, now: datetime) -> Path:
    """Write the record; answers where."""
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{now:%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


def show(record: dict[str, Any], console: Console) -> None:
    console.print(_operations(record))
    console.print(_costs(record))
    console.print(_elsewhere(record))
    console.print(_start(record))
    for name, found in record["operations"].items():
        if "unavailable" in found:
            console.print(f"[red]{name} was not measured: {found['unavailable']}[/red]")
        for connections, pair in found.get("connections", {}).items():
            for example in pair["shop"]["examples"]:
                console.print(f"[red]{name} at {connections}: {example}[/red]")
    for line in record["notes"]:
        console.print(line)


def _operations(record: dict[str, Any]) -> Table:
    table = Table(title="Operations beside the machine's own ceiling", title_justify="left")
    for column in ("operation", "driver"):
        table.add_column(column)
    for column in (
        *("conn", "per s", "p50 ms", "p95 ms", "p99 ms", "errors", "CPU ms", "ceiling/s", "ratio", "goal"),
    ):
        table.add_column(column, justify="right")
    for name, found in record["operations"].items():
        for connections, pair in found.get("connections", {}).items():
            shop, ceiling = pair["shop"], pair["ceiling"]
            table.add_row(
                name,
                shop["driver"],
                str(connections),
                _figure(shop["per_second"]),
                f"{shop['p50']:.2f}",
                f"{shop['p95']:.2f}",
                f"{shop['p99']:.2f}",
                f"[red]{shop['errors']}[/red]" if shop["errors"] else "0",
                f"{shop['cpu_ms']:.2f}",
                _figure(ceiling["per_second"]),
                *_judged_ratio(pair["ratio"], found["goal"]["ratio"], connections),
            )
        table.add_section()
    return table


def _costs(record: dict[str, Any]) -> Table:
    table = Table(
        title=f"What one operation costs, and what it may cost at {GOAL_CONNECTIONS} connections",
        title_justify="left",
    )
    table.add_column("operation")
    for column in (
        *("per s", "goal", "CPU ms", "goal", "server", "unkept", "worker", "postgres", "redis"),
        *("SQL", "goal", "with worker"),
    ):
        table.add_column(column, justify="right")
    for name, found in record["operations"].items():
        pair = found.get("connections", {}).get(str(GOAL_CONNECTIONS))
        if pair is None:
            continue
        shop, goal, statements = pair["shop"], found["goal"], found["statements"] or {}
        parts = shop["cpu_ms_by_part"]
        table.add_row(
            name,
            _judged(shop["per_second"], goal["per_second"], most=False),
            _figure(goal["per_second"]) if goal["per_second"] else "",
            _judged(shop["cpu_ms"], goal["cpu_ms"], most=True),
            f"{goal['cpu_ms']:g}",
            *(
                f"{parts[part]:.2f}" if part in parts else "-"
                for part in ("server", "unkept", "worker", "postgres", "redis")
            ),
            _judged(statements["server"], goal["statements"], most=True) if statements else "-",
            f"{goal['statements']:g}",
            f"{statements['with_worker']:g}" if statements else "-",
        )
    return table


def _elsewhere(record: dict[str, Any]) -> Table:
    least, most = REFERENCE_PER_SECOND
    table = Table(
        title=f"The same where the reference answers {least:,} a second: the slowest that was seen ({most:,} the fastest) on "
        "the machine of the goals",
        title_justify="left",
    )
    table.add_column("operation")
    for column in ("reference/s here", "per s there", "goal", "CPU ms there", "goal"):
        table.add_column(column, justify="right")
    for name, found in record["operations"].items():
        pair = found.get("connections", {}).get(str(GOAL_CONNECTIONS))
        if pair is None:
            continue
        shop, goal, faster = pair["shop"], found["goal"], least / pair["reference"]
        table.add_row(
            name,
            _figure(pair["reference"]),
            _judged(shop["per_second"] * faster, goal["per_second"], most=False),
            _figure(goal["per_second"]) if goal["per_second"] else "",
            _judged(shop["cpu_ms"] / faster, goal["cpu_ms"], most=True),
            f"{goal['cpu_ms']:g}",
        )
    return table


def _start(record: dict[str, Any]) -> Table:
    table = Table(title="Start and memory (server processes and worker)", title_justify="left")
    for column in ("", "measured", "goal"):
        table.add_column(column, justify="right" if column else "left")
    start = record["cold_start_seconds"]
    table.add_row("cold start to a served list, s", _judged(start, 2, most=True), "2")
    for moment, goal in (("just_started", 250), ("after_load", 350)):
        memory = record["memory_mib"][moment]
        table.add_row(
            f"memory {moment.replace('_', ' ')}, MiB PSS (RSS)",
            f"{_judged(memory['pss'], goal, most=True)} ({memory['rss']:.0f})",
            str(goal),
        )
    return table


def _judged(value: float, goal: float, *, most: bool) -> str:
    holds = value <= goal if most else value >= goal
    return f"[{'green' if holds else 'yellow'}]{_figure(value)}[/]"


def _judged_ratio(ratio: float, goal: float, connections: str) -> tuple[str, str]:
    if not goal or connections != str(GOAL_CONNECTIONS):
        return f"{ratio:.2f}", ""
    return f"[{'green' if ratio >= goal else 'yellow'}]{ratio:.2f}[/]", f"{goal:.1f}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
