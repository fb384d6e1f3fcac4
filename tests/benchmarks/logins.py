"""How many logins a second there are, and what they cost those who read the catalogue meanwhile.

    python -m tests.benchmarks.logins [--seconds N] [--base-url URL]

200 reads a second, first alone, then while 16 clients log in without pause: the 95th percentile of the second
must stay under twice that of the first. Load and shop share the machine's cores, so quiet and busy take turns
and medians are compared.
"""

import argparse
import asyncio
import statistics
import sys
import time
from contextlib import ExitStack
from typing import Final

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


async def log_in_on(client: httpx.AsyncClient, email: str, done: list[int]) -> None:
    while True:
        answer = await client.post(f"{API}/customer/login", json={"email": email, "password": PASSWORD})
        done.append(answer.status_code)


def percentile(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


async def measure(base_url: str, emails: list[str], seconds: float) -> bool:
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    quiet: list[float] = []
    busy: list[float] = []
    done: list[int] = []
    async with httpx.AsyncClient(base_url=base_url, timeout=20, limits=limits) as client:
        await read_on(client, 1)
        for _ in range(ROUNDS):
            quiet.append(percentile(await read_on(client, seconds)))
            working = [asyncio.create_task(log_in_on(client, email, done)) for email in emails]
            busy.append(percentile(await read_on(client, seconds)))
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
    passed = done.count(200)
    times = statistics.median(busy) / statistics.median(quiet)
    console.print(
        f"logins          {passed / (ROUNDS * seconds):.0f}/s by {CLIENTS} clients, {len(done) - passed} refused"
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
