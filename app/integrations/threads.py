"""Threads for work that may wait for shoppers."""

import contextlib
import os
import sys
import threading
from typing import Final

BEHIND: Final = 10


def give_way() -> None:
    """Let whoever reads the catalogue go first where all cores are busy with what this thread does.

    Linux has a priority for each thread (setpriority(2)); elsewhere it would be the whole process's.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BEHIND)
