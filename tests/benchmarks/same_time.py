"""Does the time of an answer tell whether an address has an account? 200 samples each, and how well they part.

    python -m tests.benchmarks.same_time [--samples N] [--base-url URL]

The figure is the AUC of the best guess by time: 0.5 is a coin, 1.0 knows. Up to 0.6 passes. Known and unknown
addresses take turns, in random order, so that a busy machine is as busy for both.
"""

import argparse
import random
import secrets
import sys
import time
from contextlib import ExitStack
from typing import Final

import httpx
from rich.console import Console

from tests.contract.shop import started_shop

MOST_AUC: Final = 0.6
WARM: Final = 10
PASSWORD: Final = "walnut-harbour-42-lantern"
console = Console(highlight=False)
API: Final = "/storefront/v1"

CALLS: Final = {
    "login": ("/customer/login", lambda email: {"email": email, "password": "not the password"}),
    "login code": ("/customer/login/code", lambda email: {"email": email}),
    # After the one before, so that those who have an account have a code to be wrong about.
    "type a code": ("/customer/login/code/confirm", lambda email: {"email": email, "code": "000000"}),
    "forgot": ("/customer/password/forgot", lambda email: {"email": email}),
    "find an order": ("/orders/find", lambda email: {"order": "#1001", "email": email}),
    "subscribe": ("/subscriptions", lambda email: {"email": email}),
}


def auc(first: list[float], second: list[float]) -> float:
    """How often a sample of one is slower than one of the other (Mann-Whitney), whichever way round is better."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks = sum(rank for rank, (_, which) in enumerate(ranked, 1) if which)
    found = (ranks - len(second) * (len(second) + 1) / 2) / (len(first) * len(second))
    return max(found, 1 - found)


def measure(client: httpx.Client, name: str, known: list[str], samples: int) -> float:
    """The AUC of a call. Every known address is asked for once, as every unknown one is."""
    path, body = CALLS[name]
    unknown = [address() for _ in range(samples + WARM)]
    taken: dict[bool, list[float]] = {True: [], False: []}
    statuses: dict[bool, set[int]] = {True: set(), False: set()}
    for number, pair in enumerate(zip(known, unknown, strict=True)):
        turns = [(pair[0], True), (pair[1], False)]
        random.shuffle(turns)
        for email, is_known in turns:
            started = time.perf_counter()
            answer = client.post(f"{API}{path}", json=body(email))
            seconds = time.perf_counter() - started
            statuses[is_known].add(answer.status_code)
            if number >= WARM:
                taken[is_known].append(seconds)
    assert statuses[True] == statuses[False], statuses
    return auc(taken[True], taken[False])


def address() -> str:
    return f"timing-{secrets.token_hex(8)}@example.com"


def sign_up(client: httpx.Client, email: str) -> None:
    body = {"username": "Ada Berg", "email": email, "password": PASSWORD}
    client.post(f"{API}/customer/signup", json=body).raise_for_status()


def main() -> int:
    parser = argparse.ArgumentParser(description="Does the time of an answer tell who has an account?")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--base-url", help="a running shop, with STOREFRONT_LIMITS=off")
    options = parser.parse_args()
    worst = 0.0
    with ExitStack() as stack:
        base_url = options.base_url or stack.enter_context(started_shop())[0]
        client = stack.enter_context(httpx.Client(base_url=base_url, timeout=20))
        known = [address() for _ in range(options.samples + WARM)]
        for email in known:
            sign_up(client, email)
        for name in CALLS:
            found = measure(client, name, known, options.samples)
            worst = max(worst, found)
            console.print(f"{name:15} AUC {found:.3f}  {'ok' if found <= MOST_AUC else 'TELLS'}")
    return 0 if worst <= MOST_AUC else 1


if __name__ == "__main__":
    sys.exit(main())
