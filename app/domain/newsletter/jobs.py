"""What happens to newsletters later: the owner of an address is asked or welcomed, old requests are forgotten."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.queue import Job
from app.db.retries import run_transaction
from app.db.session import Sessions
from app.domain.newsletter.models import Subscription
from app.domain.newsletter.service import SEND
from app.domain.newsletter.states import SUBSCRIBED, UNSUBSCRIBED
from app.domain.stores.directory import StoreDirectory
from app.domain.stores.mail import Mailer, MailWriter, Unsubscribe
from app.domain.stores.queries import StoreConfig
from app.kit.ids import digest, new_token
from app.settings import Settings

Handler = Callable[[Job], Awaitable[None]]
CONFIRM_SECONDS: Final = 172_800
REQUEST_LIFE: Final = timedelta(days=30)


def newsletter_jobs(
    *,
    sessions: Sessions,
    stores: StoreDirectory,
    writer: MailWriter,
    mailer: Mailer,
    settings: Settings,
    clock: Callable[[], datetime],
) -> dict[str, Handler]:
    """The handlers of this feature by kind of job."""
    return {
        SEND: partial(
            _send,
            sessions=sessions,
            stores=stores,
            writer=writer,
            mailer=mailer,
            settings=settings,
            clock=clock,
        )
    }


def unsubscribe_links(settings: Settings, store: StoreConfig, subscription: Subscription) -> Unsubscribe:
    """How this newsletter ends. Mail programs name no store, so they call it by its host where it has one."""
    public = urlsplit(settings.public_url)
    api = f"{public.scheme}://{store.host}" if store.host else settings.public_url
    return Unsubscribe(
        page=f"{settings.shop_url}/#/newsletter/{subscription.uuid}",
        one_click=f"{api}/storefront/v1/subscriptions/{subscription.uuid}/unsubscribe",
    )


async def _send(
    job: Job,
    *,
    sessions: Sessions,
    stores: StoreDirectory,
    writer: MailWriter,
    mailer: Mailer,
    settings: Settings,
    clock: Callable[[], datetime],
) -> None:
    """Ask the owner of a pending address, welcome the one of a subscribed address, tell of an end by the form.

    What is over by its owner's own word is not written about. What somebody else ended is asked about all the
    same: they may not speak for the owner. The secret is made here, so that the queue never holds it; an earlier mail's link ends with the next mail.
    """
    store = await stores.get(job.store_id)
    now = clock()

    async def prepare(session: AsyncSession) -> tuple[Subscription, str | None] | None:
        subscription = await session.scalar(
            select(Subscription)
            .where(Subscription.store_id == job.store_id, Subscription.id == job.payload["subscription_id"])
            .with_for_update()
        )
        if subscription is None:
            return None
        if subscription.status == SUBSCRIBED:
            return subscription, None
        if subscription.status == UNSUBSCRIBED and _is_owners_word(subscription, now):
            return None
        token = new_token()
        subscription.confirm_digest = digest(token)
        subscription.confirm_expires_at = now + timedelta(seconds=CONFIRM_SECONDS)
        return subscription, token

    prepared = await run_transaction(sessions, prepare, repeatable=True)
    if prepared is None:
        return
    subscription, token = prepared
    links = unsubscribe_links(settings, store, subscription)
    write = partial(
        writer.render,
        store=store,
        language=subscription.language,
        to=subscription.email,
        key=str(job.id),
    )
    if token is None:
        mail = write("newsletter_welcome", values={"link": links.page}, unsubscribe=links)
    else:
        link = f"{settings.shop_url}/#/newsletter/confirm?token={token}"
        had_begun = subscription.status == UNSUBSCRIBED and subscription.consent_at is not None
        name = "newsletter_ended" if had_begun else "newsletter_confirm"
        mail = write(name, values={"link": link, "seconds": CONFIRM_SECONDS})
    await mailer.send(mail)


def _is_owners_word(ended: Subscription, now: datetime) -> bool:
    """Whether its owner ended it: they had confirmed it, or voided the link with it (service.unsubscribe)."""
    link_ends = ended.confirm_expires_at
    return ended.confirmed_at is not None or (link_ends is not None and link_ends <= now)


async def forget_requests(sessions: Sessions, *, now: datetime) -> None:
    """Delete what was asked for and never agreed to, nor by a customer: addresses that nobody vouched for."""
    old = (
        select(Subscription.id)
        .where(
            Subscription.confirmed_at.is_(None),
            Subscription.status != SUBSCRIBED,
            Subscription.customer_id.is_(None),
            Subscription.created_at < now - REQUEST_LIFE,
        )
        .order_by(Subscription.id)
        .limit(500)
        .with_for_update(skip_locked=True)
    )

    async def forget(session: AsyncSession) -> None:
        await session.execute(delete(Subscription).where(Subscription.id.in_(old)))

    await run_transaction(sessions, forget, repeatable=True)
