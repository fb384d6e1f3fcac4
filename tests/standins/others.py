"""Identity providers that others have written, each as a process of its own on loopback."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.api.live import free_port

START_SECONDS = 20.0


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
