"""How many changes a store's catalogue has seen, as a process knows it: never older than a second.

The triggers note_* count each transaction that changes what a store shows (migration 0016). The number is asked
for anew after a second, as soon as PostgreSQL tells of a change, and after every commit on this machine.
"""

import asyncio
import logging
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import asyncpg

from app.db.reads import LOST, Reads
from app.db.session import CONNECT_SECONDS, connect, database_address

logger = logging.getLogger(__name__)

CHANNEL: Final = "storefront_catalogue"
FRESH_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.5
_SIZE: Final = 8
_SUM: Final = "SELECT coalesce(sum(changes), 0)::bigint FROM catalogue_changes WHERE store_id = $1"


class CommitMark:
    """Eight bytes that the processes of one machine share; each commit puts others there.

    Whoever has just written a shop's stock or prices through this machine reads them back at once, from
    whichever process, with no word from the database in between.
    """

    def __init__(self, path: Path) -> None:
        self._bytes = _shared(path)
        # Nobody else begins with these, also after a fork; random bytes for each commit would cost a call to the system.
        self._process = 0
        self._begin = b""
        self._commits = 0

    def change(self, *_: object) -> None:
        if self._process != os.getpid():
            self._process, self._begin = os.getpid(), os.urandom(_SIZE // 2)
        self._commits += 1
        self._bytes[:_SIZE] = self._begin + (self._commits % 2**32).to_bytes(_SIZE // 2)

    def read(self) -> bytes:
        return self._bytes[:_SIZE]


def _shared(path: Path) -> mmap.mmap:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            if file.seek(0, os.SEEK_END) < _SIZE:
                file.truncate(_SIZE)
            return mmap.mmap(file.fileno(), _SIZE)
    except OSError as problem:
        # Then other processes of this machine hear of a commit as those of other machines do.
        logger.warning("processes cannot share what was committed: %s", problem)
        return mmap.mmap(-1, _SIZE)


class Versions:
    """The versions of catalogues. Listens on a connection of its own; without it nothing is remembered."""

    def __init__(self, url: str, reads: Reads, mark: CommitMark) -> None:
        self._url = url
        self._reads = reads
        self._mark = mark
        # By store: when it was asked for, the mark then, and the version.
        self._known: dict[int, tuple[float, bytes, int]] = {}
        self._asked: dict[int, tuple[tuple[int, bytes], asyncio.Task[int]]] = {}
        self._heard = 0
        self._task: asyncio.Task[None] | None = None
        self._forget: Callable[[], None] = lambda: None
        self.listening = False

    def open(self, *, forget: Callable[[], None]) -> None:
        """Begin to listen. `forget` is called whenever the connection is lost."""
        self._forget = forget
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def find(self, store_id: int) -> int | None:
        """The version where it is known, None where it must be asked for."""
        known = self._known.get(store_id)
        if known is None or not self.listening:
            return None
        asked_at, mark, version = known
        if time.monotonic() - asked_at >= FRESH_SECONDS or mark != self._mark.read():
            return None
        return version

    async def get(self, store_id: int) -> int:
        """The version; at most one index look-up, shared by all who ask at the same time."""
        version = self.find(store_id)
        if version is not None:
            return version
        state = (self._heard, self._mark.read())
        asked = self._asked.get(store_id)
        if asked is None or asked[0] != state or not self.listening:
            task = asyncio.get_running_loop().create_task(self._ask(store_id, *state))
            self._asked[store_id] = asked = (state, task)
        return await asyncio.shield(asked[1])

    async def _ask(self, store_id: int, heard: int, mark: bytes) -> int:
        asked_at = time.monotonic()
        try:
            version: int = await self._reads.fetchval(_SUM, store_id)
        finally:
            asked = self._asked.get(store_id)
            if asked is not None and asked[1] is asyncio.current_task():
                del self._asked[store_id]
        # A change that was told of meanwhile may be in this number or not.
        if self.listening and heard == self._heard:
            self._known[store_id] = (asked_at, mark, version)
        return version

    async def _listen(self) -> None:
        while True:
            try:
                connection: Any = await connect(
                    database_address(self._url).asyncpg,
                    timeout=CONNECT_SECONDS,
                    server_settings={"application_name": "storefront-listener"},
                )
                try:
                    await self._stay(connection)
                finally:
                    self._lose()
                    connection.terminate()
            except (*LOST, TimeoutError, asyncpg.PostgresError) as problem:
                logger.warning("not listening for changes of the catalogue: %r", problem)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _stay(self, connection: Any) -> None:
        lost = asyncio.Event()

        def end(_: object) -> None:
            self._lose()
            lost.set()

        connection.add_termination_listener(end)
        await connection.add_listener(CHANNEL, self._hear)
        self.listening = True
        while not lost.is_set():
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await lost.wait()
            except TimeoutError:
                await connection.fetchval("SELECT 1", timeout=CONNECT_SECONDS)

    def _hear(self, _connection: object, _pid: int, _channel: str, store: str) -> None:
        self._heard += 1
        self._known.pop(int(store), None)

    def _lose(self) -> None:
        if self.listening:
            self.listening = False
            self._heard += 1
            self._known.clear()
            self._forget()
