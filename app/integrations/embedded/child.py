"""What a started server process does to itself before it becomes the server: whose it is, and when it dies.

Run as a script (`python -I -S child.py ORDERS COMMAND...`), so that no code of ours runs between fork and
exec of a process with threads. It imports the standard library only and ends in an exec of COMMAND.
"""

import contextlib
import ctypes
import json
import os
import pwd
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
NOBODY = 65_534  # what Linux shows for an unmapped user; any number but 0 would do inside the namespace
REFUSED = 70


def refuse(reason: str) -> NoReturn:
    sys.stderr.write(f"storefront: {reason}\n")
    sys.exit(REFUSED)


def die_with_parent(parent: int, signum: int) -> None:
    """Ask the kernel to send the signal when the parent ends, however it ends (Linux)."""
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0) != 0:
        refuse(f"prctl: {os.strerror(ctypes.get_errno())}")
    # The parent may have ended before the kernel was asked; then nobody would send anything.
    if os.getppid() != parent:
        os.kill(os.getpid(), signum)
        sys.exit(REFUSED)


def take_turns() -> None:
    """Ask the kernel to let whoever runs go on when this process is woken, and its children (Linux, sched(7)).

    Server and database of one machine wake each other for each statement. Where both have work, each interruption costs
    both what they have in their caches. Shares of the processors stay as they are, and so does what somebody chose for the
    process. Not for whoever must answer within a fraction of a second beside others that keep the processors busy.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a sandbox may forbid it, and then it is slower
            if os.sched_getscheduler(0) == os.SCHED_OTHER:
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def watch_parent(pipe: int, signum: int) -> None:
    """Leave a watcher that sends the signal when the parent's end of the pipe closes without a farewell.

    The way for systems without a parent-death signal. The watcher is a grandchild, because PostgreSQL
    would report the end of a child that it did not start.
    """
    server = os.getpid()
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        os.close(pipe)
        return
    if os.fork():
        os._exit(0)
    os.closerange(0, pipe)
    os.closerange(pipe + 1, 1024)
    if not os.read(pipe, 1):
        os.kill(server, signum)
    os._exit(0)


def enter_user_namespace() -> None:
    """Become an ordinary user inside, while files stay the caller's outside. Raises OSError where refused."""
    uid, gid = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1", encoding="ascii")


def namespace_is_allowed() -> bool:
    """Try in a child first: a namespace that was entered but not mapped cannot be left again."""
    if sys.platform != "linux":
        return False
    child = os.fork()
    if child == 0:
        try:
            enter_user_namespace()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def give(folders: Sequence[str], uid: int, gid: int) -> None:
    for folder in folders:
        if Path(folder).stat().st_uid == uid:
            continue
        os.chown(folder, uid, gid)
        for root, directories, files in os.walk(folder):
            for name in directories + files:
                os.chown(Path(root, name), uid, gid, follow_symlinks=False)


def become_ordinary(identity: str, folders: Sequence[str], command: str) -> None:
    """As root: a user namespace, else the user nobody. PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return
    if identity != "nobody" and namespace_is_allowed():
        give(folders, 0, 0)
        enter_user_namespace()
        return
    try:
        user = pwd.getpwnam("nobody")
    except KeyError:
        refuse("as root there must be a user 'nobody', or user namespaces must be allowed")
    give(folders, user.pw_uid, user.pw_gid)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    for path in (*folders, command):
        if not os.access(path, os.R_OK | os.X_OK):
            refuse(f"the user nobody cannot reach {path}: choose a place outside root's home")


def main(orders: dict[str, Any], command: list[str]) -> None:
    program = shutil.which(command[0])
    if program is None:
        refuse(f"{command[0]} is not there or cannot be executed")
    if orders["identity"] != "same":
        become_ordinary(orders["identity"], orders["folders"], program)
    os.umask(0o077)
    if orders.get("takes_turns"):
        take_turns()
    # After the change of identity, because that makes the kernel forget the parent-death signal.
    if orders["pipe"] is None:
        die_with_parent(orders["parent"], orders["signal"])
    else:
        watch_parent(orders["pipe"], orders["signal"])
    # A parent that ignores or blocks signals must not hand that down: the server has to be stoppable.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_DFL)
    os.execv(program, [program, *command[1:]])  # noqa: S606 - the point of this file: no shell, a command of ours


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
