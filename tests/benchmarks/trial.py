"""One operation under load: how often, how fast, at which cost, and the same for the ceiling."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Final

from tests.benchmarks import reference
from tests.benchmarks.driver import Load, drive, drive_reads
from tests.benchmarks.machine import Statements, spent_between
from tests.benchmarks.operations import Operation
from tests.benchmarks.stack import HOST, Stack
from tests.benchmarks.wire import Connection

DRAIN_SECONDS: Final = 60.0
COUNTED: Final = 20
SHOP: Final = ("server", "unkept", "worker", "postgres", "redis")
BARE: Final = ("ceiling", "postgres")


@dataclass
class Run:
    """One run: the load, and milliseconds of CPU per operation by part."""

    load: Load
    cpu_ms: dict[str, float]

    @property
    def cpu_total(self) -> float:
        return sum(self.cpu_ms.values())

    def record(self) -> dict[str, Any]:
        return {**asdict(self.load), "per_second": self.load.per_second, "cpu_ms": self.cpu_ms}


class Bench:
    """The running shop, its ceiling, and what is needed to measure both."""

    def __init__(self, stack: Stack, connection: Any, statements: Statements) -> None:
        self.stack = stack
        self._database = connection
        self._statements = statements
        self.undrained = 0

    async def run(self, operation: Operation, *, connections: int, seconds: float) -> Run:
        before = self.stack.parts.cpu_seconds()
        if operation.steps is None:
            load = await drive_reads(
                HOST,
                self.port_of(operation),
                operation.paths,
                self.stack.folder,
                connections=connections,
                seconds=seconds,
            )
        else:
            steps = operation.steps

            async def work(connection: Connection, chance: Random) -> None:
                await steps(connection.call, chance)

            load = await drive(HOST, self.stack.port, work, connections=connections, seconds=seconds)
        # What the operations left to the worker is part of what they cost.
        await self.drain()
        return self._finish(load, before, SHOP)

    def port_of(self, operation: Operation) -> int:
        return self.stack.port if operation.kept else self.stack.unkept_port

    async def run_ceiling(
        self, calls: Sequence[tuple[str, str, bytes]], *, reads: bool, connections: int, seconds: float
    ) -> Run:
        """`calls` are the paths of reads, one each, or the steps of one operation."""
        before = self.stack.parts.cpu_seconds()
        port = self.stack.ceiling_port
        if reads:
            load = await drive_reads(
                HOST,
                port,
                [path for _, path, _ in calls],
                self.stack.folder,
                connections=connections,
                seconds=seconds,
            )
        else:

            async def work(connection: Connection, _: Random) -> None:
                for method, path, body in calls:
                    await connection.call(method, path, body)

            load = await drive(HOST, port, work, connections=connections, seconds=seconds)
        return self._finish(load, before, BARE)

    async def run_reference(self, seconds: float) -> float:
        """What the bare handler answers a second, as fast as the machine is just now."""
        load = await drive_reads(
            HOST,
            self.stack.reference_port,
            [reference.PATH],
            self.stack.folder,
            connections=reference.CONNECTIONS,
            seconds=seconds,
        )
        return load.per_second

    def _finish(self, load: Load, before: dict[str, float], parts: Sequence[str]) -> Run:
        spent = spent_between(before, self.stack.parts.cpu_seconds())
        share = {name: 1000 * spent[name] / load.done for name in parts if name in spent} if load.done else {}
        return Run(load, share)

    async def drain(self) -> None:
        """Wait until the worker has done what is due; what is left after a minute is told."""
        until = time.monotonic() + DRAIN_SECONDS
        while True:
            self.undrained = await self._database.fetchval(
                "/* bench: */ SELECT count(*) FROM jobs "
                "WHERE state = 'running' OR state = 'queued' AND run_at <= now()"
            )
            if not self.undrained or time.monotonic() > until:
                return
            # Its own rows are all that tells when a worker is done.
            await asyncio.sleep(0.05)

    async def count_statements(self, operation: Operation) -> dict[str, Any] | None:
        """Statements of one operation: the server's while the worker stands still, then the worker's."""
        if not self._statements.available:
            return None
        connection, chance = Connection(HOST, self.port_of(operation)), Random(7)

        async def once(place: int) -> None:
            if operation.steps is None:
                await connection.call("GET", operation.paths[place % len(operation.paths)])
            else:
                await operation.steps(connection.call, chance)

        for place in range(COUNTED):
            await once(place)
        await self.drain()
        with self.stack.worker_paused():
            before, detail = await self._statements.total(), await self._statements.by_query()
            for place in range(COUNTED):
                await once(place)
            after, later = await self._statements.total(), await self._statements.by_query()
        connection.close()
        await self.drain()
        with_worker = await self._statements.total()
        by_query = {
            query: round((calls - detail.get(query, 0)) / COUNTED, 2)
            for query, calls in later.items()
            if calls > detail.get(query, 0)
        }
        return {
            "server": round((after - before) / COUNTED, 2),
            "with_worker": round((with_worker - before) / COUNTED, 2),
            "by_query": dict(sorted(by_query.items(), key=lambda item: -item[1])),
        }

    async def orders(self) -> int:
        return int(
            await self._database.fetchval("/* bench: */ SELECT count(*) FROM orders WHERE status = 'open'")
        )


def median_run(runs: Sequence[Run]) -> dict[str, Any]:
    """The median of each figure over the rounds; errors are summed, because one is one too many."""

    def middle(values: Sequence[float]) -> float:
        return round(statistics.median(values), 3)

    return {
        "driver": runs[0].load.driver,
        "per_second": middle([run.load.per_second for run in runs]),
        "p50": middle([run.load.p50 for run in runs]),
        "p95": middle([run.load.p95 for run in runs]),
        "p99": middle([run.load.p99 for run in runs]),
        "errors": sum(run.load.errors for run in runs),
        "examples": [example for run in runs for example in run.load.examples][:5],
        "cpu_ms": middle([run.cpu_total for run in runs]),
        "cpu_ms_by_part": {
            part: middle([run.cpu_ms.get(part, 0.0) for run in runs])
            for part in sorted({part for run in runs for part in run.cpu_ms})
        },
        "rounds": [run.record() for run in runs],
    }
