"""`make bench`: measures the hot operations of the shop beside what this machine can do at all.

    python -m tests.benchmarks.run [--seconds N] [--rounds N] [--only list,list-unkept] [--connections 1,16,64]

The load comes from the same cores as the answers, so CPU per operation and the ratio to the ceiling say
more than operations per second. Rounds alternate between shop and ceiling; medians are shown. Reads are measured as
they come, and once more (-unkept) from a server that keeps no answers in its process.
"""

import argparse
import asyncio
import logging
import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop
from rich.console import Console

from app.db.session import create_engine, create_sessions
from app.kit.clock import isoformat, utc_now
from tests.benchmarks import reference, report
from tests.benchmarks.ceiling import documents_of, keep_answers
from tests.benchmarks.driver import find_wrk
from tests.benchmarks.machine import Neighbours, Statements
from tests.benchmarks.operations import BASE, UNKEPT, Operation, Seeded, operations, record
from tests.benchmarks.seed import seed
from tests.benchmarks.stack import HOST, Stack, stack
from tests.benchmarks.trial import Bench, Run, median_run
from tests.benchmarks.wire import Connection, UnexpectedAnswer

READS: Final = ("list", "list-16", "detail", "variant")
NAMES: Final = (*READS, *(f"{name}{UNKEPT}" for name in READS), "search", "cart", "checkout")
COLD_STARTS: Final = 3
WARM_SECONDS: Final = 1.0
REFERENCE_SECONDS: Final = 2.0
BUSY_CORES: Final = 0.15
WARM_CONNECTIONS: Final = 16

# Piped, as into a file, the tables keep their whole width.
console = Console(width=None if sys.stdout.isatty() else 140)


@dataclass(frozen=True)
class Plan:
    seconds: float
    rounds: int
    only: Sequence[str]
    connections: Sequence[int]
    workers: int

    def minutes(self) -> float:
        runs = self.rounds * len(self.only) * len(self.connections) * 2
        return (runs * (self.seconds + 1 + REFERENCE_SECONDS / 2) + 30) / 60


def parse(arguments: Sequence[str]) -> Plan:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="length of one run, 1 to 60")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the median counts, 1 to 10")
    parser.add_argument("--only", default=",".join(NAMES), help=f"of {', '.join(NAMES)}")
    parser.add_argument("--connections", default="1,16,64", help="connections at once, up to 256")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 4), help="server processes")
    found = parser.parse_args(arguments)
    only = [name for name in found.only.split(",") if name]
    connections = [int(number) for number in found.connections.split(",")]
    if not (1 <= found.seconds <= 60 and 1 <= found.rounds <= 10 and 1 <= found.workers <= 16):
        parser.error("seconds 1 to 60, rounds 1 to 10, workers 1 to 16")
    if not set(only) <= set(NAMES) or not all(1 <= number <= 256 for number in connections):
        parser.error(f"operations are {', '.join(NAMES)}; connections 1 to 256")
    return Plan(found.seconds, found.rounds, only, connections, found.workers)


