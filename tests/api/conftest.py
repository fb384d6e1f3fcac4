"""A running shop for the tests of this folder: one server per test process."""

from collections.abc import AsyncIterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from app.db.session import Sessions, transaction
from app.domain.accounts.jobs import account_jobs
from app.domain.stores.directory import StoreDirectory
from app.domain.stores.models import Store
from app.integrations.mail import FileMailer, MailTemplates
from app.kit.clock import utc_now
from app.worker import work_once
from tests.api.stripe_shop import Buyer, Place
from tests.canaries import SECOND_WEBHOOK_SECRET
from tests.shop import Guest, add_variant, open_till, running_shop, settings_for
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
async def mails(sessions: Sessions, reads, database_url, redis_url, tmp_path: Path):
    """Does every queued job of accounts; the new mails by subject, newest last, as (to, subject, text)."""
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM jobs"))
    settings = settings_for(database_url, redis_url, STOREFRONT_SHOP_URL="https://shop.example")
    handlers = account_jobs(
        sessions=sessions,
        stores=StoreDirectory(reads),
        writer=MailTemplates(settings),
        mailer=FileMailer(tmp_path),
        settings=settings,
        clock=utc_now,
    )
    seen: set[Path] = set()

    async def run() -> list[tuple[str, str, str]]:
        while await work_once(sessions, handlers):
            pass
        new = sorted(set(tmp_path.iterdir()) - seen, key=lambda path: path.stat().st_mtime_ns)
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
