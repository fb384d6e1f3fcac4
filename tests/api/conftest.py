"""A running shop for the tests of this folder: one server per test process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from email import message_from_bytes
from email.policy import default
from functools import partial
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select, text

from app.cli import main
from app.db.session import Sessions, transaction
from app.domain.accounts.jobs import Handler, account_jobs
from app.domain.catalogue.drafts import StockDraft, VariantDraft
from app.domain.catalogue.models import Variant
from app.domain.catalogue.service import save_products
from app.domain.stores.directory import StoreDirectory
from app.domain.stores.models import Store
from app.integrations.argon2 import create_hasher
from app.integrations.mail import FileMailer, MailTemplates
from app.integrations.redis_sessions import RedisSessions
from app.kit.clock import utc_now
from app.worker import work_once
from tests.api.account_shop import PASSWORD
from tests.api.catalogue_shop import fill, tent
from tests.api.identities import World, make_world
from tests.api.paypal_shop import PayPalBuyer, PayPalPlace
from tests.api.social_shop import NAME, social_shop
from tests.api.stripe_shop import Buyer, Place
from tests.canaries import SECOND_WEBHOOK_SECRET
from tests.conftest import make_store
from tests.people import session_store
from tests.shop import Guest, add_variant, open_till, running_shop, settings_for
from tests.standins.paypal import paypal_stand_in
from tests.standins.stripe import stripe_stand_in


@pytest.fixture(scope="session")
async def client(database_url: str, redis_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with running_shop(settings_for(database_url, redis_url)) as made:
        yield made


@pytest.fixture
async def guest(client: httpx.AsyncClient, sessions: Sessions, store: Store) -> Guest:
    """Somebody at a store with shipping at 5.00 and no tax."""
    option = await open_till(sessions, store)
    return Guest(client, store, option)


@pytest.fixture
def run(database_url: str, tmp_path_factory: pytest.TempPathFactory, store: Store):
    """Runs a command of staff at the test's store, or at the one of another code."""

    async def invoke(*arguments: str, code: str = "") -> Result:
        environ = {"DATABASE_URL": database_url, "STOREFRONT_DATA_DIR": str(tmp_path_factory.mktemp("data"))}
        called = [*arguments, "--store", code or store.code]
        result = await asyncio.to_thread(CliRunner(env=environ).invoke, main, called)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


@pytest.fixture
def mail_features() -> tuple[Callable[..., dict[str, Handler]], ...]:
    """Whose jobs `mails` does: a module that wants more than those of accounts says so here."""
    return (account_jobs,)


@pytest.fixture
async def mails(sessions: Sessions, reads, database_url, redis_url, tmp_path: Path, mail_features):
    """Does every queued job of accounts; the new mails, newest last, as (to, subject, text)."""
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM jobs"))
    settings = settings_for(database_url, redis_url, STOREFRONT_SHOP_URL="https://shop.example")
    parts = {
        "sessions": sessions,
        "stores": StoreDirectory(reads),
        "writer": MailTemplates(settings),
        "mailer": FileMailer(tmp_path),
        "settings": settings,
        "clock": utc_now,
    }
    handlers = {kind: do for jobs in mail_features for kind, do in jobs(**parts).items()}
    seen: set[Path] = set()

    async def run() -> list[tuple[str, str, str]]:
        new: list[Path] = []
        while await work_once(sessions, handlers, most=1):
            new += set(tmp_path.iterdir()) - seen
            seen.update(new)
        read = [message_from_bytes(path.read_bytes(), policy=default) for path in new]
        return [(m["To"], m["Subject"], m.get_body(("plain",)).get_content()) for m in read]

    return run


