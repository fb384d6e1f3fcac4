"""Identity providers that others have written, each as a process of its own on loopback."""

import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.api.live import free_port

START_SECONDS = 20.0
_NPM = Path(__file__).with_name("npm")
_PACKAGE = Path(__file__).parents[2] / ".cache/npm/node_modules/oauth2-mock-server/dist/index.mjs"


@asynccontextmanager
async def oidc_provider_mock(user: dict[str, Any]) -> AsyncIterator[str]:
    """oidc-provider-mock with one user, who is named by `sub`; its address. It wants a nonce."""
    port = free_port()
    command = [
        sys.executable, "-W", "ignore", "-m", "oidc_provider_mock",
        "--port", str(port), "--require-nonce", "true", "--user-claims", json.dumps(user),
    ]  # fmt: skip
    # It is plain http, which its library takes on loopback only when told so.
    async with _running(command, port, {"AUTHLIB_INSECURE_TRANSPORT": "1"}):
        yield f"http://127.0.0.1:{port}"


@dataclass
class ChangingProvider:
    """oauth2-mock-server, whose hook changes any claim of the ID tokens that it signs."""

    url: str
    _process: asyncio.subprocess.Process

    async def change(self, **claims: Any) -> None:
        """These claims stand in the next tokens; None takes one out."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(claims).encode() + b"\n")
        await self._process.stdin.drain()
        assert await self._process.stdout.readline() == b"ok\n"


def missing_for_changing_provider() -> str:
    """What keeps it from running here; empty where nothing does."""
    if shutil.which("node") is None:
        return "needs Node.js 20.19 or newer"
    return "" if _PACKAGE.exists() else "needs `make test` once, which fetches oauth2-mock-server by npm"


@asynccontextmanager
async def changing_provider() -> AsyncIterator[ChangingProvider]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "node", str(_NPM / "server.mjs"), str(_PACKAGE), stdin=pipe, stdout=pipe
    )
    assert process.stdin
    assert process.stdout
    try:
        async with asyncio.timeout(START_SECONDS):
            url = (await process.stdout.readline()).decode().strip()
        yield ChangingProvider(url, process)
    finally:
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def _running(command: list[str], port: int, environ: dict[str, str]) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | environ,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _accepts(port):
                if process.returncode is not None:
                    raise RuntimeError(f"{command[-1]} ended with {process.returncode}")
                # a refused connection is the only sign that a server is not there yet
                await asyncio.sleep(0.02)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
