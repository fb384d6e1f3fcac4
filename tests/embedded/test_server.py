"""The server processes and `storefront dev`: one port, one owner, fallen parts replaced, nothing left behind."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from app.db.migrations import migrate_now
from app.integrations.embedded.postgres import start_postgres
from app.integrations.embedded.process import is_running
from app.integrations.embedded.redis import start_redis
from tests.embedded.processes import PATIENCE, environment, family, storefront, wait_until, wait_until_gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes the way Linux shows them")


@pytest.fixture(scope="module")
def databases():
    folder = Path(tempfile.mkdtemp(prefix="sf-"))
    with start_postgres(folder / "postgres") as postgres, start_redis(folder / "redis") as redis:
        migrate_now(postgres.url)
        yield {"DATABASE_URL": postgres.url, "REDIS_URL": redis.url}
    shutil.rmtree(folder)


@pytest.fixture
def folder():
    path = Path(tempfile.mkdtemp(prefix="sf-"))
    yield path
    shutil.rmtree(path)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def serving(databases, folder, port):
    return environment(
        **databases,
        PORT=str(port),
        STOREFRONT_WORKERS="2",
        STOREFRONT_DATA_DIR=str(folder),
        LOG_LEVEL="warning",
    )


def status(port, path="/ready"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def wait_until_ready(process, port, output):
    def ready():
        assert process.poll() is None, output.read_text()
        return status(port) == 200

    wait_until(ready, "the server is ready")


def port_is_free(port):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def server_processes(main):
    return [child.pid for child in psutil.Process(main).children()]


def test_a_second_server_does_not_join_the_port_in_silence(serving, folder, port):
    with storefront("serve", environ=serving, output=folder / "first") as first:
        wait_until_ready(first, port, folder / "first")
        with storefront("serve", environ=serving, output=folder / "second") as second:
            assert second.wait(PATIENCE) == 1
        said = (folder / "second").read_text().strip()
        assert said.startswith(f"Error: port {port} on 127.0.0.1 cannot be used")
        assert "\n" not in said
        assert status(port) == 200


def test_a_port_that_another_program_has_is_refused(serving, folder, port):
    with socket.create_server(("127.0.0.1", port)):
        with storefront("serve", environ=serving, output=folder / "out") as process:
            assert process.wait(PATIENCE) == 1
        assert f"port {port}" in (folder / "out").read_text()


def own_share(pid):
    """How much of a process's memory is its own and nobody else's."""
    memory = psutil.Process(pid).memory_full_info()
    return memory.uss / memory.rss


def test_killed_server_processes_are_replaced_also_several_at_once_and_share_what_is_loaded(
    serving, folder, port
):
    with storefront("serve", environ=serving, output=folder / "out") as process:
        wait_until_ready(process, port, folder / "out")
        # Twice in a row, faster than Granian itself would bear.
        for _ in range(2):
            wait_until(lambda: len(server_processes(process.pid)) == 2, "two server processes run")
            before = server_processes(process.pid)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            wait_until(
                lambda old=before: len(set(server_processes(process.pid)) - set(old)) == 2,
                "both are replaced",
            )
            wait_until_ready(process, port, folder / "out")
        # An eighth where the application was made before the fork, a third and more where each makes its own.
        assert max(map(own_share, server_processes(process.pid))) < 0.3


def test_a_killed_server_takes_its_processes_along_and_frees_the_port(serving, folder, port):
    with storefront("serve", environ=serving, output=folder / "out") as process:
        wait_until_ready(process, port, folder / "out")
        pids = family(process.pid)
        process.kill()
        process.wait()
        wait_until_gone(pids)
        # A process may be gone a moment before the kernel has closed what it held.
        wait_until(lambda: port_is_free(port), "the port is free")
    with storefront("serve", environ=serving, output=folder / "again") as process:
        wait_until_ready(process, port, folder / "again")


def test_a_server_that_is_told_to_end_does_so_with_a_connection_open(serving, folder, port):
    with storefront("serve", environ=serving, output=folder / "out") as process:
        wait_until_ready(process, port, folder / "out")
        idle = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        idle.request("GET", "/health")
        assert idle.getresponse().read()
        pids = family(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        wait_until_gone(pids)
        idle.close()


def test_a_server_that_cannot_start_ends_with_an_error(serving, folder, port):
    serving["STOREFRONT_READS_POOL"] = "many"
    with storefront("serve", environ=serving, output=folder / "out") as process:
        assert process.wait(PATIENCE) == 1
    assert "STOREFRONT_READS_POOL must be a number" in (folder / "out").read_text()


@pytest.mark.parametrize("command", ["serve", "worker", "dev"])
def test_production_refuses_development_secrets_and_names_each(command, folder, port):
    environ = environment(STOREFRONT_ENV="production", PORT=str(port), STOREFRONT_DATA_DIR=str(folder))
    with storefront(command, environ=environ, output=folder / "out") as process:
        assert process.wait(PATIENCE) == 1
    said = (folder / "out").read_text()
    for name in ("STOREFRONT_SECRET_KEY", "DATABASE_URL", "REDIS_URL", "SMTP_URL", "STOREFRONT_PUBLIC_URL"):
        assert name in said
    assert "Traceback" not in said


@pytest.fixture
def developing(folder, port):
    return environment(PORT=str(port), STOREFRONT_WORKERS="1", STOREFRONT_DATA_DIR=str(folder / "data"))


MAY_TAKE_TURNS = "import os; os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))"


def takes_turns(pid):
    """Whether a process interrupts nobody when it is woken; None of those that answer shoppers, and of what has ended."""
    try:
        program = " ".join(psutil.Process(pid).cmdline())
        at_once = "redis" in program or program.endswith("serve")
        return None if at_once else os.sched_getscheduler(pid) == os.SCHED_BATCH
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None


def test_dev_runs_everything_and_ends_everything(developing, folder, port):
    with storefront("dev", environ=developing, output=folder / "out") as process:
        wait_until_ready(process, port, folder / "out")
        wait_until(lambda: "Ctrl-C" in (folder / "out").read_text(), "the banner is shown")
        pids = family(process.pid)
        if subprocess.run([sys.executable, "-c", MAY_TAKE_TURNS], check=False).returncode == 0:
            started = [pid for pid in pids if pid != process.pid]
            wait_until(lambda: False not in map(takes_turns, started), "worker and PostgreSQL take turns")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        wait_until_gone(pids)
    assert "Traceback" not in (folder / "out").read_text()


def call(port, method, path, body=None, *, auth_key=""):
    """What a storefront call answers, as status and object."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {auth_key}"}
        connection.request(method, f"/storefront/v1{path}", json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_killed_dev_leaves_nothing_and_the_next_one_starts_with_everybody_logged_in(
    developing, folder, port
):
    ada = {"username": "Ada", "email": "ada@example.com", "password": "correct horse battery"}
    with storefront("dev", environ=developing, output=folder / "out") as process:
        wait_until_ready(process, port, folder / "out")
        joined, account = call(port, "POST", "/customer/signup", ada)
        assert joined == 200, account
        pids = family(process.pid)
        process.kill()
        process.wait()
        wait_until_gone(pids)
        # A process may be gone a moment before the kernel has closed what it held.
        wait_until(lambda: port_is_free(port), "the port is free")
    with storefront("dev", environ=developing, output=folder / "again") as process:
        wait_until_ready(process, port, folder / "again")
        found, profile = call(port, "GET", "/customer", auth_key=account["auth_key"])
        assert (found, profile["email"]) == (200, ada["email"])


def test_a_second_dev_on_the_same_data_says_in_one_line_what_is_wrong(developing, folder, port):
    with storefront("dev", environ=developing, output=folder / "out") as process:
        wait_until_ready(process, port, folder / "out")
        for changes in ({}, {"PORT": str(free_port())}):
            with storefront("dev", environ=developing | changes, output=folder / "second") as second:
                assert second.wait(PATIENCE) == 1
            said = (folder / "second").read_text().strip()
            assert said.startswith("Error: ")
            assert "\n" not in said
        assert f"already run by process {process.pid}" in said
        assert status(port) == 200


def test_dev_replaces_whatever_falls(developing, folder, port):
    with storefront("dev", environ=developing, output=folder / "out") as process:
        wait_until_ready(process, port, folder / "out")
        wait_until(lambda: "Ctrl-C" in (folder / "out").read_text(), "everything has started")
        for part in psutil.Process(process.pid).children():
            os.killpg(part.pid, signal.SIGKILL)
            wait_until(lambda fallen=part.pid: not is_running(fallen), "the part is gone")
            wait_until(
                lambda: len(psutil.Process(process.pid).children()) == 4 or process.poll() is not None,
                "it was replaced",
            )
        wait_until_ready(process, port, folder / "out")