@pytest.fixture(scope="session")
async def place(database_url: str, redis_url: str) -> AsyncIterator[Place]:
    async with stripe_stand_in() as stripe:
        settings = settings_for(
            database_url,
            redis_url,
            STRIPE_SECRET_KEY=stripe.secret_key,
            STRIPE_PUBLISHABLE_KEY="pk_test_standin",
            STRIPE_API_BASE=stripe.url,
            STRIPE_WEBHOOK_SECRETS=f"{stripe.webhook_secret},{SECOND_WEBHOOK_SECRET}",
            STOREFRONT_PAYMENT_WAIT_SECONDS="1",
        )
        async with running_shop(settings) as client:
            yield Place(client, stripe, settings)


@pytest.fixture
async def buyer(place: Place, sessions: Sessions, store: Store) -> AsyncIterator[Buyer]:
    guest = Guest(place.client, store, await open_till(sessions, store))
    variant = await add_variant(sessions, store, price=2500, on_hand=5)
    checkout = await guest.prepare(variant)
    assert checkout["totals"]["total"] == 3000
    yield Buyer(guest, place.stripe, place, sessions, variant)
    place.stripe.clear_faults()


@pytest.fixture(scope="session")
async def paypal_place(database_url: str, redis_url: str) -> AsyncIterator[PayPalPlace]:
    async with paypal_stand_in() as paypal:
        settings = settings_for(
            database_url,
            redis_url,
            PAYPAL_CLIENT_ID=paypal.client_id,
            PAYPAL_CLIENT_SECRET=paypal.client_secret,
            PAYPAL_API_BASE=paypal.url,
            PAYPAL_WEBHOOK_ID=paypal.webhook_id,
            PAYPAL_MERCHANT_ID=paypal.merchant_id,
            STOREFRONT_PAYMENT_WAIT_SECONDS="1",
        )
        async with running_shop(settings) as client:
            yield PayPalPlace(client, paypal, settings)


@pytest.fixture
async def paypal_buyer(
    paypal_place: PayPalPlace, sessions: Sessions, store: Store
) -> AsyncIterator[PayPalBuyer]:
    guest = Guest(paypal_place.client, store, await open_till(sessions, store))
    variant = await add_variant(sessions, store, price=2500, on_hand=5)
    checkout = await guest.prepare(variant)
    assert checkout["totals"]["total"] == 3000
    yield PayPalBuyer(guest, paypal_place.paypal, paypal_place, sessions, variant)
    paypal_place.paypal.clear_faults()


@pytest.fixture(scope="session")
async def logins(redis_url) -> AsyncIterator[RedisSessions]:
    async with session_store(redis_url) as store:
        yield store


@pytest.fixture(scope="session")
async def social_client(database_url, redis_url, sessions) -> AsyncIterator[httpx.AsyncClient]:
    async with social_shop(database_url, redis_url, sessions) as made:
        yield made.client


@pytest.fixture(scope="session")
async def two_stores(sessions):
    """Two stores, and what everybody finds in the first."""
    here, elsewhere = await make_store(sessions), await make_store(sessions)
    await fill(sessions, here)
    endless = VariantDraft(
        price=2500, sku="ENDLESS", inventory_management="shopify", stock=StockDraft(on_hand=1_000_000)
    )
    draft = tent(handle="endless-tent", options=(), images=(), variants=(endless,))
    async with transaction(sessions) as session:
        (product_id,) = await save_products(session, here.id, [draft], now=utc_now())
        variant = await session.scalar(select(Variant.id).where(Variant.product_id == product_id))
    shared = {
        "variant": variant,
        "option": await open_till(sessions, here),
        "product": draft.handle,
        "collection": "by-hand",
        "category": "camp",
        "service": "test",
        "provider": NAME,
    }
    return (here, elsewhere), shared


@pytest.fixture(scope="session")
async def password_digest() -> str:
    hasher = create_hasher(settings_for("postgresql://none", "redis://none"))
    digest = await hasher.hash(PASSWORD)
    hasher.close()
    return digest


@pytest.fixture(scope="session")
def new_world(social_client, sessions, logins, two_stores, password_digest) -> Callable[[], Awaitable[World]]:
    stores, shared = two_stores
    return partial(
        make_world, social_client, sessions, logins, stores, shared, password_digest=password_digest
    )
