"""The server processes: one port that is ours alone, Granian's workers, and what happens when one dies."""

import contextlib
import gc
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import click
from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.log import LogLevels
from granian.server.mp import MPServer

from app.integrations.embedded.child import die_with_parent
from app.settings import Settings

BACKLOG: Final = 2048
# Connections that one process serves at once; the rest wait in the backlog.
BACKPRESSURE: Final = 1024
STOP_SECONDS: Final = 15
# A process that ends by itself this soon did not manage to start.
START_SECONDS: Final = 5.0
PORT_PATIENCE_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.02

log = logging.getLogger("storefront.server")


def claim_port(host: str, port: int) -> socket.socket:
    """Make sure that nobody listens there and that no second server of ours starts; keep what is returned.

    Granian's workers share the port with SO_REUSEPORT, by which a second server would join in silence.
    Binding without it fails where anybody listens; the abstract socket (Linux) settles two starts at once.
    """
    claim = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + PORT_PATIENCE_SECONDS
    while True:
        try:
            if sys.platform == "linux":
                claim.bind(f"\0storefront-{host}-{port}")
            check_port(host, port)
        except OSError as error:
            # A moment's patience: the processes of a killed server are on their way out.
            if time.monotonic() > deadline:
                claim.close()
                raise click.ClickException(
                    f"port {port} on {host} cannot be used ({error.strerror or error}): "
                    "stop what listens there, or set PORT to another one"
                ) from None
            time.sleep(POLL_SECONDS)
            with contextlib.suppress(OSError):
                claim.close()
            claim = socket.socket(socket.AF_UNIX)
        else:
            return claim


def check_port(host: str, port: int) -> None:
    """Raises OSError where the port is taken or cannot be had."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as trial:
        # Connections of an earlier server may linger; only a listening one is in the way.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(address)
        trial.listen(1)


def load_app(parent: int, made: Any) -> Any:
    """Runs in each server process: die with the parent, then take the app that it made, or make one."""
    # A fork inherits the parent's handlers, which would swallow a request to end until Granian sets its own.
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_DFL)
    if sys.platform == "linux":
        die_with_parent(parent, signal.SIGKILL)
    else:
        threading.Thread(target=_end_without, args=(parent,), daemon=True).start()
    return made or make_app()


def make_app() -> Any:
    """The application that the environment describes; nothing is connected yet, and no thread runs."""
    from app.main import app_from_environment  # noqa: PLC0415 - only where requests are answered

    return app_from_environment()


def _end_without(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


class ShopServer(MPServer):
    """Granian, but a killed process is always replaced.

    Granian's own loop gives up when one process falls twice within 5.5 seconds, and can lose sight of
    one of two that fall at once. Here only a process that ends by itself while starting, twice in a row,
    ends the server: what cannot start will not start the third time.
    """

    def _serve_loop(
        self, spawn_target: Callable[..., None], target_loader: Callable[..., Callable[..., Any]]
    ) -> None:
        failed_starts: dict[int, int] = {}
        while True:
            self.main_loop_interrupt.wait()
            # Cleared before looking: whoever falls from here on sets it again.
            self.main_loop_interrupt.clear()
            if self.interrupt_signal:
                return
            if self.reload_signal:
                self._reload(spawn_target, target_loader)  # type: ignore[no-untyped-call]  # Granian's own, unannotated
            while self.interrupt_children:
                index = self.interrupt_children.pop(0)
                worker = self.wrks[index]
                killed = worker.inner.exitcode == -signal.SIGKILL
                early = time.monotonic() - worker.birth < START_SECONDS and not killed
                failed_starts[index] = failed_starts.get(index, 0) + 1 if early else 0
                if failed_starts[index] > 1:
                    self.interrupt_children.append(index)  # Granian's shutdown takes its status from it
                    return
                self._respawn_workers([index], spawn_target, target_loader)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. The environment must lead each process to the same settings."""
    claim = claim_port(settings.host, settings.port)
    made = None
    if multiprocessing.get_start_method() == "fork":
        # Once, before the fork: the processes start at once, also in a fallen one's place, and share the memory
        # of code and routes. Connections and threads come with the lifespan, which each process has to itself.
        # The collector rests meanwhile, as it would find nothing to let go of, and leaves all this alone later:
        # it writes to every object that it looks at, and so would give each process a copy.
        gc.disable()
        made = make_app()
        gc.freeze()
        gc.enable()
    with contextlib.closing(claim):
        ShopServer(
            "app.main:app_from_environment",
            address=settings.host,
            port=settings.port,
            interface=Interfaces.ASGI,
            workers=settings.workers,
            loop=Loops.uvloop,
            # One thread beside Python's has little to hand over: it need not be one of many that wake each other.
            runtime_mode=RuntimeModes.st,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=BACKPRESSURE,
            respawn_failed_workers=True,
            workers_kill_timeout=STOP_SECONDS,
            log_level=LogLevels.info if settings.is_production else LogLevels.warning,
        ).serve(target_loader=partial(load_app, os.getpid(), made), wrap_loader=False)