async def measure(plan: Plan, folder: Path) -> dict[str, Any]:
    async with stack(folder, workers=plan.workers) as (running, database):
        console.print("Filling a shop with 1,000 products and 3,000 variants ...")
        seeded = await _seed(running)
        await database.execute("/* bench: */ VACUUM ANALYZE")
        chosen = [one for one in operations(seeded) if one.name in plan.only]
        first = operations(seeded)[0].paths[0]
        result: dict[str, Any] = {
            "at": isoformat(utc_now()),
            "machine": await _machine(database),
            "plan": {"seconds": plan.seconds, "rounds": plan.rounds, "server_processes": plan.workers},
            "operations": {},
            "notes": _notes(running),
        }
        first = await _first_read(running, first, result["notes"])
        starts = [await _cold_start(running, first) for _ in range(COLD_STARTS)]
        result["cold_start_seconds"] = round(sorted(starts)[COLD_STARTS // 2], 3)
        running.start_worker()
        statements = Statements(database)
        await statements.prepare()
        bench = Bench(running, database, statements)
        # A worker answers nobody; that it has looked at its queue shows that it stands.
        await _worker_listens(database)
        memory = {"just_started": running.parts.memory_mib("server", "worker")}
        if any(not one.kept for one in chosen):
            running.start_unkept()
            await running.served(running.unkept_port, "/health", "unkept")

        ready = await _prepare(bench, chosen, database, result)
        neighbours = Neighbours(running.parts)
        await _rounds(bench, ready, plan, result)
        result["others_cores"] = round(neighbours.cores(), 2)
        if result["others_cores"] > BUSY_CORES:
            result["notes"].append(
                f"[yellow]Other programs kept {result['others_cores']:.1f} cores busy meanwhile: "
                "these figures are worse than the shop is.[/yellow]"
            )
        memory["after_load"] = running.parts.memory_mib("server", "worker")
        result["memory_mib"] = memory
        return result


async def _seed(running: Stack) -> Seeded:
    engine = create_engine(running.database_url, pool_size=2)
    try:
        return await seed(create_sessions(engine), now=utc_now())
    finally:
        await engine.dispose()


async def _first_read(running: Stack, path: str, notes: list[str]) -> str:
    """The list whose first answer ends a cold start, or the cart where the list does not work."""
    running.start_server()
    await running.served(running.port, "/health", "server")
    connection = Connection(HOST, running.port)
    try:
        await connection.call("GET", path)
    except UnexpectedAnswer as problem:
        notes.append(f"Cold start is measured to a served cart: {problem}")
        return f"{BASE}/cart"
    finally:
        connection.close()
    return path


async def _cold_start(running: Stack, path: str) -> float:
    running.stop("server")
    running.start_server()
    return await running.served(running.port, path, "server")


async def _worker_listens(database: Any) -> None:
    until = time.monotonic() + 30
    while True:
        if await database.fetchval(
            "/* bench: */ SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'storefront-worker'"
        ):
            return
        if time.monotonic() > until:
            raise RuntimeError("the worker did not begin to listen")
        # Its connection is all that shows of it.
        await asyncio.sleep(0.05)


@dataclass
class _Ready:
    operation: Operation
    # What was sent, where the answers stand among all that are kept, and the same as calls of the ceiling.
    sent: list[tuple[str, bytes]]
    places: slice
    calls: list[tuple[str, str, bytes]]
    shop: dict[int, list[Run]]
    ceiling: dict[int, list[Run]]
    # Answers a second of the bare handler, just after each round.
    reference: dict[int, list[float]]


async def _prepare(
    bench: Bench, chosen: Sequence[Operation], database: Any, result: dict[str, Any]
) -> list[_Ready]:
    """See each operation work once, keep its answers for the ceiling, count its statements, warm it up."""
    answers: list[list[bytes]] = []
    ready: list[_Ready] = []
    for operation in chosen:
        connection = Connection(HOST, bench.port_of(operation))
        found = result["operations"][operation.name] = {
            "goal": {
                "per_second": operation.goal_per_second,
                "cpu_ms": operation.goal_cpu_ms,
                "statements": operation.goal_statements,
                "ratio": operation.goal_ratio,
            },
        }
        console.print(f"Preparing {operation.name} ...")
        begin = len(answers)
        try:
            if operation.steps is None:
                seen = [("GET", b"", (await connection.call("GET", path))[1]) for path in operation.paths]
            else:
                seen = await record(operation.steps, connection)
        except (UnexpectedAnswer, OSError, EOFError, TimeoutError) as problem:
            found["unavailable"] = str(problem)
            continue
        finally:
            connection.close()
        sent = [(method, body) for method, body, _ in seen]
        answers += [documents_of(answer) if operation.steps is None else [answer] for _, _, answer in seen]
        found["bytes"] = sum(len(answer) for _, _, answer in seen) // (
            len(seen) if operation.steps is None else 1
        )
        found["statements"] = await bench.count_statements(operation)
        await bench.run(operation, connections=WARM_CONNECTIONS, seconds=WARM_SECONDS)
        ready.append(_Ready(operation, sent, slice(begin, len(answers)), [], {}, {}, {}))
    if ready:
        paths = await keep_answers(database, answers)
        for one in ready:
            one.calls = [
                (method, path, body) for (method, body), path in zip(one.sent, paths[one.places], strict=True)
            ]
        bench.stack.start_ceiling()
        await bench.stack.served(bench.stack.ceiling_port, "/0", "ceiling")
        bench.stack.start_reference()
        await bench.stack.served(bench.stack.reference_port, reference.PATH, "reference")
        await bench.run_reference(WARM_SECONDS)
        for one in ready:
            await bench.run_ceiling(
                one.calls,
                reads=one.operation.steps is None,
                connections=WARM_CONNECTIONS,
                seconds=WARM_SECONDS,
            )
    return ready


async def _rounds(bench: Bench, ready: Sequence[_Ready], plan: Plan, result: dict[str, Any]) -> None:
    with console.status("Measuring ...") as status:
        for number in range(1, plan.rounds + 1):
            for one in ready:
                for connections in plan.connections:
                    status.update(f"Round {number} of {plan.rounds}: {one.operation.name} at {connections}")
                    await _round(bench, one, connections, plan.seconds, result["notes"])
    for one in ready:
        pairs = {}
        for connections in plan.connections:
            shop_median = median_run(one.shop[connections])
            ceiling_median = median_run(one.ceiling[connections])
            ratio = shop_median["per_second"] / ceiling_median["per_second"]
            pairs[str(connections)] = {
                "shop": shop_median,
                "ceiling": ceiling_median,
                "ratio": round(ratio, 3),
                "reference": round(statistics.median(one.reference[connections])),
            }
        result["operations"][one.operation.name]["connections"] = pairs


async def _round(bench: Bench, one: _Ready, connections: int, seconds: float, notes: list[str]) -> None:
    """The shop, then at once the ceiling and the reference: the machine's mood is the same for all."""
    orders = await bench.orders()
    shop = await bench.run(one.operation, connections=connections, seconds=seconds)
    made = await bench.orders() - orders
    if one.operation.name == "checkout" and made != shop.load.done:
        notes.append(f"{shop.load.done} checkouts were answered, {made} orders made")
    if bench.undrained:
        notes.append(f"{bench.undrained} jobs of {one.operation.name} were left undone")
    ceiling = await bench.run_ceiling(
        one.calls, reads=one.operation.steps is None, connections=connections, seconds=seconds
    )
    one.shop.setdefault(connections, []).append(shop)
    one.ceiling.setdefault(connections, []).append(ceiling)
    one.reference.setdefault(connections, []).append(await bench.run_reference(REFERENCE_SECONDS))


async def _machine(database: Any) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "postgres": await database.fetchval("/* bench: */ SHOW server_version"),
        "fsync": await database.fetchval("/* bench: */ SHOW fsync"),
    }


