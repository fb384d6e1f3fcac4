"""What `storefront doctor` says and with which status it ends: breaches, webhooks, mail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from click.testing import CliRunner

from app.cli import main
from app.cli.auditing import _find_breaches
from app.cli.environment import noted_port
from app.db.migrations import migrate
from app.db.session import database_address
from app.main import create_app
from app.settings import Settings
from tests.api.live import free_port, serve
from tests.conftest import fresh_database
from tests.shop import settings_for
from tests.standins.paypal import paypal_stand_in


@pytest.fixture(scope="module")
async def empty_database(database_server: str) -> AsyncIterator[str]:
    """A migrated database in which nobody ever sold anything, for whoever only looks at it."""
    async with fresh_database(database_server) as url:
        yield url


@pytest.fixture
async def own_database(database_server: str) -> AsyncIterator[str]:
    async with fresh_database(database_server) as url:
        yield url


@pytest.fixture
def doctor(redis_url, tmp_path):
    async def ask(*options: str, **environ: str):
        found = {
            "REDIS_URL": redis_url,
            "STOREFRONT_DATA_DIR": str(tmp_path),
            "STOREFRONT_PUBLIC_URL": f"http://127.0.0.1:{free_port()}",
            **environ,
        }
        result = await asyncio.to_thread(CliRunner(env=found).invoke, main, ["doctor", *options])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return ask


async def test_a_shop_whose_rows_add_up_is_clean(doctor, empty_database):
    result = await doctor("--audit", DATABASE_URL=empty_database)
    nothing = "stores 0, stock items 0, orders 0, payments 0, ledger transactions 0, reservations 0, jobs 0"
    assert (result.exit_code, result.stdout) == (0, f"clean\nLooked at: {nothing}.\n")


async def test_each_breach_is_a_line_and_the_status_is_1(doctor, own_database):
    writer = await asyncpg.connect(database_address(own_database).asyncpg)
    await writer.execute(
        """
        INSERT INTO stores (code, name, email, currency, language, country)
            VALUES ('hut', 'Hut', 'hut@example.com', 'USD', 'en', 'US');
        INSERT INTO stock_items (store_id, variant_id, tracked, policy, on_hand)
            SELECT id, 7, true, 'deny', 3 FROM stores;
        INSERT INTO jobs (store_id, kind, dedupe_key, payload, run_at)
            SELECT id, 'orders.confirm', 'order-1', '{}', now() - interval '6 minutes' FROM stores
        """
    )
    await writer.close()
    result = await doctor("--audit", DATABASE_URL=own_database)
    assert result.exit_code == 1
    _, *lines, count, seen = result.stdout.splitlines()
    assert [line.split()[:4] for line in lines] == [
        ["stock_not_accounted", "hut", "variant", "7"],
        ["job_stuck", "hut", "job", "orders.confirm"],
    ]
    assert "3 on hand, and 0 stocked less 0 sold" in lines[0]
    assert count == "2 breaches"
    assert "stores 1, stock items 1, orders 0" in seen


async def test_an_old_schema_is_said_and_not_audited(doctor, own_database):
    await migrate(own_database, "0034", down=True)
    result = await doctor("--audit", DATABASE_URL=own_database)
    assert (result.exit_code, "run `storefront migrate`" in result.output) == (1, True)


async def test_the_audit_can_write_nothing(empty_database, redis_url, monkeypatch):
    async def write(connection, now):
        await connection.execute("DELETE FROM stores")

    monkeypatch.setattr("app.cli.auditing.run_audit", write)
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await _find_breaches(settings_for(empty_database, redis_url))


async def test_what_an_empty_setting_means_is_said_of_each(doctor, empty_database):
    result = await doctor(DATABASE_URL=empty_database)
    said = {line.split()[0]: line.partition(" ")[2].strip() for line in result.stdout.splitlines() if line}
    assert said["smtp_url"] == "none: mails are written to files in the data folder"
    assert said["stripe_secret_key"] == "none: Stripe is off"
    assert said["stripe_account_id"] == "none"
    assert said["database_url"] != "the embedded PostgreSQL"


async def test_paypal_is_logged_in_at(doctor, empty_database):
    async with paypal_stand_in() as paypal:
        keys = {"PAYPAL_CLIENT_ID": paypal.client_id, "PAYPAL_API_BASE": paypal.url}
        good = await doctor(DATABASE_URL=empty_database, PAYPAL_CLIENT_SECRET=paypal.client_secret, **keys)
        wrong = await doctor(DATABASE_URL=empty_database, PAYPAL_CLIENT_SECRET="wrong", **keys)
    assert good.exit_code == 0, good.output
    assert f"✓ PayPal: logged in at {paypal.url}; without PAYPAL_WEBHOOK_ID, no events" in good.stdout
    assert wrong.exit_code == 1
    assert f"PayPal: {paypal.url} does not log this shop in (login_401)" in wrong.stdout


async def test_webhooks_are_looked_at_through_the_public_address(doctor, empty_database, redis_url):
    async with serve(create_app(settings_for(empty_database, redis_url))) as url:
        result = await doctor(DATABASE_URL=empty_database, STOREFRONT_PUBLIC_URL=url)
    assert result.exit_code == 0, result.output
    assert f"✓ webhooks: reached at {url}/storefront/v1/webhooks/test" in result.stdout


async def test_a_shop_that_is_not_running_is_no_trouble_in_development(doctor, empty_database):
    result = await doctor(DATABASE_URL=empty_database)
    assert result.exit_code == 0, result.output
    assert "start the shop to have them looked at" in result.stdout


@asynccontextmanager
async def answering(*lines: bytes) -> AsyncIterator[int]:
    """A server that says the first line to whoever comes, and one more to each of their lines; its port."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *rest = lines
        writer.write(first)
        for line in rest:
            if not await reader.readline():
                break
            writer.write(line)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "answers 404"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "answers 200"),
        (b"HTTP/1.1 301 Moved\r\nLocation: https://shop.example/\r\nContent-Length: 0\r\n\r\n", "redirects"),
    ],
)
async def test_somebody_else_at_the_public_address_is_trouble(doctor, empty_database, answer, words):
    async with answering(b"", answer) as port:
        result = await doctor(DATABASE_URL=empty_database, STOREFRONT_PUBLIC_URL=f"http://127.0.0.1:{port}")
    assert result.exit_code == 1
    assert f"✗ webhooks: http://127.0.0.1:{port}/storefront/v1/webhooks/test {words}" in result.stdout


