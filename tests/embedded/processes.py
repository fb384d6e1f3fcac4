"""Starting, finding and awaiting processes: conditions with a deadline instead of sleeps of a guessed length."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from app.integrations.embedded.process import CHILD, is_running

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # machines that test are busy


def wait_until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


def wait_until_gone(pids: list[int], what: str = "the processes are gone") -> None:
    wait_until(lambda: not any(is_running(pid) for pid in pids), what)


def family(pid: int) -> list[int]:
    """The process and everything under it."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def environment(**changes: str) -> dict[str, str]:
    """Ours without what configures a shop, and with the changes."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STOREFRONT_", "DATABASE_", "REDIS_", "SMTP_"))
        or name.endswith(("_BIN", "_SERVER"))
    }
    return ours | {"PYTHONPATH": str(ROOT)} | changes


@contextmanager
def owner(
    folder: Path, *, ordinary_user: bool = False, **orders: object
) -> Iterator[tuple[subprocess.Popen[str], dict[str, int]]]:
    """A process that owns servers in the folder, and their numbers; killed at the end."""
    command = [sys.executable, str(ROOT / "tests/embedded/holder.py"), str(folder), json.dumps(orders)]
    if ordinary_user and os.geteuid() == 0:
        wrapper = {
            "parent": os.getpid(),
            "signal": 9,
            "identity": "auto",
            "folders": [str(folder)],
            "pipe": None,
        }
        command = [sys.executable, "-I", "-S", str(CHILD), json.dumps(wrapper), *command]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment()
    )
    pids: dict[str, int] = {}
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        pids.update(json.loads(line))
        yield process, pids
    finally:
        process.kill()
        process.communicate()
        wait_until_gone(list(pids.values()))


@contextmanager
def storefront(
    *arguments: str, environ: Mapping[str, str], output: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A `storefront` command; told to end at the end, and killed where it does not."""
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", *arguments],
            cwd=ROOT,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
