"""How a size of a picture is made once, off the event loop, and kept on this machine's disk."""

import asyncio
import fcntl
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from app.domain.files.keeping import FileStore
from app.domain.files.names import Kind, PictureName
from app.integrations.disk_cache import DiskCache
from app.integrations.pictures import resize_picture
from app.integrations.threads import give_way
from app.kit.errors import UNAVAILABLE, Unavailable

THREADS: Final = 2
MOST_WAITING: Final = 64
RETRY_SECONDS: Final = 2
LOCKS: Final = 64


class PictureSizes:
    """Makes sizes in two threads per process. Whoever asks for one that is being made waits for the same."""

    def __init__(
        self, files: FileStore, folder: Path, *, most_bytes: int, most_waiting: int = MOST_WAITING
    ) -> None:
        self._files = files
        self._cache = DiskCache(folder / "made", most_bytes=most_bytes)
        self._locks = folder / "locks"
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="pictures", initializer=give_way)
        # As many originals are in memory as there are threads to work on them.
        self._turns = asyncio.Semaphore(THREADS)
        self._making: dict[str, asyncio.Task[bytes | None]] = {}
        self._most = most_waiting

    async def find(self, name: PictureName, width: int, kind: Kind) -> bytes | None:
        """The picture in this width and kind; None where there is no such picture.

        Raises Invalid picture_unusable for a file that is none, Unavailable where too many wait already.
        """
        key = f"{name.digest}-{width}.{kind}"
        made = await asyncio.to_thread(self._cache.get, key)
        if made is not None:
            return made
        task = self._making.get(key)
        if task is None:
            if len(self._making) >= self._most:
                raise Unavailable(UNAVAILABLE, "Too many pictures are being made.", retry_after=RETRY_SECONDS)
            task = self._making[key] = asyncio.create_task(self._make(key, name, width, kind))
            task.add_done_callback(partial(self._forget, key))
        # Whoever hangs up leaves it to the others, and to the cache.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Let the work in hand end and take no more."""
        for task in self._making.values():
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _make(self, key: str, name: PictureName, width: int, kind: Kind) -> bytes | None:
        async with self._turns:
            original = await self._files.get(name.key)
            if original is None:
                return None
            work = partial(self._make_here, key, original, width, kind)
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _make_here(self, key: str, original: bytes, width: int, kind: Kind) -> bytes:
        with self._alone(key):
            made = self._cache.get(key)  # another process may have been first
            if made is None:
                made = resize_picture(original, width, kind)
                self._cache.put(key, made)
            return made

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """While the block runs, no other process of this machine makes the same."""
        self._locks.mkdir(parents=True, exist_ok=True)
        number = hashlib.sha256(key.encode()).digest()[0] % LOCKS
        with (self._locks / str(number)).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _forget(self, key: str, task: asyncio.Task[bytes | None]) -> None:
        self._making.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever waits was told; nobody may be left
