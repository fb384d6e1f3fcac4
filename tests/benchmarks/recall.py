"""How much of what shoppers mean search shows first: recall at 10 over the golden queries on the demo shop.

    python -m tests.benchmarks.recall [--base-url URL]

Recall of a query is the share of the products that it means which stand among the first ten. The figure is the
mean over all queries; misses are listed. Ends with 1 where the figure is under 0.9.
"""

import argparse
import statistics
import sys
import tomllib
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console

from tests.contract.shop import started_shop

FIRST: Final = 10
WANTED: Final = 0.9
API: Final = "/storefront/v1"

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Golden:
    """A query of one kind, and the handles of the products that it means."""

    kind: str
    query: str
    means: tuple[str, ...]

    def recall(self, shown: Sequence[str]) -> float:
        return len(set(self.means).intersection(shown[:FIRST])) / len(self.means)

    def missed(self, shown: Collection[str]) -> list[str]:
        return [handle for handle in self.means if handle not in shown]


def golden_queries() -> list[Golden]:
    """All of golden.toml, in its order."""
    file = tomllib.loads((Path(__file__).parent / "golden.toml").read_text("utf-8"))
    return [
        Golden(kind, query, tuple(means))
        for kind, queries in file.items()
        for query, means in queries.items()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Recall at 10 of the search over the demo shop.")
    parser.add_argument("--base-url", help="a demo shop that is running; without it one is started")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        url = chosen.base_url or stack.enter_context(started_shop({}))[0]
        client = stack.enter_context(httpx.Client(base_url=url, timeout=10))
        kinds: dict[str, list[float]] = {}
        for golden in golden_queries():
            answer = client.get(f"{API}/products/search", params={"q": golden.query, "limit": FIRST})
            answer.raise_for_status()
            shown = [item["handle"] for item in answer.json()["items"]]
            kinds.setdefault(golden.kind, []).append(golden.recall(shown))
            if missed := golden.missed(shown):
                console.print(f"{golden.kind}: {golden.query!r} misses {', '.join(missed)}", markup=False)
    for kind, recalls in kinds.items():
        console.print(f"{kind:12} {len(recalls):3} queries  {statistics.mean(recalls):.3f}")
    every = [recall for recalls in kinds.values() for recall in recalls]
    figure = statistics.mean(every)
    console.print(f"recall at {FIRST}  {len(every):2} queries  {figure:.3f}, wanted {WANTED}")
    return 0 if figure >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
