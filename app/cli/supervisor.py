"""How several processes run as one: started in order, restarted when one falls, ended together."""

import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import click

from app.integrations.embedded.process import end_process, spawn

RESTART_GAP_SECONDS: Final = 0.3
# Five falls within the window are not bad luck.
FALLS: Final = 5
FALL_WINDOW_SECONDS: Final = 30.0
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
CHILD_STOP: Final = ((signal.SIGTERM, 20.0),)


class Running(Protocol):
    """A process that can be ended."""

    @property
    def process(self) -> subprocess.Popen[bytes]: ...

    def stop(self) -> None: ...


R = TypeVar("R", bound=Running)


@dataclass(frozen=True, slots=True)
class CommandProcess:
    """One of our own commands in a process of its own."""

    process: subprocess.Popen[bytes]
    farewell: int | None

    def stop(self) -> None:
        end_process(self.process, CHILD_STOP)


def start_command(name: str, environ: Mapping[str, str]) -> CommandProcess:
    """Start `storefront NAME`; killed without ado when this process is killed, as nothing else could end it."""
    process, farewell = spawn(
        [sys.executable, "-m", "app.cli", name], death_signal=signal.SIGKILL, log=None, environ=environ
    )
    return CommandProcess(process, farewell)


@dataclass(slots=True)
class _Part:
    name: str
    start: Callable[[], Running]
    running: Running
    falls: deque[float] = field(default_factory=deque)


class Supervisor:
    """The parts that run, in the order of their start; ended in the opposite order."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self._events: queue.SimpleQueue[_Part | signal.Signals] = queue.SimpleQueue()
        self._ending = False

    def add(self, name: str, start: Callable[[], R]) -> R:
        """Start a part now, and again whenever it ends by itself."""
        running = start()
        part = _Part(name, start, running)
        self._parts.append(part)
        self._watch(part)
        return running

    def _watch(self, part: _Part) -> None:
        process = part.running.process

        def wait() -> None:
            process.wait()
            self._events.put(part)

        threading.Thread(target=wait, name=f"watch {part.name}", daemon=True).start()

    def poll(self, seconds: float) -> bool:
        """Look after the parts for that long; False when it is time to end.

        Raises ClickException when a part keeps falling.
        """
        try:
            event = self._events.get(timeout=seconds)
        except queue.Empty:
            return True
        if isinstance(event, signal.Signals):
            return False
        self._restart(event)
        return True

    def _restart(self, part: _Part) -> None:
        now = time.monotonic()
        part.falls.append(now)
        while part.falls[0] < now - FALL_WINDOW_SECONDS:
            part.falls.popleft()
        code = part.running.process.returncode
        if len(part.falls) >= FALLS:
            raise click.ClickException(f"the {part.name} ended {FALLS} times in a row; giving up")
        click.echo(f"The {part.name} ended ({_why(code)}); starting it again.", err=True)
        part.running.stop()
        time.sleep(RESTART_GAP_SECONDS)
        part.running = part.start()
        self._watch(part)

    def fallen(self) -> str | None:
        """The name of a part that does not run at the moment."""
        return next((part.name for part in self._parts if part.running.process.poll() is not None), None)

    def run(self) -> None:
        while self.poll(3600):
            pass

    def stop(self) -> None:
        if not self._ending:
            self._ending = True
            for part in reversed(self._parts):
                part.running.stop()

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Turn the signals that end us into events, so that the parts are always ended in order."""

        def note(signum: int, _frame: object) -> None:
            self._events.put(signal.Signals(signum))

        with ExitStack() as stack:
            for signum in STOP_SIGNALS:
                stack.callback(signal.signal, signum, signal.signal(signum, note))
            yield


@contextmanager
def supervisor() -> Iterator[Supervisor]:
    """A supervisor that ends all its parts with the block."""
    made = Supervisor()
    with made.signals():
        try:
            yield made
        finally:
            made.stop()


def _why(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
