"""`make bench-scale`: what each read costs with 100,000 variants beside what it costs with a thousand.

    python -m tests.benchmarks.scale [--seconds N] [--rounds N] [--variants N] [--only search,collection]

Two shops run beside each other on the same servers: the demo shop twice over, and grown to 100,000 variants. Each
read is called in the small shop and at once in the large one, round after round; medians are shown. A read with
at most a thousand hits may have 1.5 times the 95th percentile; one that finds more must stay under 50 ms.
"""

import argparse
import asyncio
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from app.kit.clock import isoformat, utc_now
from tests.benchmarks import report
from tests.benchmarks.driver import drive_reads
from tests.benchmarks.grow import grow, load_demo
from tests.benchmarks.machine import Neighbours, spent_between
from tests.benchmarks.scale_reads import Read, address, scale_reads
from tests.benchmarks.stack import HOST, Stack, stack
from tests.benchmarks.trial import Run, median_run
from tests.benchmarks.wire import Connection, UnexpectedAnswer

SMALL: Final = 1_000
LARGE: Final = 100_000
CONNECTIONS: Final = 16
MOST_TIMES: Final = 1.5
FEW_HITS: Final = 1_000
MOST_MS: Final = 50.0
PARTS: Final = ("server", "postgres")

console = Console(width=None if sys.stdout.isatty() else 140)


@dataclass(frozen=True)
class Plan:
    seconds: float
    rounds: int
    variants: int
    only: Sequence[str]
    workers: int


def parse(arguments: Sequence[str]) -> Plan:
    parser = argparse.ArgumentParser(prog="make bench-scale ARGS=...", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1, help="length of one run, 1 to 60")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the median counts, 1 to 10")
    parser.add_argument("--variants", type=int, default=LARGE, help="of the large shop, up to a million")
    parser.add_argument("--only", default="", help="parts of names of reads, comma-separated")
    parser.add_argument(
        "--workers", type=int, default=min(os.cpu_count() or 1, 4), help="server processes each"
    )
    found = parser.parse_args(arguments)
    if not (1 <= found.seconds <= 60 and 1 <= found.rounds <= 10 and 1 <= found.workers <= 16):
        parser.error("seconds 1 to 60, rounds 1 to 10, workers 1 to 16")
    if not 2 * SMALL <= found.variants <= 1_000_000:
        parser.error(f"variants {2 * SMALL} to 1,000,000")
    only = [part for part in found.only.split(",") if part]
    return Plan(found.seconds, found.rounds, found.variants, only, found.workers)


@dataclass
class Pair:
    """One read in both shops."""

    read: Read
    hits: list[int | None]
    small: list[Run] = field(default_factory=list)
    large: list[Run] = field(default_factory=list)


async def measure(plan: Plan, folder: Path) -> dict[str, Any]:
    async with AsyncExitStack() as running:
        shops: list[Stack] = []
        for name, variants in (("small", SMALL), ("large", plan.variants)):
            (folder / name).mkdir()
            shop, database = await running.enter_async_context(
                stack(folder / name, workers=plan.workers, beside=shops[0] if shops else None)
            )
            await load_demo(shop.database_url)
            await grow(shop.database_url, variants=variants)
            count = await database.fetchval("SELECT count(*) FROM variants")
            console.print(f"The {name} shop has {count:,} variants.")
            shop.start_server()
            await shop.served(shop.port, "/health", "server")
            shops.append(shop)
        reads = [read for read in await scale_reads(database) if _chosen(read, plan.only)]
        pairs = [Pair(read, [await _hits(shop, read) for shop in shops]) for read in reads]
        neighbours = Neighbours(shops[0].parts)
        with console.status("Measuring ...") as status:
            for number in range(1, plan.rounds + 1):
                for pair in pairs:
                    status.update(f"Round {number} of {plan.rounds}: {pair.read.name}")
                    pair.small.append(await _run(shops[0], pair.read, plan.seconds))
                    pair.large.append(await _run(shops[1], pair.read, plan.seconds))
        return {
            "at": isoformat(utc_now()),
            "plan": {"seconds": plan.seconds, "rounds": plan.rounds, "connections": CONNECTIONS},
            "others_cores": round(neighbours.cores(), 2),
            "reads": {pair.read.name: _judge(pair) for pair in pairs},
        }


