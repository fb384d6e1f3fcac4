"""Holds the OpenAPI document against a running demo shop, with schemathesis: is all of it true?

    python -m tests.contract.spec                 starts a demo shop of its own
    python -m tests.contract.spec --examples 200  looks longer

No answer may be a 5xx, have a status or shape that the document doesn't name, or accept what it forbids; and
every call must have succeeded at least once, else nothing was said about its answer.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from tests.contract.providers import login_providers
from tests.contract.shop import ROOT, StartError, started_shop
from tests.contract.table import HERE

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
)
# What cannot succeed here, and why.
NEVER_SUCCEEDS = {
    "POST /storefront/v1/webhooks/{service}": "needs a signature that only the payment service can make",
}
ANSWER_SECONDS = 5


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Hold the OpenAPI document against a running demo shop.")
    parser.add_argument("--examples", type=int, default=6, help="generated cases a call and phase")
    parser.add_argument("--seed", type=int, default=1, help="another seed sends other cases")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    demo = tomllib.loads((HERE / "demo.toml").read_text("utf-8"))["demo"]
    with tempfile.TemporaryDirectory(prefix="storefront-spec-") as folder:
        tally = Path(folder) / "tally.json"
        try:
            with login_providers() as providers, started_shop(providers.environ) as (base_url, data_dir):
                known = {"SPEC_URL": base_url, "SPEC_DATA": str(data_dir), "SPEC_TALLY": str(tally)}
                known["SPEC_DEMO"] = json.dumps(demo | providers.demo)
                status = _run(base_url, known, folder, options.examples, options.seed)
                described = _operations(base_url)
        except StartError as error:
            console.print(str(error), markup=False)
            return 2
        answers: dict[str, dict[str, int]] = json.loads(tally.read_text("utf-8")) if tally.exists() else {}
    console.print(as_table(described, answers))
    silent = [
        name for name in described if not _succeeded(answers.get(name, {})) and name not in NEVER_SUCCEEDS
    ]
    for name in silent:
        console.print(f"never succeeded: {name}", markup=False)
    total = sum(times for statuses in answers.values() for times in statuses.values())
    console.print(
        f"{len(described)} calls of the document, {total} requests: "
        + ("all as it says" if not status and not silent else "NOT as it says")
    )
    return 1 if status or silent else 0


def _run(base_url: str, known: dict[str, str], folder: str, examples: int, seed: int) -> int:
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{base_url}/openapi.json",
        "--phases", "examples,coverage,fuzzing", "--checks", ",".join(CHECKS),
        "--max-examples", str(examples), "--seed", str(seed), "--no-shrink", "--continue-on-failure",
        "--max-response-time", str(ANSWER_SECONDS), "--warnings", "off", "--no-color",
    ]  # fmt: skip
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "tests.contract.spec_hooks",
        "PYTHONPATH": str(ROOT),
        **known,
    }
    # In a folder of its own, where it leaves its memory of earlier failures.
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


def _operations(base_url: str) -> list[str]:
    paths = httpx.get(f"{base_url}/openapi.json", timeout=10).json()["paths"]
    methods = {"get", "post", "put", "patch", "delete"}
    return sorted(
        f"{method.upper()} {path}" for path, item in paths.items() for method in item if method in methods
    )


def _succeeded(statuses: dict[str, int]) -> bool:
    return any(int(status) < 400 for status in statuses)


def as_table(described: list[str], answers: dict[str, dict[str, int]]) -> Table:
    table = Table("call", "answers (status and how often)", title="The OpenAPI document against the shop")
    for name in described:
        statuses = answers.get(name, {})
        said = "  ".join(f"{status}: {times}" for status, times in sorted(statuses.items())) or "never called"
        table.add_row(name, f"{said}  ({NEVER_SUCCEEDS[name]})" if name in NEVER_SUCCEEDS else said)
    return table


if __name__ == "__main__":
    sys.exit(main())
