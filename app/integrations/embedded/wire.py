"""As much of PostgreSQL's protocol as a launcher needs: is the server ready, and run one statement.

Frontend/backend protocol 3.0, simple query, trusted local socket: PostgreSQL documentation, chapter
"Message Formats". asyncpg cannot be used here: a launcher must work inside and outside an event loop.
"""

import contextlib
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

PROTOCOL_3 = 196_608
STARTING_UP = frozenset({"57P03"})
ANSWER_SECONDS = 60.0


class NotReadyError(Exception):
    """Nobody answers yet."""


class StatementError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


def _read(connection: socket.socket, length: int) -> bytes:
    parts = b""
    while len(parts) < length:
        part = connection.recv(length - len(parts))
        if not part:
            raise NotReadyError
        parts += part
    return parts


def _messages(connection: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Every message up to ReadyForQuery."""
    while True:
        kind, length = struct.unpack("!cI", _read(connection, 5))
        body = _read(connection, length - 4)
        if kind == b"E":
            fields = {part[:1]: part[1:].decode() for part in body.split(b"\0") if part}
            code = fields.get(b"C", "")
            if code in STARTING_UP:
                raise NotReadyError
            raise StatementError(code, fields.get(b"M", ""))
        if kind == b"Z":
            return
        yield kind, body


def run_statement(socket_path: Path, user: str, database: str, statement: str) -> list[str]:
    """The first column of the answer's rows. Raises NotReadyError or StatementError."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(str(socket_path))
            options = f"user\0{user}\0database\0{database}\0\0".encode()
            connection.sendall(struct.pack("!II", len(options) + 8, PROTOCOL_3) + options)
            for _ in _messages(connection):
                pass
            query = statement.encode() + b"\0"
            connection.sendall(struct.pack("!cI", b"Q", len(query) + 4) + query)
            rows = [body for kind, body in _messages(connection) if kind == b"D"]
            connection.sendall(struct.pack("!cI", b"X", 4))
        except OSError as error:
            raise NotReadyError from error
    return [row[6 : 6 + struct.unpack("!i", row[2:6])[0]].decode() for row in rows]
