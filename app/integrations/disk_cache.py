"""What can be made again, kept in a folder of bounded size; what was not asked for longest goes first."""

import contextlib
import os
import time
from pathlib import Path
from typing import Final

# After so large a part of the bound was written, the folder is looked through.
LOOK_AFTER: Final = 1 / 16
# A reader marks a file as wanted at most this often.
MARK_SECONDS: Final = 3600


class DiskCache:
    """Files by name, shared by all processes of this machine. Blocks: not for the event loop.

    The bound holds but for what was written since the last look: a sixteenth of it for each process.
    """

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self._folder = folder
        self._most = most_bytes
        self._unseen = most_bytes  # a process begins with a look

    def get(self, name: str) -> bytes | None:
        path = self._folder / name
        try:
            content = path.read_bytes()
            if path.stat().st_mtime + MARK_SECONDS < time.time():
                path.touch()
        except OSError:
            return None
        return content

    def put(self, name: str, content: bytes) -> None:
        """Keep the bytes; a disk that is full keeps none, which costs time only."""
        path = self._folder / name
        beside = self._folder / f".{name}.{os.getpid()}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(content)
            beside.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            return
        self._unseen += len(content)
        if self._unseen > self._most * LOOK_AFTER:
            self._unseen = 0
            self._trim()

    def _trim(self) -> None:
        found = []
        for entry in os.scandir(self._folder):
            try:
                seen = entry.stat()
            except OSError:
                continue  # another process took it away
            found.append((seen.st_mtime, seen.st_size, entry.path))
        size = sum(one[1] for one in found)
        for _, length, path in sorted(found):
            if size <= self._most:
                return
            Path(path).unlink(missing_ok=True)
            size -= length
