"""`storefront doctor`: the effective configuration, and whether what the shop depends on is in order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiosmtplib
import asyncpg
import click
from redis.asyncio import Redis
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.cli.auditing import audit
from app.cli.environment import found_settings, with_databases
from app.cli.webhook_check import UnreachableError, reach_webhooks
from app.db.audit import run_check
from app.db.migrations import current_revision
from app.db.schema import head_revision
from app.db.session import database_address
from app.integrations.mail import SmtpMailer
from app.kit.clock import utc_now
from app.settings import Settings, check_production, masked

PATIENCE_SECONDS: Final = 5.0
OLDEST_POSTGRES: Final = 150_000
OLDEST_REDIS: Final = (6, 2)
PLAIN_HTTP_IS_FINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})

# What it means that a setting is empty; "none" where that says it all.
UNSET: Final[Mapping[str, str]] = {
    "database_url": "the embedded PostgreSQL",
    "redis_url": "the embedded Redis",
    "smtp_url": "none: mails are written to files in the data folder",
    "limits": "off",
    "secret_keys": "none: made at the first start, in the data folder",
    "stripe_secret_key": "none: Stripe is off",
    "stripe_api_base": "Stripe's own",
    "stripe_webhook_secrets": "none: no events of Stripe are taken",
    "paypal_client_id": "none: PayPal is off",
    "paypal_api_base": "PayPal's own",
    "paypal_webhook_id": "none: no events of PayPal are taken",
    "paypal_merchant_id": "none: not compared",
    "google_client_ids": "none: login with Google is off",
    "facebook_app_id": "none: login with Facebook is off",
    "oidc_providers": "none: no other providers",
}


class TroubleError(Exception):
    """What is wrong, for people."""


class NotNowError(Exception):
    """Why something could not be looked at, where that is no trouble."""


@click.command()
@click.option(
    "--audit", "only_audit", is_flag=True, help="Look at the data instead: do stock, orders and money add up?"
)
def command(only_audit: bool) -> None:
    """Show the effective configuration, secrets masked, and check what the shop depends on.

    Ends with status 1 where something is wrong. With --audit each row that breaks a rule is named, or
    'clean' is said.
    """
    settings = found_settings()
    if only_audit:
        audit(settings)
        return
    console = Console(highlight=False, soft_wrap=True)
    _print_settings(settings, console)
    trouble = check_production(settings)
    with with_databases(settings, redis=True) as reached:
        trouble += asyncio.run(_check_all(reached, console))
    for line in trouble:
        console.print(f"[red]✗[/red] {escape(line)}")
    if trouble:
        raise SystemExit(1)
    console.print("[green]Everything is in order.[/green]")


def _print_settings(settings: Settings, console: Console) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in masked(settings).items():
        table.add_row(name, escape(_shown(name, value)))
    console.print(table)
    console.print()


def _shown(name: str, value: Any) -> str:
    if isinstance(value, tuple):
        value = ", ".join(str(part) for part in value)
    return str(value) if value != "" else UNSET.get(name, "none")


async def _check_all(settings: Settings, console: Console) -> list[str]:
    checks: dict[str, Callable[[Settings], Awaitable[str]]] = {
        "database": _check_database,
        "migrations": _check_migrations,
        "payments": check_payments,
        "refunds": check_refunds,
        "jobs": check_jobs,
        "Redis": _check_redis,
        "mail": _check_mail,
        "public URL": _check_public_url,
        "passkeys": _check_passkeys,
        "webhooks": _check_webhooks,
    }
    if settings.paypal_client_id:
        checks["PayPal"] = _check_paypal
    trouble = []
    for name, check in checks.items():
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                console.print(f"[green]✓[/green] {name}: {escape(await check(settings))}")
        except NotNowError as problem:
            console.print(f"[yellow]-[/yellow] {name}: {escape(str(problem))}")
        except TroubleError as problem:
            trouble.append(f"{name}: {problem}")
        except Exception as problem:  # noqa: BLE001 - a doctor reports whatever a driver raises
            trouble.append(f"{name}: {type(problem).__name__}: {problem}".rstrip(": "))
    return trouble


async def _check_database(settings: Settings) -> str:
    connection = await asyncpg.connect(database_address(settings.database_url).asyncpg)
    try:
        number = int(await connection.fetchval("SHOW server_version_num"))
        version: str = await connection.fetchval("SHOW server_version")
        # Both come with PostgreSQL, but some packagers leave the contrib modules out.
        wanted = ["pg_trgm", "unaccent"]
        known = await connection.fetch(
            "SELECT name FROM pg_available_extensions WHERE name = ANY($1)", wanted
        )
    finally:
        await connection.close()
    if number < OLDEST_POSTGRES:
        raise TroubleError(f"PostgreSQL {version} is too old: 15 or newer is needed")
    missing = sorted(set(wanted) - {row["name"] for row in known})
    if missing:
        raise TroubleError(f"PostgreSQL {version} lacks the extensions {', '.join(missing)}")
    return f"PostgreSQL {version}"


async def _check_migrations(settings: Settings) -> str:
    current, head = await current_revision(settings.database_url), head_revision()
    if current != head:
        raise TroubleError(
            f"the schema is at {current or 'its beginning'}, not {head}: run `storefront migrate`"
        )
    return f"at {current}"


@asynccontextmanager
async def _rows(settings: Settings) -> AsyncIterator[Any]:
    """A connection for whoever looks at rows. Raises NotNowError while they may not be there yet."""
    if await current_revision(settings.database_url) != head_revision():
        raise NotNowError("looked at once the schema is up to date")
    connection = await asyncpg.connect(database_address(settings.database_url).asyncpg)
    try:
        yield connection
    finally:
        await connection.close()


# For so long nobody has to wait for an outcome, but by bank debit or while a service looks at a payment.
_UNSETTLED: Final = """
    SELECT service, count(*) AS many, min(key) AS one,
        bool_and(coalesce(reason, '') IN ('processing', 'under_review')) AS takes_long
    FROM payments WHERE state IN ('started', 'action_needed', 'unknown') AND created_at < $1
    GROUP BY service ORDER BY service
