"""Finds the demo shop that the rows are called against: a running one, or one started here in a folder of its own."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import httpx

from tests.contract.scene import every
from tests.contract.table import BASE

ROOT = Path(__file__).resolve().parents[2]
START_PATIENCE = 180.0
FILL_PATIENCE = 60.0
STOP_PATIENCE = 30.0


class StartError(Exception):
    """The demo shop did not come up; the text says why."""


@contextmanager
def started_shop(more: Mapping[str, str] = MappingProxyType({})) -> Iterator[tuple[str, Path]]:
    """Run `storefront dev` on a free port with a new data folder; yields its address and that folder.

    `more` are further variables of its environment.
    """
    with tempfile.TemporaryDirectory(prefix="storefront-contract-", ignore_cleanup_errors=True) as folder:
        data, log_file = Path(folder) / "data", Path(folder) / "shop.log"
        port = _free_port()
        environment = os.environ | {
            "PORT": str(port),
            "STOREFRONT_ENV": "development",
            "STOREFRONT_DATA_DIR": str(data),
            "STOREFRONT_LIMITS": "off",
            "STOREFRONT_WORKERS": "1",
            "PYTHONPATH": str(ROOT),
            **more,
        }
        # The embedded servers belong to this run; a shop named in the caller's environment is not ours to fill.
        for name in ("DATABASE_URL", "REDIS_URL", "STOREFRONT_PUBLIC_URL"):
            environment.pop(name, None)
        command = [sys.executable, "-c", "from app.cli import main; main()", "dev"]
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            try:
                base_url = f"http://127.0.0.1:{port}"
                _wait_until_ready(base_url, process, log_file)
                _wait_until_filled(base_url)
                yield base_url, data
            finally:
                _stop(process)


def _wait_until_ready(base_url: str, process: subprocess.Popen[bytes], log_file: Path) -> None:
    for _ in every(START_PATIENCE):
        if process.poll() is not None:
            tail = log_file.read_text("utf-8", "replace")[-2000:]
            raise StartError(f"`storefront dev` ended with {process.returncode}:\n{tail}")
        try:
            if httpx.get(f"{base_url}/ready", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            continue
    tail = log_file.read_text("utf-8", "replace")[-2000:]
    raise StartError(f"`storefront dev` was not ready within {START_PATIENCE:.0f} s:\n{tail}")


def _wait_until_filled(base_url: str) -> None:
    """Wait while the demo catalogue grows. A shop without one is judged as it is: the rows will tell."""
    before = 0
    for _ in every(FILL_PATIENCE, gap=1.0):
        response = httpx.get(f"{base_url}{BASE}/products", params={"offset": 1}, timeout=5)
        if response.status_code != 200:
            return
        count = response.json().get("_meta", {}).get("totalCount") or 0
        if count and count == before:
            return
        before = count


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_PATIENCE)
    except subprocess.TimeoutExpired:
        # Its children end with it: the launcher gave them a parent-death signal.
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port
