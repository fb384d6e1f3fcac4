"""The shop as it runs in production: its databases, `storefront serve`, a worker, and the ceiling beside it."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg
import redis

from app.db.migrations import migrate
from app.db.session import database_address
from app.integrations.embedded.postgres import start_postgres
from app.integrations.embedded.process import end_process, spawn
from app.integrations.embedded.redis import start_redis
from tests.benchmarks.machine import Parts, postgres_pid, redis_pid
from tests.benchmarks.wire import Connection, UnexpectedAnswer

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.01
STOP: Final = ((signal.SIGTERM, 20.0),)


@dataclass
class Stack:
    """What runs, and how it is reached."""

    folder: Path
    database_url: str
    redis_url: str
    workers: int
    port: int
    ceiling_port: int
    mail_port: int
    # Of a second server, which keeps no answers.
    unkept_port: int
    reference_port: int
    parts: Parts = field(default_factory=Parts)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "STOREFRONT_ENV": "production",
            "STOREFRONT_SECRET_KEY": secrets.token_urlsafe(48),
            "STOREFRONT_PUBLIC_URL": "https://shop.example",
            "STOREFRONT_HOST": HOST,
            "STOREFRONT_WORKERS": str(self.workers),
            "STOREFRONT_DATA_DIR": str(self.folder / "data"),
            "STOREFRONT_LIMITS": "off",
            "PORT": str(self.port),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "SMTP_URL": f"smtp://{HOST}:{self.mail_port}",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }

    def start(self, name: str, *arguments: str, **settings: str) -> None:
        """Start one of our own modules; it dies with this process, however that ends."""
        process, _ = spawn(
            [sys.executable, "-m", *arguments],
            death_signal=signal.SIGKILL,
            log=self.folder / f"{name}.log",
            environ={**self.environ(), **settings},
        )
        self._running[name] = process
        self.parts.processes[name] = process.pid

    def stop(self, name: str) -> None:
        process = self._running.pop(name, None)
        self.parts.processes.pop(name, None)
        if process is not None:
            end_process(process, STOP)

    def stop_all(self) -> None:
        for name in reversed(list(self._running)):
            self.stop(name)

    def start_server(self) -> None:
        self.start("server", "app.cli", "serve")

    def start_unkept(self) -> None:
        """The same server once more, but that it reads every answer from the database."""
        self.start(
            "unkept",
            "app.cli",
            "serve",
            PORT=str(self.unkept_port),
            STOREFRONT_CACHE_BYTES="0",
            STOREFRONT_DATA_DIR=str(self.folder / "unkept"),
        )

    def start_worker(self) -> None:
        self.start("worker", "app.cli", "worker")

    def start_ceiling(self) -> None:
        self.start("ceiling", "tests.benchmarks.ceiling", HOST, str(self.ceiling_port), str(self.workers))

    def start_reference(self) -> None:
        self.start("reference", "tests.benchmarks.reference", HOST, str(self.reference_port))

    @contextmanager
    def worker_paused(self) -> Iterator[None]:
        """Nothing of the worker in between, so that what is counted is the server's."""
        pid = self.parts.processes["worker"] or 0
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    async def served(self, port: int, path: str, name: str) -> float:
        """Seconds until the path is answered with 200. Raises RuntimeError with the end of the log."""
        began = time.perf_counter()
        connection = Connection(HOST, port)
        reason = "no answer"
        while time.perf_counter() - began < START_SECONDS:
            if self._running[name].poll() is not None:
                break
            try:
                await connection.call("GET", path)
            except UnexpectedAnswer as problem:
                reason = str(problem)
            except (OSError, EOFError, TimeoutError):
                pass
            else:
                connection.close()
                return time.perf_counter() - began
            # A refused connection is the only sign that a server is not there yet.
            await asyncio.sleep(POLL_SECONDS)
        log = (self.folder / f"{name}.log").read_text("utf-8", "replace")
        raise RuntimeError(f"the {name} did not serve {path} ({reason}):\n{log[-2000:]}")


@asynccontextmanager
async def stack(
    folder: Path, *, workers: int, beside: Stack | None = None
) -> AsyncIterator[tuple[Stack, Any]]:
    """Databases with an empty, migrated schema, and a connection to look at them with.

    The servers of another stack, else DATABASE_URL and REDIS_URL are used where they are set, else embedded
    ones. A database of its own is made in any case and dropped at the end.
    """
    stops = []
    try:
        base, redis_url = os.environ.get("DATABASE_URL", ""), os.environ.get("REDIS_URL", "")
        if beside is not None:
            base, redis_url = beside.database_url, beside.redis_url
        if not base:
            postgres = start_postgres(folder / "postgres")
            stops.append(postgres.stop)
            base = postgres.url
        if not redis_url:
            embedded = start_redis(folder / "redis")
            stops.append(embedded.stop)
            redis_url = embedded.url
        async with _own_database(base) as (url, connection):
            made = Stack(folder, url, redis_url, workers, *_free_ports(5))
            stops.append(made.stop_all)
            made.parts.processes["postgres"] = await postgres_pid(connection)
            client = redis.Redis.from_url(redis_url)
            made.parts.processes["redis"] = redis_pid(int(client.info("server")["process_id"]))
            client.close()
            made.start("mail", "tests.benchmarks.mail_sink", str(made.mail_port))
            try:
                yield made, connection
            finally:
                made.stop_all()
    finally:
        for stop in reversed(stops):
            stop()


@asynccontextmanager
async def _own_database(base: str) -> AsyncIterator[tuple[str, Any]]:
    name = f"storefront_bench_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(database_address(base).asyncpg)
    try:
        await admin.execute(f'CREATE DATABASE "{name}"')
        place, _, query = base.partition("?")
        url = f"{place.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
        try:
            await migrate(url)
            connection = await asyncpg.connect(database_address(url).asyncpg)
            try:
                yield url, connection
            finally:
                await connection.close()
        finally:
            await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
