"""What server processes and workers are both made of: the database, the stores and the payment services that are set."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.bell import Bell
from app.db.reads import Reads
from app.db.session import Sessions, create_engine, create_sessions
from app.db.versions import CommitMark, Versions
from app.domain.checkout.till import Till
from app.domain.payments.services import PaymentService
from app.domain.stores.directory import StoreDirectory
from app.kit.clock import utc_now
from app.settings import Settings

# What a server process is called at the database.
REQUESTS: Final = "storefront"


@dataclass(frozen=True, slots=True)
class Parts:
    """Made once per process. A worker needs no more, and so loads nothing that answers requests."""

    settings: Settings
    engine: AsyncEngine
    bell: Bell
    sessions: Sessions
    reads: Reads
    versions: Versions
    stores: StoreDirectory
    till: Till


def build_parts(settings: Settings, *, application_name: str) -> Parts:
    """Opens no connection yet."""
    engine = create_engine(
        settings.database_url,
        pool_size=settings.database_pool_size,
        application_name=application_name,
        plan_once=True,
        by_key=application_name == REQUESTS,  # a worker's sweeps may well look at whole tables
    )
    mark = CommitMark(settings.data_dir / "commits")
    bell = Bell(engine)

    def committed(session: Any) -> None:
        mark.change()
        bell.after_commit(session)

    sessions = create_sessions(engine, committed=committed, bell=bell)
    reads = Reads(settings.database_url, size=settings.reads_pool_size)
    return Parts(
        settings=settings,
        engine=engine,
        bell=bell,
        sessions=sessions,
        reads=reads,
        versions=Versions(settings.database_url, reads, mark),
        stores=StoreDirectory(reads),
        till=Till(
            sessions=sessions,
            services={service.name: service for service in _services(settings, sessions)},
            return_url=settings.shop_url,
            wait_seconds=settings.payment_wait_seconds,
            clock=utc_now,
        ),
    )


def _services(settings: Settings, sessions: Sessions) -> list[PaymentService]:
    """The payment services that are set. Their libraries take up to 30 MB, so each is loaded where it is needed."""
    services: list[PaymentService] = []
    if settings.stripe_secret_key:
        from app.integrations.stripe_payments import StripePayments  # noqa: PLC0415 - for the reason above

        stripe = StripePayments(
            secret_key=settings.stripe_secret_key,
            publishable_key=settings.stripe_publishable_key,
            api_base=settings.stripe_api_base or None,
            account_id=settings.stripe_account_id,
            webhook_secrets=settings.stripe_webhook_secrets,
            window=settings.signature_window_seconds,
        )
        services.append(stripe)
    if settings.paypal_client_id:
        from app.integrations.paypal_payments import PayPalPayments  # noqa: PLC0415 - for the reason above

        paypal = PayPalPayments(
            client_id=settings.paypal_client_id,
            client_secret=settings.paypal_client_secret,
            api_base=settings.paypal_api_base or None,
            webhook_id=settings.paypal_webhook_id,
            merchant_id=settings.paypal_merchant_id,
        )
        services.append(paypal)
    if not settings.is_production:
        from app.integrations.test_payments import TestPayments  # noqa: PLC0415 - for the reason above

        test = TestPayments(
            sessions,
            public_url=settings.public_url,
            secrets=settings.secret_keys,
            window=settings.signature_window_seconds,
        )
        services.append(test)
    return services


async def close_parts(parts: Parts) -> None:
    """Let go of every connection that they hold."""
    for service in parts.till.services.values():
        await service.close()
    await parts.bell.close()
    await parts.reads.close()
    await parts.engine.dispose()
