"""Do the tests notice the faults that shops are known for? Each is planted in a copy of the tree, one at a time.

A fault is caught where every test that it names fails by an assertion; a test that cannot even run proves
nothing. Before any is planted the same tests must pass. All of them use one PostgreSQL and one Redis, each
run with a database of its own, so that two faults can be tried side by side. Faults are planted in the code, so
that all databases can be copies of one that was migrated.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
from rich.console import Console
from rich.table import Table

from app.db.session import database_address
from app.integrations.embedded.postgres import start_postgres
from app.integrations.embedded.redis import start_redis
from tests.conftest import NAMED_TEMPLATE, make_template
from tests.mutants.planting import Fault, copy_tree, plant, read_faults

RUN_SECONDS: Final = 120
AT_ONCE: Final = 2
ASSERTIONS: Final = ("AssertionError", "assert ", "Failed: DID NOT RAISE")

Outcomes = dict[str, str]  # what became of each test: "" where it passed, else how its failure begins


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of the runs."""
    named = {name: os.environ.get(name, "") for name in ("TEST_DATABASE_URL", "TEST_REDIS_URL")}
    postgres = (
        None if named["TEST_DATABASE_URL"] else start_postgres(folder / "postgres", options={"fsync": "off"})
    )
    redis = None if named["TEST_REDIS_URL"] else start_redis(folder / "redis")
    url = postgres.url if postgres else named["TEST_DATABASE_URL"]
    template = asyncio.run(_migrated(url))
    try:
        yield {
            **os.environ,
            "TEST_DATABASE_URL": url,
            NAMED_TEMPLATE: template,
            "TEST_REDIS_URL": redis.url if redis else named["TEST_REDIS_URL"],
        }
    finally:
        asyncio.run(_drop(url, template))
        for server in (postgres, redis):
            if server:
                server.stop()


async def _migrated(server: str) -> str:
    admin = await asyncpg.connect(database_address(server).asyncpg)
    try:
        return await make_template(server, admin)
    finally:
        await admin.close()


async def _drop(server: str, name: str) -> None:
    admin = await asyncpg.connect(database_address(server).asyncpg)
    try:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()


def run_tests(root: Path, tests: list[str], environ: dict[str, str]) -> Outcomes:
    """Run tests of a copy of the tree. Raises RuntimeError where pytest says nothing of one of them."""
    report = root / f"report-{uuid4().hex}.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *tests],
        cwd=root,
        env={**environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    if not report.exists():
        raise RuntimeError(f"pytest did not run:\n{done.stdout}\n{done.stderr}")
    outcomes: Outcomes = {}
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '').partition('[')[0]}"
        troubles = [
            f"{kind}: {found.get('message', '')}"
            for kind in ("error", "skipped")
            for found in case.iter(kind)
        ]
        troubles += [found.get("message", "") for found in case.iter("failure")]
        # Of a test with parameters the worst counts: one that could not run, then one that failed.
        outcomes[name] = max(
            [outcomes.get(name, ""), *troubles], key=lambda one: (bool(one), not is_assertion(one))
        )
    if missing := set(tests) - outcomes.keys():
        raise RuntimeError(f"these tests did not run: {sorted(missing)}\n{done.stdout}")
    return outcomes


def is_assertion(outcome: str) -> bool:
    return outcome.startswith(ASSERTIONS)


def try_fault(fault: Fault, green: Path, environ: dict[str, str]) -> tuple[Outcomes, float]:
    """What the fault's tests say of a copy in which it is planted, and the seconds that they took."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=green.parent) as folder:
        root = Path(folder, "planted")
        shutil.copytree(green, root)
        plant(fault, root)
        outcomes = run_tests(root, fault.tests, environ)
    return outcomes, time.monotonic() - started


def run_green(green: Path, faults: list[Fault], environ: dict[str, str]) -> Outcomes:
    """What the tests of all faults say of a copy without any; those of a file run together."""
    named = sorted({test for fault in faults for test in fault.tests})
    files = sorted({test.partition("::")[0] for test in named})
    shares = [
        [test for test in named if test.partition("::")[0] in files[n::AT_ONCE]] for n in range(AT_ONCE)
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        told = pool.map(lambda share: run_tests(green, share, environ), filter(None, shares))
        return {test: why for outcomes in told for test, why in outcomes.items()}


def main() -> int:
    console = Console()
    faults = read_faults()
    folder = Path(tempfile.mkdtemp(prefix="storefront-mutants-"))
    try:
        with servers(folder) as environ:
            green = folder / "green"
            green.mkdir()
            copy_tree(green)
            if red := {test: why for test, why in run_green(green, faults, environ).items() if why}:
                console.print("These tests fail without any fault:", *red.items(), sep="\n")
                return 2
            return report(console, faults, green, environ)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(console: Console, faults: list[Fault], green: Path, environ: dict[str, str]) -> int:
    table = Table("planted fault", "caught", "s", title="What the tests make of planted faults")
    table.add_column("by", overflow="fold")
    caught = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tried = list(pool.map(lambda fault: try_fault(fault, green, environ), faults))
    for fault, (outcomes, seconds) in zip(faults, tried, strict=True):
        missed = {test: why for test, why in outcomes.items() if not is_assertion(why)}
        caught += not missed
        table.add_row(
            fault.name,
            "no" if missed else "yes",
            f"{seconds:.1f}",
            "\n".join(test.rpartition("::")[2] for test in fault.tests),
        )
        for test, why in missed.items():
            console.print(f"{fault.name}: {test}: {why or 'passed all the same'}", markup=False)
    console.print(table)
    console.print(f"{caught} of {len(faults)} caught")
    return 0 if caught == len(faults) else 1


if __name__ == "__main__":
    sys.exit(main())