def _notes(running: Stack) -> list[str]:
    reads = "wrk" if find_wrk() else "our own driver (wrk is not on the PATH)"
    notes = [f"Single reads are driven by {reads}, carts and checkouts by our own; the ceiling by the same."]
    notes += [
        f"CPU without {name}: its processes cannot be seen from here."
        for name in ("postgres", "redis")
        if running.parts.processes.get(name) is None
    ]
    return notes


async def _until_told(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """SIGTERM ends everything that was started, as Ctrl-C does."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def main() -> int:
    plan = parse(sys.argv[1:])
    logging.disable(logging.WARNING)
    console.print(
        f"Measuring {', '.join(plan.only)} with {plan.workers} server processes: "
        f"about {plan.minutes():.0f} minutes."
    )
    folder = Path(tempfile.mkdtemp(prefix="storefront-bench-"))
    try:
        result = uvloop.run(_until_told(measure(plan, folder)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("Ended before the figures were complete.")
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report.show(result, console)
    console.print(f"Kept in {report.keep(result, now=utc_now())}")
    broken = [name for name, found in result["operations"].items() if "unavailable" in found]
    failed = any(
        pair["shop"]["errors"]
        for found in result["operations"].values()
        for pair in found.get("connections", {}).values()
    )
    return 1 if broken or failed else 0


if __name__ == "__main__":
    sys.exit(main())
