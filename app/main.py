"""How the application is put together: engine, gateways and surfaces. The only file that knows everything."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State

from app.api.caching import NotModified, answer_not_modified
from app.api.credentials import STATE_KEY as DOOR_KEY
from app.api.credentials import Door, origin_of
from app.api.dependencies import STATE_KEY, Shop, dependencies
from app.api.edge import create_edge
from app.api.files import picture_handlers
from app.api.gate import STATE_KEY as GATE_KEY
from app.api.gate import Gate, GuessLimits
from app.api.kept import KeptAnswers
from app.api.known_calls import KnownCalls
from app.api.openapi import NOTES_KEY
from app.api.rate_limits import STATE_KEY as RATES_KEY
from app.api.rate_limits import RateLimits
from app.api.storefront import storefront_handlers
from app.api.webhooks.payments import payment_event
from app.db.schema import check_migrations, head_revision
from app.domain.catalogue.large_shelves import LargeShelves
from app.domain.checkout.carriers import Carrier
from app.domain.customers.providers import (
    AccessTokenProvider,
    IdTokenProvider,
    Providers,
    RedirectProvider,
)
from app.domain.customers.sessions import SessionLimits
from app.domain.discovery.popular import SearchTally
from app.integrations.argon2 import create_hasher
from app.integrations.files import create_files
from app.integrations.passkeys import ANDROID, Passkeys, passkey_origins
from app.integrations.picture_sizes import PictureSizes
from app.integrations.redis import RedisGateway
from app.integrations.redis_limits import RedisRateCounter
from app.integrations.redis_logins import RedisLogins
from app.integrations.redis_sessions import RedisSessions
from app.kit.clock import utc_now
from app.log import configure_logging
from app.parts import REQUESTS, build_parts, close_parts
from app.settings import Settings, load_settings

# How long a stopping process waits for payment services that were just called.
DRAIN_SECONDS = 3.0


def build_shop(settings: Settings, *, application_name: str = REQUESTS) -> Shop:
    """All that handlers use of the shop. Opens no connection yet."""
    parts = build_parts(settings, application_name=application_name)
    return Shop(
        settings=settings,
        engine=parts.engine,
        bell=parts.bell,
        sessions=parts.sessions,
        reads=parts.reads,
        versions=parts.versions,
        stores=parts.stores,
        till=parts.till,
        searches=SearchTally(parts.sessions, clock=utc_now),
        kept=KeptAnswers(parts.versions, most_bytes=settings.cache_bytes),
        calls=KnownCalls(),
        large_shelves=LargeShelves(parts.reads, parts.versions.get, seconds=settings.counts_seconds),
        carriers=_carriers(settings),
    )


def _carriers(settings: Settings) -> dict[str, Carrier]:
    """The carriers that are set. Their HTTP client takes 25 MB, so it is loaded where it is needed."""
    if not settings.carriers:
        return {}
    from app.integrations.carriers import HttpCarrier  # noqa: PLC0415 - for the reason above

    return {one.name: HttpCarrier(one, seconds=settings.carrier_seconds) for one in settings.carriers}


def _providers(settings: Settings) -> Providers:
    """The login providers that are set. Their libraries take 25 MB, so each is loaded where it is needed."""
    google: IdTokenProvider | None = None
    facebook: AccessTokenProvider | None = None
    redirects: dict[str, RedirectProvider] = {}
    if settings.google_client_ids:
        from app.integrations.oauth.google import GoogleTokens  # noqa: PLC0415 - for the reason above

        google = GoogleTokens(
            client_ids=settings.google_client_ids,
            issuer=settings.google_issuer,
            jwks_url=settings.google_jwks_url,
        )
    if settings.facebook_app_id:
        from app.integrations.oauth.facebook import FacebookTokens  # noqa: PLC0415 - for the reason above

        facebook = FacebookTokens(
            app_id=settings.facebook_app_id,
            app_secret=settings.facebook_app_secret,
            graph_url=settings.facebook_graph_url,
        )
    for one in settings.oidc_providers:
        from app.integrations.oauth.oidc import OidcProvider  # noqa: PLC0415 - for the reason above

        redirects[one.name] = OidcProvider(
            name=one.name,
            issuer=one.issuer,
            client_id=one.client_id,
            client_secret=one.client_secret,
            scopes=one.scopes,
        )
    if not settings.is_production:
        from app.integrations.test_logins import TestLogins  # noqa: PLC0415 - for the reason above

        redirects.setdefault(
            TestLogins.name, TestLogins(public_url=settings.public_url, secrets=settings.secret_keys)
        )
    return Providers(google, facebook, redirects)


def _passkeys(settings: Settings) -> Passkeys:
    pages = (settings.public_url, settings.shop_url, *settings.allowed_origins)
    origins = (page if page.startswith(ANDROID) else origin_of(page) for page in pages)
    return Passkeys(settings.passkey_domain, passkey_origins(settings.passkey_domain, origins))


async def close_shop(shop: Shop) -> None:
    """Let go of every connection that the parts of build_shop hold."""
    for carrier in shop.carriers.values():
        await carrier.close()
    await shop.searches.close()
    await shop.kept.close()
    await close_parts(shop)


def _notes(settings: Settings) -> dict[str, str]:
    """What the document adds to some calls, by operation: the courses of events of the test service."""
    if settings.is_production:
        return {}
    from app.integrations.test_payments import COURSES  # noqa: PLC0415 - development's alone

    courses = "\n".join(f"- `{token}`: {course}" for token, course in COURSES.items())
    return {
        "payCheckout": f"The `payment_token` of the `test` service (development only):\n\n{courses}",
        "startPayment": (
            "With the `test` service (development only) the answer is always a second step at `next_step_url`; "
            f"its tokens ({', '.join(f'`{token}`' for token in COURSES)}) are for paying at once."
        ),
    }


def create_app(settings: Settings) -> Litestar:
    """The application of these settings. DATABASE_URL and REDIS_URL must be set by now."""
    shop = build_shop(settings)
    redis = RedisGateway(settings.redis_url, wait_seconds=settings.redis_wait_seconds)
    limits = SessionLimits(
        idle=settings.session_seconds,
        idle_remembered=settings.remember_seconds,
        whole=settings.session_end_seconds,
        whole_remembered=settings.remember_end_seconds,
    )
    counter = RedisRateCounter(redis)
    counted = (
        RateLimits(settings.limits, trusted=settings.trusted_proxies, counter=counter)
        if settings.limits
        else None
    )
    hasher = create_hasher(settings)
    gate = Gate(
        sessions=RedisSessions(redis, limits),
        hasher=hasher,
        guesses=GuessLimits(settings.limits, counter),
        providers=_providers(settings),
        records=RedisLogins(redis),
        passkeys=_passkeys(settings),
    )
    door = Door(settings, gate.sessions)
    files = create_files(settings)
    sizes = PictureSizes(
        files, settings.data_dir / "pictures", most_bytes=settings.picture_cache_mb * 1024 * 1024
    )

    async def database_answers() -> None:
        await shop.reads.fetchval("SELECT 1")

    async def redis_answers() -> None:
        await redis.ping()

    head_revision()  # read once, before the server processes fork

    async def migrations_are_done() -> None:
        await check_migrations(shop.reads)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await shop.reads.open()
        await shop.kept.open()
        try:
            yield
        finally:
            await shop.till.drain(DRAIN_SECONDS)
            await close_shop(shop)
            await redis.close()
            hasher.close()
            await gate.providers.close()
            await sizes.close()

    handlers: list[Any] = [
        Router(
            "/storefront/v1",
            route_handlers=[*storefront_handlers(), payment_event],
            dependencies=dependencies(),
            exception_handlers={NotModified: answer_not_modified},
        ),
        *picture_handlers(settings, files, sizes),
    ]
    if not settings.is_production:
        from app.web import web_handlers  # noqa: PLC0415 - development's alone, with all that writes mails

        handlers.extend(web_handlers(settings, shop, gate))
    return create_edge(
        settings,
        route_handlers=handlers,
        checks={
            "database": database_answers,
            "redis": redis_answers,
            "migrations": migrations_are_done,
        },
        state=State(
            {STATE_KEY: shop, DOOR_KEY: door, GATE_KEY: gate, NOTES_KEY: _notes(settings), RATES_KEY: counted}
        ),
        kept=shop.kept,
        calls=shop.calls,
        lifespan=[lifespan],
        guards=[counted.guard] if counted else [],
    )


def app_from_environment() -> Litestar:
    """What the server process calls."""
    settings = load_settings()
    configure_logging(level=settings.log_level, form=settings.log_format)
    return create_app(settings)
