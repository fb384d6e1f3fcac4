"""Server and worker as processes that a test may kill: each is started again, as a supervisor would."""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.embedded.processes import ROOT

READY_SECONDS = 120.0  # machines that test are busy
STOP_SECONDS = 20.0
LOOK_SECONDS = 0.05  # between two looks at a condition that nothing announces


async def wait_until(
    condition: Callable[[], Awaitable[object]],
    what: str,
    seconds: float = READY_SECONDS,
    *,
    said: Callable[[], str] = str,
) -> None:
    """Ask until it holds; fail where it does not in time, with what was said meanwhile."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 - it holds in other processes
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}\n{said()}") from None


@dataclass
class Part:
    """One of our commands under launcher.py, started again whenever it ends, until it is stopped."""

    role: str
    environ: Mapping[str, str]
    output: Path
    starts: int = 0
    _process: asyncio.subprocess.Process | None = None
    _keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    async def _spawn(self) -> None:
        with self.output.open("ab") as sink:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.faults.launcher", self.role),
                cwd=ROOT,
                env=dict(self.environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        self.starts += 1

    async def _keep(self) -> None:
        while self._process is not None:
            await self._process.wait()
            await self._spawn()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def children(self) -> list[int]:
        """The server processes under the main one."""
        try:
            return [child.pid for child in psutil.Process(self.pid).children()]
        except psutil.NoSuchProcess:
            return []

    async def stop(self) -> None:
        """End it in order and leave it ended."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self.is_running:
            assert self._process is not None
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()

    def said(self) -> str:
        return self.output.read_text("utf-8", "replace")
