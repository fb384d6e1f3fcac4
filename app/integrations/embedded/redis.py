"""The embedded Redis: which binary, how it is started, without a port, and what of it outlives a restart."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import quote

from app.integrations.embedded.process import (
    EmbeddedServer,
    EmbeddedServerError,
    end_process,
    lock_folder,
    open_log,
    private_socket_folder,
    socket_folders,
    spawn,
    wait_until_ready,
)

NAME = "Redis"
SOCKET = "redis.sock"
READY_SECONDS = 20.0
STOP = ((signal.SIGTERM, 5.0),)
FETCHED = Path("lib", "storefront", "redis-server")  # where `make run` puts it, inside the environment
JOURNALS = ("appendonlydir", "appendonly.aof")  # of Redis 7 and later, and before
UNREADABLE = ".unreadable"


def find_server(environ: Mapping[str, str]) -> Path:
    """The server program: named, from the PATH, or the one that the set-up put into the environment."""
    named = environ.get("STOREFRONT_REDIS_SERVER", "").strip()
    if named:
        if not os.access(named, os.X_OK):
            raise EmbeddedServerError(f"STOREFRONT_REDIS_SERVER: {named} cannot be executed")
        return Path(named).absolute()
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name, path=environ.get("PATH"))
        if found:
            return Path(found)
    fetched = Path(sys.prefix) / FETCHED
    if os.access(fetched, os.X_OK):
        return fetched
    raise EmbeddedServerError(
        "no Redis was found: set REDIS_URL to a running one (Redis 6.2 or newer, or Valkey), "
        "install redis-server or valkey-server, or let `make run` fetch one"
    )


def _answers(path: Path) -> bool:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(1)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False


def _url(path: Path) -> str:
    return f"unix://{quote(str(path))}"


def find_running_redis(data_dir: Path) -> str | None:
    """The URL of the server that another process runs in this data folder, if one answers."""
    for folder in socket_folders(data_dir.absolute(), SOCKET):
        if _answers(folder / SOCKET):
            return _url(folder / SOCKET)
    return None


def start_redis(
    data_dir: Path, *, server: Path | None = None, use_pipe: bool | None = None, keeps: bool = False
) -> EmbeddedServer:
    """Start a Redis and return when it answers: an empty one, or with `keeps` one that goes on where it was.

    What it keeps is written to a journal in the data folder before it answers, and is on the disk within a
    second: a killed Redis loses nothing, a machine without power a second. A journal that was cut off is
    read up to there; one that cannot be read at all is put aside, and the server starts empty.

    It ends with `stop`, or with this process, however that ends. Raises EmbeddedServerError with one line
    for people.
    """
    data_dir = data_dir.absolute()
    program = server or find_server(os.environ)
    lock = lock_folder(data_dir, NAME)
    try:
        socket_folder = private_socket_folder(data_dir, SOCKET)
        path = socket_folder / SOCKET
        command = [
            *(str(program), "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"),
            *("--save", "", "--dir", str(data_dir), "--daemonize", "no", "--loglevel", "warning"),
            *("--appendonly", "yes" if keeps else "no", "--appendfsync", "everysec"),
            *("--aof-load-truncated", "yes"),
        ]

        def launch() -> tuple[subprocess.Popen[bytes], int | None]:
            log, since = open_log(data_dir)
            process, farewell = spawn(
                command, death_signal=signal.SIGTERM, log=log, lock=lock, use_pipe=use_pipe
            )
            try:
                wait_until_ready(
                    process, lambda: _answers(path), name=NAME, log=log, since=since, seconds=READY_SECONDS
                )
            except BaseException as failed:
                ended_by_itself = process.poll() is not None
                end_process(process, STOP)
                words = log.read_bytes()[since:]
                if isinstance(failed, EmbeddedServerError) and ended_by_itself and _blames_journal(words):
                    raise _JournalError from failed
                raise
            return process, farewell

        try:
            process, farewell = launch()
        except _JournalError as failed:
            if not _put_aside(data_dir):
                raise EmbeddedServerError(str(failed.__cause__)) from failed
            process, farewell = launch()
    except BaseException:
        os.close(lock)
        raise
    return EmbeddedServer(
        name=NAME,
        url=_url(path),
        process=process,
        lock=lock,
        socket_folder=socket_folder,
        farewell=farewell,
        stop_signals=STOP,
    )


class _JournalError(Exception):
    """The server ended because it could not read its journal."""


def _blames_journal(words: bytes) -> bool:
    told = words.lower()
    return b"append only file" in told or b"aof" in told or b"rdb file" in told


def _put_aside(data_dir: Path) -> bool:
    """Rename the journal, so that the next start begins a new one; whether there was any."""
    found = [data_dir / name for name in JOURNALS if (data_dir / name).exists()]
    for journal in found:
        aside = journal.with_name(journal.name + UNREADABLE)
        if aside.is_dir():
            shutil.rmtree(aside)
        journal.replace(aside)
    return bool(found)


@contextlib.asynccontextmanager
async def embedded_redis(data_dir: Path) -> AsyncIterator[str]:
    """The URL of a server that lives as long as the block."""
    server = await asyncio.to_thread(start_redis, data_dir)
    try:
        yield server.url
    finally:
        await asyncio.to_thread(server.stop)
