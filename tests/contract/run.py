"""Calls every row of the contract against a demo shop and prints which ones work.

    python -m tests.contract.run                             starts a demo shop of its own
    python -m tests.contract.run --base-url URL --data-dir DIR     uses a running one and reads its mails
    python -m tests.contract.run --only B49,B60              these rows only

The exit status is 0 when every row of expected.toml works. Other rows are reported and decide nothing.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from tests.contract.checks import Verdict, judge
from tests.contract.providers import login_providers
from tests.contract.scene import Shop
from tests.contract.shop import StartError, started_shop
from tests.contract.table import HERE, Row, load_expected, load_rows

ANSWER_TIMEOUT = 45.0  # above the 30 s for which the `test` service can hang
SHOWN = 4


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    console = Console(stderr=False, soft_wrap=False, width=None if sys.stdout.isatty() else 160)
    rows, expected = load_rows(), load_expected()
    if options.only:
        wanted = {name.strip() for name in options.only.split(",")}
        if unknown := wanted - {row.id for row in rows}:
            console.print(f"no such rows: {', '.join(sorted(unknown))}")
            return 2
        rows = [row for row in rows if row.id in wanted]
        expected = [name for name in expected if name in wanted]
    demo = tomllib.loads((HERE / "demo.toml").read_text("utf-8"))["demo"]
    with ExitStack() as stack:
        base_url, data_dir = options.base_url, options.data_dir
        if base_url is None:
            providers = stack.enter_context(login_providers())
            demo |= providers.demo
            try:
                base_url, data_dir = stack.enter_context(started_shop(providers.environ))
            except StartError as error:
                console.print(str(error), markup=False)
                return 2
        client = stack.enter_context(
            httpx.Client(base_url=base_url, timeout=ANSWER_TIMEOUT, follow_redirects=False)
        )
        shop = Shop(client, mails=data_dir, demo=demo)
        verdicts = list(_judge_all(rows, shop, console))
    console.print(as_table(verdicts, set(expected), full=options.full))
    console.print(summary(verdicts, expected), markup=False)
    if options.json:
        options.json.write_text(json.dumps(as_record(verdicts, expected), indent=2) + "\n", "utf-8")
    return 1 if broken_promises(verdicts, expected) else 0


def broken_promises(verdicts: list[Verdict], expected: list[str]) -> list[str]:
    """Promised rows that don't work; a promised row that was not judged counts as broken."""
    working = {verdict.row.id for verdict in verdicts if verdict.works}
    return [name for name in expected if name not in working]


def summary(verdicts: list[Verdict], expected: list[str]) -> str:
    working = sum(verdict.works for verdict in verdicts)
    line = f"{working} of {len(verdicts)} rows work"
    broken = broken_promises(verdicts, expected)
    kept = len(expected) - len(broken)
    promise = f"{kept} of the {len(expected)} promised"
    return f"{line}; {promise}" + (f"; broken: {', '.join(broken)}" if broken else "")


def as_table(verdicts: list[Verdict], expected: set[str], *, full: bool = False) -> Table:
    table = Table("row", "method", "path", "finding", title="The storefront contract", show_lines=False)
    for verdict in verdicts:
        row = verdict.row
        shown = verdict.findings if full else verdict.findings[:SHOWN]
        more = len(verdict.findings) - len(shown)
        text = "works" if verdict.works else "\n".join([*shown, *([f"… and {more} more"] if more else [])])
        style = "green" if verdict.works else ("red" if row.id in expected else "dim")
        name = row.id if row.id.startswith("B") else "+"
        table.add_row(name, row.method, row.path, _plain(text), style=style)
    return table


def as_record(verdicts: list[Verdict], expected: list[str]) -> dict[str, Any]:
    return {
        "working": sum(verdict.works for verdict in verdicts),
        "rows": len(verdicts),
        "promised": expected,
        "broken": broken_promises(verdicts, expected),
        "verdicts": [
            {
                "row": verdict.row.id,
                "method": verdict.row.method,
                "path": verdict.row.path,
                "works": verdict.works,
                "findings": list(verdict.findings),
            }
            for verdict in verdicts
        ],
    }


def _judge_all(rows: list[Row], shop: Shop, console: Console) -> Iterator[Verdict]:
    with console.status("") as status:
        for row in rows:
            status.update(f"{row.id} {row.label}")
            yield judge(row, shop)


def _plain(text: str) -> str:
    # Brackets in field names (`items[].id`) are no markup.
    return text.replace("[", r"\[")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Call every row of the contract against a demo shop.")
    parser.add_argument("--base-url", help="a running demo shop; without it one is started")
    parser.add_argument("--data-dir", type=Path, help="the running shop's data folder, where its mails are")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts to FILE too")
    parser.add_argument("--only", metavar="ROWS", help="comma-separated ids, as B49 or 'GET /pages'")
    parser.add_argument("--full", action="store_true", help="print every finding")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
