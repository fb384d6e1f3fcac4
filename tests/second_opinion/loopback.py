"""Runs localstripe on 127.0.0.1 only, and without the file of a fixed name that it would keep its data in.

Called by a Python that has it installed, as a program: python loopback.py PORT.
"""

import builtins
import os
import runpy
import socket
import sys


class LoopbackSocket(socket.socket):
    """It binds [::] where nobody asks it not to."""

    def __init__(self, family: int = -1, *rest, **more) -> None:
        super().__init__(socket.AF_INET if family == socket.AF_INET6 else family, *rest, **more)

    def bind(self, address) -> None:
        super().bind(("127.0.0.1", address[1]))


_open = builtins.open


def open_elsewhere(file, *rest, **more):
    return _open(os.devnull if str(file) == "/tmp/localstripe.pickle" else file, *rest, **more)


socket.socket = LoopbackSocket
builtins.open = open_elsewhere
sys.argv = ["localstripe", "--from-scratch", "--port", sys.argv[1]]
runpy.run_module("localstripe", run_name="__main__")
