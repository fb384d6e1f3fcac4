"""The watch for secrets that get out sees each way that there is, and says nothing of what is in its place."""

import logging
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import structlog

from app.api.errors import Envelopes
from app.db.session import database_address
from app.kit.errors import Invalid
from app.kit.ids import new_token, new_uuid
from tests import canaries
from tests.canaries import CARD_NUMBER, MARK, SECRET_KEY, Watch


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """A watch of this test's own in the place of the one that would fail the run."""
    watch = Watch()
    monkeypatch.setattr(canaries, "WATCH", watch)
    handler = next(
        one
        for one in logging.getLogger().handlers
        if isinstance(one, logging.StreamHandler) and isinstance(one.stream, Watch)
    )
    before = handler.setStream(watch)
    yield watch
    handler.setStream(before)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection whose transaction is never committed."""
    made = await asyncpg.connect(database_address(database_url).asyncpg)
    await made.execute("BEGIN")
    yield made
    await made.close()


@pytest.mark.parametrize("secret", [SECRET_KEY, CARD_NUMBER, f"Bearer {MARK}token"])
def test_a_secret_in_a_log_line_is_seen(planted: Watch, secret: str):
    structlog.get_logger("storefront.test").warning("looked at", reason=secret)
    logging.getLogger("elsewhere").error("failed", exc_info=RuntimeError(secret))
    assert len(planted.leaks) >= 2
    assert all(leak.startswith("log: ") for leak in planted.leaks)
    assert "A secret got out:\nlog: " in planted.report()


def test_what_the_shop_makes_itself_is_seen_in_a_log_line(planted: Watch):
    for secret in (new_token(), str(new_uuid())):
        planted.leaks.clear()
        logging.getLogger("elsewhere").warning("at /checkout/%s", secret)
        assert len(planted.leaks) == 1


def test_what_is_masked_in_a_log_line_is_no_leak(planted: Watch):
    structlog.get_logger("storefront.test").warning("login", auth_key=new_token(), cart_uuid=str(new_uuid()))
    assert planted.report() == ""


def test_a_secret_in_an_error_is_seen(planted: Watch):
    Envelopes({}).answer("/storefront/v1/cart", Invalid.at("card", "invalid", f"{CARD_NUMBER} is no card."))
    assert {leak.partition(":")[0] for leak in planted.leaks} == {"error 422"}


async def test_a_secret_in_a_column_of_any_type_is_seen_with_its_name(planted: Watch, connection):
    await connection.execute("CREATE TABLE leaky (a text, b bytea, c jsonb, d text[], e text)")
    await connection.execute(
        "INSERT INTO leaky VALUES ($1, $2, $3, $4, 'harmless')",
        new_token(),
        new_token().encode(),
        f'{{"deep": [{{"key": "{MARK}"}}]}}',
        [CARD_NUMBER],
    )
    await planted.read_tables(connection)
    found = {leak.partition(":")[0] for leak in planted.leaks}
    assert {f"table leaky.{name}" for name in "abcd"} <= found
    assert "table leaky.e" not in found


async def test_a_checkouts_token_is_in_its_place_in_two_columns_only(planted: Watch, connection):
    await connection.execute("CREATE SCHEMA elsewhere")
    for table in ("checkouts", "carts"):
        await connection.execute(f"CREATE TABLE elsewhere.{table} (token text)")
        await connection.execute(f"INSERT INTO elsewhere.{table} VALUES ($1)", new_token())
    await planted.read_tables(connection)
    found = {leak.partition(":")[0] for leak in planted.leaks}
    assert "table carts.token" in found
    assert "table checkouts.token" not in found
