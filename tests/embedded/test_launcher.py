"""The embedded servers: they answer, belong to one owner, and neither outlive it nor lose what was committed."""

import os
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
import redis

from app.integrations.embedded.child import namespace_is_allowed
from app.integrations.embedded.postgres import (
    DATABASE,
    SOCKET,
    USER,
    find_binaries,
    find_running_postgres,
    start_postgres,
)
from app.integrations.embedded.process import EmbeddedServer, EmbeddedServerError, is_running
from app.integrations.embedded.redis import find_running_redis, start_redis
from app.integrations.embedded.wire import run_statement
from tests.embedded.processes import owner, wait_until_gone


def query(folder: Path, statement: str) -> list[str]:
    return run_statement(folder / "postgres" / "run" / SOCKET, USER, DATABASE, statement)


@contextmanager
def client_of(server: EmbeddedServer) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(server.url)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def folder():
    """A short path that other users can reach, unlike pytest's own folders."""
    path = Path(tempfile.mkdtemp(prefix="sf-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


async def test_postgres_answers_durably_and_only_on_a_private_socket(folder):
    with start_postgres(folder / "postgres") as server:
        connection = await asyncpg.connect(server.url)
        settings = {
            row["name"]: row["setting"]
            for row in await connection.fetch("SELECT name, setting FROM pg_settings")
        }
        assert (settings["fsync"], settings["synchronous_commit"]) == ("on", "on")
        assert (settings["listen_addresses"], settings["max_connections"]) == ("", "200")
        assert await connection.fetchval("SELECT lower('ÄÖÉ')") == "äöé"
        for extension in ("pg_trgm", "unaccent", "pg_stat_statements"):
            await connection.execute(f"CREATE EXTENSION {extension}")
        await connection.close()
        assert stat.S_IMODE((folder / "postgres").stat().st_mode) == 0o700
        assert find_running_postgres(folder / "postgres") == server.url
    assert not is_running(server.pid)
    assert find_running_postgres(folder / "postgres") is None


def test_redis_answers_without_a_port_and_keeps_nothing_unless_asked_to(folder):
    with start_redis(folder / "redis") as server:
        client = redis.Redis.from_url(server.url)
        client.set("key", "value")
        assert client.config_get("port") == {"port": "0"}
        assert find_running_redis(folder / "redis") == server.url
        client.close()
    with start_redis(folder / "redis") as server:
        client = redis.Redis.from_url(server.url)
        assert client.get("key") is None
        client.close()


def test_a_redis_that_keeps_loses_nothing_when_it_is_killed(folder):
    with start_redis(folder / "redis", keeps=True) as server, client_of(server) as client:
        client.set("key", "value")
        os.killpg(server.pid, signal.SIGKILL)
        server.process.wait()
    with start_redis(folder / "redis", keeps=True) as server, client_of(server) as client:
        assert client.get("key") == b"value"


def journal(folder: Path) -> Path:
    return next((folder / "redis").glob("appendonly*/*.incr.aof"))


def fill_journal(folder: Path) -> None:
    with start_redis(folder / "redis", keeps=True) as server, client_of(server) as client:
        client.set("first", "value")
        client.set("last", "value")


def test_a_journal_that_was_cut_off_is_read_up_to_there(folder):
    fill_journal(folder)
    os.truncate(journal(folder), journal(folder).stat().st_size - 5)
    with start_redis(folder / "redis", keeps=True) as server, client_of(server) as client:
        assert client.keys() == [b"first"]


@pytest.mark.parametrize("place", ["*.incr.aof", "*.base.rdb", "*.manifest"])
def test_a_journal_that_cannot_be_read_is_put_aside_and_the_server_starts_empty(folder, place):
    fill_journal(folder)
    broken = next((folder / "redis").glob(f"appendonly*/{place}"))
    broken.write_bytes(b"this is none\r\n" + broken.read_bytes()[14:])
    for _ in range(2):
        with start_redis(folder / "redis", keeps=True) as server, client_of(server) as client:
            assert client.keys() in ([], [b"new"])
            client.set("new", "value")
    aside = folder / "redis" / "appendonlydir.unreadable"
    assert (aside / broken.name).read_bytes().startswith(b"this is none")


def test_a_redis_that_cannot_start_for_another_reason_keeps_its_journal(folder):
    fill_journal(folder)
    before = journal(folder).read_bytes()
    server = folder / "not-a-server"
    server.write_text("#!/bin/sh\necho no memory left\nexit 1\n")
    server.chmod(0o755)
    with pytest.raises(EmbeddedServerError, match="no memory left"):
        start_redis(folder / "redis", keeps=True, server=server)
    assert journal(folder).read_bytes() == before


@pytest.mark.parametrize("orders", [{}, {"use_pipe": True}], ids=["parent-death signal", "pipe"])
def test_a_killed_owner_leaves_nothing_and_the_next_start_finds_what_was_committed(folder, orders):
    with owner(folder, **orders) as (process, pids):
        query(folder, "CREATE TABLE kept (n int)")
        query(folder, "INSERT INTO kept VALUES (42)")
        process.kill()
        process.wait()
        # At once, while the old server may still be going down.
        with start_postgres(folder / "postgres"), start_redis(folder / "redis"):
            assert query(folder, "SELECT n FROM kept") == ["42"]
            assert not is_running(pids["postgres"])
        wait_until_gone(list(pids.values()))


def test_a_killed_postgres_recovers_at_the_next_start(folder):
    with start_postgres(folder / "postgres") as server:
        query(folder, "CREATE TABLE kept AS SELECT generate_series(1, 10000) AS n")
        os.killpg(server.pid, signal.SIGKILL)
        server.process.wait()
    with start_postgres(folder / "postgres"):
        assert query(folder, "SELECT count(*) FROM kept") == ["10000"]


def test_a_second_start_says_in_one_line_who_has_the_folder(folder):
    with owner(folder) as (process, _):
        for start, name in ((start_postgres, "postgres"), (start_redis, "redis")):
            with pytest.raises(EmbeddedServerError) as refused:
                start(folder / name)
            assert f"is already run by process {process.pid}" in str(refused.value)
            assert "\n" not in str(refused.value)
        assert query(folder, "SELECT 1") == ["1"]


@pytest.mark.skipif(
    os.geteuid() == 0 and not namespace_is_allowed(), reason="as root, an ordinary user is a user namespace"
)
def test_an_ordinary_user_needs_nothing_more(folder):
    with owner(folder, ordinary_user=True) as (_, pids):
        assert query(folder, "SELECT 1") == ["1"]
        if Path("/proc").is_dir():
            assert f"Uid:\t{os.geteuid()}\t" in Path(f"/proc/{pids['postgres']}/status").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become the user nobody")
def test_root_without_namespaces_runs_postgres_as_nobody_and_can_change_back(folder):
    reachable = subprocess.run(
        [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            find_binaries(os.environ) / "postgres",
            "-V",
        ],
        capture_output=True,
        check=False,
    )
    if reachable.returncode != 0:
        pytest.skip("the user nobody cannot reach the PostgreSQL of this checkout")
    with start_postgres(folder / "postgres", identity="nobody"):
        query(folder, "CREATE TABLE kept AS SELECT 7 AS n")
        assert (folder / "postgres" / "cluster").stat().st_uid != 0
    with start_postgres(folder / "postgres"):
        assert query(folder, "SELECT n FROM kept") == ["7"]


def test_a_long_path_gets_its_socket_elsewhere_and_leaves_nothing_there(folder):
    deep = folder / ("long" * 25) / "postgres"
    with start_postgres(deep) as server:
        place = Path(server.url.partition("host=")[2])
        assert not place.is_relative_to(folder)
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert find_running_postgres(deep) == server.url
    assert not place.exists()


def test_a_stale_pid_file_that_names_another_program_is_no_hindrance(folder):
    start_postgres(folder / "postgres").stop()
    (folder / "postgres/cluster/postmaster.pid").write_text(f"{os.getppid()}\n")
    with start_postgres(folder / "postgres"):
        assert query(folder, "SELECT 1") == ["1"]


def test_an_interrupted_initdb_is_begun_again(folder):
    left = folder / "postgres" / "cluster.new"
    left.mkdir(parents=True)
    (left / "PG_VERSION").write_text("18\n")
    with start_postgres(folder / "postgres"):
        assert query(folder, "SELECT 1") == ["1"]
    assert not left.exists()


def test_a_folder_of_another_version_is_left_alone(folder):
    start_postgres(folder / "postgres").stop()
    (folder / "postgres/cluster/PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedServerError, match="was made by PostgreSQL 9"):
        start_postgres(folder / "postgres")


def test_a_server_that_cannot_start_says_why_in_one_line(folder):
    with pytest.raises(EmbeddedServerError, match=r"PostgreSQL ended at once: .*max_connections") as refused:
        start_postgres(folder / "postgres", options={"max_connections": "many"})
    assert "\n" not in str(refused.value)
    with start_postgres(folder / "postgres"):
        assert query(folder, "SELECT 1") == ["1"]


def test_a_server_started_by_a_passing_thread_outlives_it(folder):
    started = []
    thread = threading.Thread(target=lambda: started.append(start_postgres(folder / "postgres")))
    thread.start()
    thread.join()
    with started[0]:
        assert query(folder, "SELECT 1") == ["1"]


def test_a_named_folder_without_a_server_is_refused():
    with pytest.raises(EmbeddedServerError, match="no initdb and postgres in /nowhere"):
        find_binaries({"STOREFRONT_POSTGRES_BIN": "/nowhere"})
