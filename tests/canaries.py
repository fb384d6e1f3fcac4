"""Which secrets the tests plant everywhere, and where one that got out is seen.

Every key of the shop's settings, every token that it makes itself (logins, mailed secrets), and the passwords of
tests/api/account_shop.py carry a mark while tests run. The mark must stand in no log line, error, metric or column,
apart from the columns whose purpose it is (ALLOWED).
Servers that tests start as processes of their own have marked keys too, but their tokens carry no mark.
"""

import logging
import re
import secrets
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

import asyncpg
import msgspec

from app.api.errors import Envelopes
from app.kit import ids
from app.log import configure_logging

MARK: Final = "cAnArY7-"
# Of a cart's uuid the first eight digits are the mark.
UUID_MARK: Final = "ca9a47b1"
CARD_NUMBER: Final = "4000056655665556"
CARD: Final = f"pm_{MARK}card"

SECRET_KEY: Final = f"{MARK}tests-only-{'x' * 40}"
STRIPE_KEY: Final = f"sk_test_key{MARK}standin"
PAYPAL_SECRET: Final = f"paypal{MARK}secret"
WEBHOOK_SECRET: Final = f"whsec_{MARK}first"
SECOND_WEBHOOK_SECRET: Final = f"whsec_{MARK}second"
COOKIE: Final = f"{MARK}cookie"

# After `test_` it is the address of a page of the test payment service, which is there to be given away.
_MARKS: Final = re.compile(f"(?<!test_){MARK}|{UUID_MARK}-[0-9a-f]{{4}}-4|{CARD_NUMBER}")
_OF_A_TEST: Final = re.compile(r"//127\.0\.0\.1:\d+/(?!v1/)")
_AROUND: Final = 80

# What opens one checkout stands where it is looked up, as the uuid of a cart does (which no table is searched for);
# the word by which a customer invites others opens nothing and is there to be given away.
ALLOWED: Final = frozenset({"checkouts.token", "orders.checkout_token", "customers.invite_token"})


@dataclass
class Watch:
    """Collects what got out. It is a stream, so that a log can be written into it."""

    leaks: list[str] = field(default_factory=list)

    def read(self, where: str, what: str) -> None:
        for found in _MARKS.finditer(what):
            start = max(0, found.start() - _AROUND)
            self.leaks.append(f"{where}: …{what[start : found.end() + _AROUND]}…")

    def write(self, line: str) -> None:
        self.read("log", line)

    def flush(self) -> None:
        """Nothing waits here."""

    def report(self) -> str:
        """What is to be said of all leaks; empty where there is none."""
        told = list(dict.fromkeys(self.leaks))
        more = f"\nand {len(told) - 20} more" if len(told) > 20 else ""
        return "\n".join(["A secret got out:", *told[:20]]) + more if told else ""

    async def read_tables(self, connection: asyncpg.Connection) -> None:
        """Look at every column of every table, whatever its type; bytea is seen in its hexadecimal form."""
        tables = await connection.fetch(
            "SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) AS path, table_name AS name "
            "FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
            "AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        )
        patterns = [f"%{mark}%" for mark in (MARK, MARK.encode().hex(), CARD_NUMBER)]
        for path, name in tables:
            rows = await connection.fetch(
                f"SELECT to_jsonb(t)::text FROM {path} t WHERE t::text LIKE ANY ($1)", patterns
            )
            for (row,) in rows:
                for column, value in msgspec.json.decode(row).items():
                    if f"{name}.{column}" not in ALLOWED:
                        self.read(f"table {name}.{column}", _without_hex(str(value)))


def _without_hex(value: str) -> str:
    return value.replace(MARK.encode().hex(), MARK)


WATCH: Final = Watch()


@contextmanager
def watched() -> Iterator[Watch]:
    """Mark what the shop makes, and read its log (as the product writes it) and every error body."""
    before = ids.secrets, ids.uuid, Envelopes.answer
    ids.secrets = SimpleNamespace(token_urlsafe=_marked_token)  # type: ignore[assignment]  # of this module alone
    ids.uuid = SimpleNamespace(uuid4=_marked_uuid, UUID=uuid.UUID)  # type: ignore[assignment]  # as above
    Envelopes.answer = _read_error  # type: ignore[method-assign]  # put back below
    configure_logging(level="info", form="json")
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(WATCH)
    handler.addFilter(_is_of_the_shop)
    try:
        yield WATCH
    finally:
        if handler not in logging.getLogger().handlers:
            WATCH.leaks.append("log: somebody took our handler away, and it was not read to its end")
        handler.setStream(sys.stderr)
        ids.secrets, ids.uuid, Envelopes.answer = before  # type: ignore[method-assign]  # what was there


def _marked_token(size: int) -> str:
    return MARK + secrets.token_urlsafe(size)[len(MARK) :]


def _marked_uuid() -> uuid.UUID:
    return uuid.UUID(UUID_MARK + uuid.uuid4().hex[len(UUID_MARK) :])


_answer = Envelopes.answer


def _read_error(self: Envelopes, path: str, error: BaseException, handler: Any = None) -> Any:
    answer = _answer(self, path, error, handler)
    WATCH.read(f"error {answer[0]}", answer[2].decode())
    return answer


def _is_of_the_shop(record: logging.LogRecord) -> bool:
    """The tests' own clients write down the addresses that they call, the shop those of Stripe's /v1/."""
    return not (record.name == "httpx" and _OF_A_TEST.search(record.getMessage()))
