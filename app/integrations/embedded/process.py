"""How an embedded server is held: one owner per data folder, a private socket, and an end with its owner."""

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

CHILD = Path(__file__).with_name("child.py")
SOCKET_PATH_LIMIT = 103  # Linux takes 107 bytes, macOS 103
ORPHAN_SECONDS = 30.0
OWN_ORPHAN_SECONDS = 5.0
POLL_SECONDS = 0.005
LOG_LIMIT = 5_000_000


class EmbeddedServerError(RuntimeError):
    """An embedded server cannot run; the message is for people and says what to do."""


@dataclass(slots=True)
class EmbeddedServer:
    """A running server. `stop` may be called more than once; a `with` block stops it too."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    lock: int
    socket_folder: Path
    farewell: int | None
    stop_signals: Sequence[tuple[signal.Signals, float]]
    _stopped: bool = field(default=False, init=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self.process.poll()

    def stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        if self.farewell is not None:
            with contextlib.suppress(OSError):
                os.write(self.farewell, b"q")
            os.close(self.farewell)
        end_process(self.process, self.stop_signals)
        os.close(self.lock)
        if self.socket_folder.name != "run":
            with contextlib.suppress(OSError):
                self.socket_folder.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def end_process(process: subprocess.Popen[bytes], signals: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send each signal in turn and give it its seconds; at last kill the whole session of the process."""
    for signum, seconds in signals:
        if process.poll() is not None:
            return
        process.send_signal(signum)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def is_running(pid: int) -> bool:
    """Whether the process exists and is not merely waiting to be reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[
            2
        ].split()[0] not in {"Z", "X"}
    return True


def lock_folder(folder: Path, name: str) -> int:
    """Own the folder until the returned descriptor is closed here and in every server that inherited it.

    A folder whose owner was killed is waited for, while its server is still going down; so is one of our
    own, whose server fell and left a process or two behind for a moment.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    began = time.monotonic()
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = int(os.pread(lock, 20, 0).strip() or 0)
            waited = time.monotonic() - began
            ours = owner == os.getpid() and waited < OWN_ORPHAN_SECONDS
            if owner and is_running(owner) and not ours:
                os.close(lock)
                raise EmbeddedServerError(
                    f"{name} in {folder} is already run by process {owner}: "
                    "stop that one, or set STOREFRONT_DATA_DIR to another folder"
                ) from None
            if waited > ORPHAN_SECONDS:
                os.close(lock)
                raise EmbeddedServerError(
                    f"{name} in {folder} was left behind by process {owner} and still runs: end it first"
                ) from None
            time.sleep(POLL_SECONDS)
        else:
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            return lock


def _takes_sockets(folder: Path) -> bool:
    probe = folder / "probe"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as trial:
        try:
            trial.bind(str(probe))
        except OSError:
            return False
    probe.unlink()
    return True


def socket_folders(data_folder: Path, socket_name: str) -> list[Path]:
    """Where the socket of a data folder may be: beside the data, else under /tmp, whose path is short."""
    folders = []
    beside = data_folder / "run"
    if len(os.fsencode(beside / socket_name)) <= SOCKET_PATH_LIMIT:
        folders.append(beside)
    base = Path(tempfile.gettempdir())
    if len(os.fsencode(base)) > SOCKET_PATH_LIMIT // 2:
        base = Path("/tmp")  # noqa: S108 - private_socket_folder checks that what is there is ours alone
    digest = hashlib.sha256(os.fsencode(data_folder)).hexdigest()[:12]
    return [*folders, base / f"storefront-{os.getuid()}-{digest}"]


def private_socket_folder(data_folder: Path, socket_name: str) -> Path:
    """Make the first of socket_folders that takes sockets; nobody but us can enter it."""
    *beside, elsewhere = socket_folders(data_folder, socket_name)
    for folder in beside:
        folder.mkdir(exist_ok=True, mode=0o700)
        if _takes_sockets(folder):
            return folder
    elsewhere.mkdir(exist_ok=True, mode=0o700)
    found = elsewhere.lstat()
    # Root may find it given to nobody by an earlier start that could not use a namespace.
    ours = found.st_uid == os.getuid() or os.getuid() == 0
    if not (stat.S_ISDIR(found.st_mode) and ours and not found.st_mode & 0o077):
        raise EmbeddedServerError(f"{elsewhere} is not a private folder of ours: remove it")
    return elsewhere


@functools.cache
def _spawner() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedded-servers")


def spawn(
    command: Sequence[str],
    *,
    death_signal: signal.Signals,
    log: Path | None,
    lock: int | None = None,
    identity: str = "same",
    folders: Sequence[Path] = (),
    environ: Mapping[str, str] | None = None,
    use_pipe: bool | None = None,
    takes_turns: bool = False,
) -> tuple[subprocess.Popen[bytes], int | None]:
    """Start a command in a session of its own that gets the signal when this process ends.

    The kernel ties the parent-death signal to the starting thread, so a start from a passing thread is
    handed to one that lives as long as the process. Without a log the output is ours. Also returns the pipe that stands in for the signal
    where the system has none.
    """
    reader, writer = (
        os.pipe() if (sys.platform != "linux" if use_pipe is None else use_pipe) else (None, None)
    )
    orders = {
        "parent": os.getpid(),
        "signal": int(death_signal),
        "identity": identity,
        "folders": [str(folder) for folder in folders],
        "pipe": reader,
        "takes_turns": takes_turns,
    }
    kept = tuple(fd for fd in (lock, reader) if fd is not None)

    def start() -> subprocess.Popen[bytes]:
        with contextlib.nullcontext(None) if log is None else log.open("ab") as sink:
            return subprocess.Popen(  # noqa: S603 - our own child.py and a program we chose, no shell
                [sys.executable, "-I", "-S", str(CHILD), json.dumps(orders), *command],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                pass_fds=kept,
                env=environ,
            )

    try:
        if threading.current_thread() is threading.main_thread():
            return start(), writer
        return _spawner().submit(start).result(), writer
    finally:
        if reader is not None:
            os.close(reader)


def open_log(folder: Path) -> tuple[Path, int]:
    """The server's log and where this start begins in it; a long one is put aside first."""
    log = folder / "server.log"
    size = log.stat().st_size if log.exists() else 0
    if size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
        size = 0
    return log, size


def wait_until_ready(
    process: subprocess.Popen[bytes],
    answers: Callable[[], bool],
    *,
    name: str,
    log: Path,
    since: int,
    seconds: float,
) -> None:
    """Ask until the server answers; raise with its own last words if it ends before that."""
    deadline = time.monotonic() + seconds
    while not answers():
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            words = log.read_bytes()[since:].decode(errors="replace").strip().splitlines()
            why = next((line for line in words if "FATAL" in line or "storefront:" in line), "")
            what = "ended at once" if ended else f"did not answer within {seconds:g} seconds"
            raise EmbeddedServerError(
                f"{name} {what}: {why or (words[-1] if words else 'it said nothing')} (see {log})"
            )
        time.sleep(POLL_SECONDS)
