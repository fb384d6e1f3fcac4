"""How many logins a second there are, and what they cost those who read the catalogue meanwhile.

    python -m tests.benchmarks.logins [--seconds N] [--base-url URL]

200 reads a second, first alone, then while 16 clients log in without pause: the 95th percentile of the second
must stay under twice that of the first. Load and shop share the machine's cores, so quiet and busy take turns
and medians are compared. Those who log in have a process of their own, so that what they do in Python is not in
the readers' way.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import httpx
from rich.console import Console

from tests.benchmarks.same_time import API, PASSWORD, address, sign_up
from tests.contract.shop import started_shop

READS: Final = 200
CLIENTS: Final = 16
MOST_TIMES: Final = 2.0
ROUNDS: Final = 3

console = Console(highlight=False)


async def read_on(client: httpx.AsyncClient, seconds: float) -> list[float]:
    """Reads at their pace, whether or not the earlier ones are answered; the seconds that each took."""
    taken: list[float] = []

    async def read() -> None:
        started = time.perf_counter()
        (await client.get(f"{API}/products?offset=16")).raise_for_status()
        taken.append(time.perf_counter() - started)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(READS * seconds)):
            await asyncio.sleep(max(0.0, begun + number / READS - time.perf_counter()))
            tasks.create_task(read())
    return taken


@contextmanager
def crowd(base_url: str, emails: list[str]) -> Iterator[Any]:
    """One client for each address logs in without pause, from the first login on; counts those let in and refused."""
    spawned = multiprocessing.get_context("spawn")
    counts = spawned.Array("q", 2)
    process = spawned.Process(target=_log_in_all, args=(base_url, emails, counts), daemon=True)
    process.start()
    try:
        while not sum(counts) and process.is_alive():
            # A process of its own has nothing else by which to tell that it has begun.
            time.sleep(0.01)
        yield counts
    finally:
        process.terminate()
        process.join()


def _log_in_all(base_url: str, emails: list[str], counts: Any) -> None:
    async def log_in_on(client: httpx.AsyncClient, email: str) -> None:
        while True:
            answer = await client.post(f"{API}/customer/login", json={"email": email, "password": PASSWORD})
            counts[answer.status_code != 200] += 1

    async def all_of_them() -> None:
        async with httpx.AsyncClient(base_url=base_url, timeout=20) as client:
            await asyncio.gather(*(log_in_on(client, email) for email in emails))

    asyncio.run(all_of_them())


def percentile(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


async def measure(base_url: str, emails: list[str], seconds: float) -> bool:
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    quiet: list[float] = []
    busy: list[float] = []
    passed = refused = 0
    async with httpx.AsyncClient(base_url=base_url, timeout=20, limits=limits) as client:
        await read_on(client, 1)
        for _ in range(ROUNDS):
            quiet.append(percentile(await read_on(client, seconds)))
            with crowd(base_url, emails) as counts:
                before = list(counts)
                busy.append(percentile(await read_on(client, seconds)))
                passed += counts[0] - before[0]
                refused += counts[1] - before[1]
    times = statistics.median(busy) / statistics.median(quiet)
    console.print(
        f"logins          {passed / (ROUNDS * seconds):.0f}/s by {CLIENTS} clients, {refused} refused"
    )
    console.print(f"reads, quiet    p95 {statistics.median(quiet) * 1000:.1f} ms at {READS}/s")
    console.print(f"reads, busy     p95 {statistics.median(busy) * 1000:.1f} ms, {times:.2f} times")
    return times < MOST_TIMES


def main() -> int:
    parser = argparse.ArgumentParser(description="Logins a second, and what they cost readers.")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--base-url", help="a running shop, with STOREFRONT_LIMITS=off")
    options = parser.parse_args()
    with ExitStack() as stack:
        base_url = options.base_url or stack.enter_context(started_shop())[0]
        emails = [address() for _ in range(CLIENTS)]
        with httpx.Client(base_url=base_url, timeout=20) as client:
            for email in emails:
                sign_up(client, email)
        return 0 if asyncio.run(measure(base_url, emails, options.seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())
