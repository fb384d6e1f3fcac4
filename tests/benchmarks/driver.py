"""How load is made and what comes of it: wrk for single reads where it is found, else connections of our own."""

import asyncio
import json
import math
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from app.integrations.embedded.process import end_process, spawn
from tests.benchmarks.wire import Connection, UnexpectedAnswer

SCRIPT: Final = Path(__file__).with_name("wrk.lua")
MOST_EXAMPLES: Final = 5

Work = Callable[[Connection, Random], Awaitable[None]]


@dataclass
class Load:
    """What one run came to; times in milliseconds."""

    driver: str
    seconds: float
    done: int
    errors: int
    p50: float
    p95: float
    p99: float
    examples: list[str] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return self.done / self.seconds if self.seconds else 0.0


async def drive(host: str, port: int, work: Work, *, connections: int, seconds: float) -> Load:
    """That many shoppers at once, each beginning anew until the time is over; what was begun is finished."""
    times: list[float] = []
    examples: list[str] = []
    errors = 0
    began = time.perf_counter()
    until = began + seconds

    async def shopper(number: int) -> None:
        nonlocal errors
        connection, chance = Connection(host, port), Random(number)
        while (start := time.perf_counter()) < until:
            try:
                await work(connection, chance)
            except (UnexpectedAnswer, OSError, TimeoutError, EOFError) as problem:
                errors += 1
                if len(examples) < MOST_EXAMPLES:
                    examples.append(f"{type(problem).__name__}: {problem}"[:300])
            else:
                times.append(time.perf_counter() - start)
        connection.close()

    await asyncio.gather(*(shopper(number) for number in range(connections)))
    taken = time.perf_counter() - began
    ordered = sorted(times)
    return Load(
        driver="own",
        seconds=taken,
        done=len(times),
        errors=errors,
        p50=percentile(ordered, 50) * 1000,
        p95=percentile(ordered, 95) * 1000,
        p99=percentile(ordered, 99) * 1000,
        examples=examples,
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of sorted values; 0 of nothing."""
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)] if ordered else 0.0


def find_wrk() -> str | None:
    return shutil.which("wrk")


async def drive_reads(
    host: str, port: int, paths: Sequence[str], folder: Path, *, connections: int, seconds: float
) -> Load:
    """The same paths in turn, by whichever driver is there; ours for the one is ours for the ceiling too."""
    wrk = find_wrk()
    if wrk is not None:
        return await _run_wrk(
            wrk, f"http://{host}:{port}", paths, folder, connections=connections, seconds=seconds
        )

    async def work(connection: Connection, chance: Random) -> None:
        await connection.call("GET", chance.choice(paths))

    return await drive(host, port, work, connections=connections, seconds=seconds)


async def _run_wrk(
    wrk: str, url: str, paths: Sequence[str], folder: Path, *, connections: int, seconds: float
) -> Load:
    listed = folder / "paths.txt"
    listed.write_text("\n".join(paths) + "\n", encoding="utf-8")
    # One thread: it makes far more requests than two cores can answer, and leaves the other core alone.
    told = folder / "wrk.log"
    told.unlink(missing_ok=True)
    process, _ = spawn(
        [
            *(wrk, "-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s"),
            *("--timeout", "30s", "-s", str(SCRIPT), url, "--", str(listed)),
        ],
        death_signal=signal.SIGKILL,
        log=told,
    )
    try:
        await asyncio.to_thread(process.wait)
    finally:
        end_process(process, ())
    output = told.read_text("utf-8", "replace")
    line = next((line for line in output.splitlines() if line.startswith("RESULT ")), None)
    if process.returncode != 0 or line is None:
        raise RuntimeError(f"wrk ended with {process.returncode}: {output.strip()[-500:]}")
    found = json.loads(line.removeprefix("RESULT "))
    errors = found["failed_status"] + found["failed_socket"]
    return Load(
        driver="wrk",
        seconds=found["duration_us"] / 1e6,
        done=found["requests"] - found["failed_status"],
        errors=errors,
        p50=found["p50_us"] / 1000,
        p95=found["p95_us"] / 1000,
        p99=found["p99_us"] / 1000,
        examples=[f"{errors} answers failed"] if errors else [],
    )