def _chosen(read: Read, only: Sequence[str]) -> bool:
    return not only or any(part in read.name for part in only)


async def _hits(shop: Stack, read: Read) -> int | None:
    """How many there are in all of what most of the paths find, where it is a page of something.

    Each path is called once, so that no run begins with what a server does but once.
    """
    connection = Connection(HOST, shop.port)
    totals = []
    for path in read.paths:
        _, content = await connection.call("GET", address(path))
        answer = msgspec.json.decode(content)
        if isinstance(answer, dict) and "items" in answer and "filters" not in answer:
            meta = answer["_meta"]
            # A search that knows of more than it counts is none with few hits.
            totals.append(max(meta["totalCount"], FEW_HITS + 1 if meta.get("totalIsMinimum") else 0))
    connection.close()
    return max(totals) if totals else None


async def _run(shop: Stack, read: Read, seconds: float) -> Run:
    before = shop.parts.cpu_seconds()
    paths = [address(path) for path in read.paths]
    load = await drive_reads(HOST, shop.port, paths, shop.folder, connections=CONNECTIONS, seconds=seconds)
    spent = spent_between(before, shop.parts.cpu_seconds())
    return Run(load, {name: 1000 * spent[name] / load.done for name in PARTS if name in spent and load.done})


def _judge(pair: Pair) -> dict[str, Any]:
    small, large = median_run(pair.small), median_run(pair.large)
    times = large["p95"] / small["p95"] if small["p95"] else 0.0
    is_few = (pair.hits[1] or 0) <= FEW_HITS
    return {
        "hits": pair.hits,
        "small": small,
        "large": large,
        "times": round(times, 2),
        "cpu_times": round(large["cpu_ms"] / small["cpu_ms"], 2) if small["cpu_ms"] else 0.0,
        "holds": not large["errors"] and (times <= MOST_TIMES if is_few else large["p95"] <= MOST_MS),
        "goal": f"{MOST_TIMES} times" if is_few else f"{MOST_MS:g} ms",
    }


def show(record: dict[str, Any]) -> None:
    table = Table(
        title=f"Reads at {CONNECTIONS} connections, in a small shop and in a large one", title_justify="left"
    )
    table.add_column("read")
    for column in (
        "hits",
        "in the large",
        "p95 ms",
        "in the large",
        "times",
        "goal",
        "CPU ms",
        "in the large",
    ):
        table.add_column(column, justify="right")
    for name, found in record["reads"].items():
        color = "green" if found["holds"] else "yellow"
        hits = ["-" if count is None else f"{count:,}" for count in found["hits"]]
        table.add_row(
            name,
            *hits,
            f"{found['small']['p95']:.2f}",
            f"{found['large']['p95']:.2f}",
            f"[{color}]{found['times']:.2f}[/]",
            found["goal"],
            f"{found['small']['cpu_ms']:.2f}",
            f"{found['large']['cpu_ms']:.2f}",
        )
    console.print(table)
    for name, found in record["reads"].items():
        for size in ("small", "large"):
            for example in found[size]["examples"]:
                console.print(f"[red]{name}: {example}[/red]")
    if record["others_cores"] > 0.15:
        console.print(
            f"[yellow]Other programs kept {record['others_cores']:.1f} cores busy meanwhile.[/yellow]"
        )


def main() -> int:
    plan = parse(sys.argv[1:])
    logging.disable(logging.WARNING)
    folder = Path(tempfile.mkdtemp(prefix="storefront-scale-"))
    try:
        record = uvloop.run(measure(plan, folder))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("Ended before the figures were complete.")
        return 130
    except UnexpectedAnswer as problem:
        console.print(f"[red]{problem}[/red]")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    show(record)
    console.print(f"Kept in {report.keep(record, now=utc_now())}")
    return (
        1
        if any(found["large"]["errors"] or found["small"]["errors"] for found in record["reads"].values())
        else 0
    )


if __name__ == "__main__":
    sys.exit(main())