"""
UNSETTLED_AFTER: Final = timedelta(days=1)


async def check_payments(settings: Settings) -> str:
    """Whether there are attempts to pay without an outcome: their stock is held, and their buyers wait."""
    async with _rows(settings) as connection:
        found = await connection.fetch(_UNSETTLED, utc_now() - UNSETTLED_AFTER)
    if not found:
        return "none without an outcome for a day"
    told = ", ".join(f"{row['many']} by {row['service']} ({row['one']})" for row in found)
    if all(row["takes_long"] for row in found):
        raise NotNowError(f"being looked at by the service, or on their way, for over a day: {told}")
    raise TroubleError(
        f"without an outcome for over a day: {told}; their stock stays held until the service says what became of "
        "them: is it switched on, and is it the same account?"
    )


async def check_refunds(settings: Settings) -> str:
    """Whether a service has left one without an answer: nobody knows then whether the money went back."""
    async with _rows(settings) as connection:
        found = await run_check(connection, "refund_unanswered", utc_now())
    if found:
        raise TroubleError(
            f"{len(found)} without an answer of the service for a day: `storefront doctor --audit` names them, "
            "`storefront order refund NUMBER --ask-again` has it asked again"
        )
    return "all answered, or being asked about"


async def check_jobs(settings: Settings) -> str:
    """Whether the worker has given anything up: a mail, a capture, a refund that nobody tries any more."""
    async with _rows(settings) as connection:
        found = await connection.fetch(
            "SELECT kind, count(*) AS many FROM jobs WHERE state = 'parked' GROUP BY kind ORDER BY kind"
        )
    if found:
        told = ", ".join(f"{row['many']} x {row['kind']}" for row in found)
        raise TroubleError(
            f"given up by the worker: {told}; `storefront job list` says why, `storefront job retry` has them "
            "tried again, `storefront job dismiss` lets them be"
        )
    return "none given up"


async def _check_redis(settings: Settings) -> str:
    client = Redis.from_url(settings.redis_url, socket_connect_timeout=2, socket_timeout=2)
    try:
        found: dict[str, Any] = await client.info("server")
    finally:
        await client.aclose()
    version = str(found.get("valkey_version") or found.get("redis_version", "0"))
    name = "Valkey" if "valkey_version" in found else "Redis"
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        raise TroubleError(f"{name} {version} is too old: 6.2 or newer is needed")
    return f"{name} {version}"


async def _check_mail(settings: Settings) -> str:
    if not settings.smtp_url:
        return f"written to {_writable(settings.data_dir / 'mails')}"
    mailer = SmtpMailer(settings.smtp_url)
    try:
        await mailer.greet()
    except (OSError, aiosmtplib.SMTPException) as error:
        raise TroubleError(f"{mailer.server} takes no mail ({error})") from error
    return f"through {mailer.server}"


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise TroubleError(f"{folder} cannot be written ({error.strerror})") from error
    return folder


async def _check_public_url(settings: Settings) -> str:
    parts = urlsplit(settings.public_url)
    if parts.scheme != "https" and parts.hostname not in PLAIN_HTTP_IS_FINE:
        raise TroubleError(f"{settings.public_url} is not https: browsers will not keep the session cookie")
    return settings.public_url


async def _check_passkeys(settings: Settings) -> str:
    """A shop works without passkeys, so what stands in their way is no trouble."""
    domain = settings.passkey_domain
    if ":" in domain or domain.rpartition(".")[2].isdigit():
        raise NotNowError(
            f"{domain} is an address, and browsers make passkeys for names only: name one in STOREFRONT_SHOP_URL"
        )
    if urlsplit(settings.shop_url).scheme != "https" and domain != "localhost":
        raise NotNowError(f"{settings.shop_url} is not https: browsers make no passkeys there")
    return f"for {domain}"


async def _check_paypal(settings: Settings) -> str:
    # A shop without PayPal does not load what calls it.
    from app.integrations.paypal_http import PayPalHttp, PayPalTroubleError  # noqa: PLC0415 - as said
    from app.integrations.paypal_payments import LIVE_BASE  # noqa: PLC0415 - as above

    base = settings.paypal_api_base or LIVE_BASE
    http = PayPalHttp(
        base=base, client_id=settings.paypal_client_id, client_secret=settings.paypal_client_secret
    )
    try:
        await http.greet()
    except PayPalTroubleError as problem:
        raise TroubleError(f"{base} does not log this shop in ({problem})") from None
    finally:
        await http.close()
    return f"logged in at {base}" + (
        "" if settings.paypal_webhook_id else "; without PAYPAL_WEBHOOK_ID, no events"
    )


async def _check_webhooks(settings: Settings) -> str:
    try:
        return await reach_webhooks(settings)
    except UnreachableError as error:
        if error.silent and not settings.is_production:
            raise NotNowError(f"{error}; start the shop to have them looked at") from error
        raise TroubleError(str(error)) from error