async def test_a_mail_server_that_takes_us_in_is_in_order(doctor, empty_database):
    async with answering(b"220 hello\r\n", b"250 mail.example\r\n", b"221 bye\r\n") as port:
        result = await doctor(DATABASE_URL=empty_database, SMTP_URL=f"smtp://127.0.0.1:{port}")
    assert result.exit_code == 0, result.output
    assert f"✓ mail: through 127.0.0.1:{port}" in result.stdout


async def test_a_mail_server_that_refuses_the_password_is_trouble(doctor, empty_database):
    replies = (
        b"220 hello\r\n",
        b"250-mail.example\r\n250 AUTH PLAIN\r\n",
        b"535 wrong password\r\n",
        b"221 bye\r\n",
    )
    async with answering(*replies) as port:
        result = await doctor(DATABASE_URL=empty_database, SMTP_URL=f"smtp://shop:hunter2@127.0.0.1:{port}")
    assert result.exit_code == 1
    assert f"✗ mail: 127.0.0.1:{port} takes no mail" in result.stdout
    assert "hunter2" not in result.output


async def test_a_mail_server_that_is_away_is_trouble(doctor, empty_database):
    result = await doctor(DATABASE_URL=empty_database, SMTP_URL=f"smtp://127.0.0.1:{free_port()}")
    assert (result.exit_code, "takes no mail" in result.stdout) == (1, True)


@pytest.mark.parametrize(
    ("shop_url", "told"),
    [
        ("http://localhost:8000", "✓ passkeys: for localhost"),
        ("https://shop.example", "✓ passkeys: for shop.example"),
        ("http://192.0.2.7:8000", "- passkeys: 192.0.2.7 is an address"),
        ("https://[2001:db8::1]", "- passkeys: 2001:db8::1 is an address"),
        ("http://shop.example", "- passkeys: http://shop.example is not https"),
    ],
)
async def test_where_browsers_make_no_passkeys_is_said_and_is_no_trouble(
    doctor, empty_database, shop_url, told
):
    result = await doctor(DATABASE_URL=empty_database, STOREFRONT_SHOP_URL=shop_url)
    assert told in result.stdout
    assert "✗ passkeys" not in result.stdout


async def test_the_port_is_that_of_the_running_shop_unless_one_is_set(doctor, empty_database, tmp_path):
    with noted_port(Settings(port=9123, data_dir=tmp_path)):
        for environ, port in (({}, "9123"), ({"PORT": "9124"}, "9124")):
            said = await doctor(DATABASE_URL=empty_database, STOREFRONT_PUBLIC_URL="", **environ)
            shown = dict(line.split(maxsplit=1) for line in said.stdout.splitlines() if " " in line.strip())
            assert (shown["port"].strip(), shown["public_url"].strip()) == (port, f"http://localhost:{port}")
    said = await doctor(DATABASE_URL=empty_database, STOREFRONT_PUBLIC_URL="")
    assert "http://localhost:8000" in said.stdout


async def test_the_port_of_a_shop_that_was_killed_is_not_believed(doctor, empty_database, tmp_path):
    ended = await asyncio.create_subprocess_exec("true")
    await ended.wait()
    (tmp_path / "port").write_text(f"{ended.pid} 9123")
    said = await doctor(DATABASE_URL=empty_database, STOREFRONT_PUBLIC_URL="")
    assert "http://localhost:8000" in said.stdout
