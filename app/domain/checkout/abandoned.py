"""Which carts count as left, and who is reminded of theirs: only whoever wants the shop's mails.

A cart is noted once, until it has been empty and is filled again. The reminder is a letter of the newsletter,
as the law has it: it goes to the account's address, or to the one that the cart's checkout was given, where
that address is subscribed, and it says how to end that.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.db.queue import Job
from app.db.retries import run_transaction
from app.db.session import Sessions
from app.domain.carts.queries import CartView, load_cart
from app.domain.customers.models import Customer
from app.domain.newsletter.jobs import unsubscribe_links
from app.domain.newsletter.models import Subscription
from app.domain.newsletter.queries import of_address
from app.domain.newsletter.states import SUBSCRIBED
from app.domain.stores.directory import StoreDirectory
from app.domain.stores.mail import Mailer, MailWriter
from app.domain.stores.queries import StoreConfig
from app.kit.places import email_key
from app.settings import Settings

Handler = Callable[[Job], Awaitable[None]]
REMIND: Final = "carts.remind"
BATCH: Final = 200

# What was left so much longer, while no worker ran, is let be: its mail would come out of the blue.
TOO_LATE: Final = timedelta(days=7)

# A cart that is being paid was not left.
_NOTE: Final = text(
    """
    WITH due AS (
        SELECT c.id FROM carts c
        WHERE c.abandoned_at IS NULL AND c.expires_at > :now
          AND c.updated_at < :since AND c.updated_at > :not_since
          AND EXISTS (SELECT FROM cart_lines l WHERE l.cart_id = c.id)
          AND NOT EXISTS (SELECT FROM checkouts k
            WHERE k.store_id = c.store_id AND k.cart_id = c.id AND k.state = 'paying')
        ORDER BY c.id LIMIT :batch FOR NO KEY UPDATE OF c SKIP LOCKED
    )
    UPDATE carts c SET abandoned_at = :now FROM due, stores s
    WHERE c.id = due.id AND s.id = c.store_id
    RETURNING c.id, c.store_id, coalesce((s.settings->'carts'->>'remind')::boolean, false) AS remind
    """
)
_EMAIL: Final = text(
    """
    SELECT k.email FROM checkouts k
    WHERE k.store_id = :store_id AND k.cart_id = :cart_id AND k.email IS NOT NULL
      AND k.state IN ('open', 'priced', 'expired')
    ORDER BY k.id DESC LIMIT 1
    """
)
_LEFT: Final = text(
    "SELECT updated_at, customer_id FROM carts"
    " WHERE store_id = :store_id AND id = :cart_id AND abandoned_at = CAST(:at AS timestamptz)"
    " AND updated_at < abandoned_at"
)


class Reminder(msgspec.Struct, frozen=True):
    """Whom to remind of which cart, in which language."""

    cart: CartView
    subscription: Subscription
    language: str | None


async def note_abandoned(sessions: Sessions, *, now: datetime, after: timedelta) -> int:
    """Note carts that nobody touched for so long, a batch of them; how many. Queues a reminder where the store
    sends any.
    """

    async def note(session: AsyncSession) -> int:
        found = await session.execute(
            _NOTE, {"now": now, "since": now - after, "not_since": now - after - TOO_LATE, "batch": BATCH}
        )
        rows = found.all()
        for row in rows:
            if row.remind:
                await queue.enqueue(
                    session,
                    store_id=row.store_id,
                    kind=REMIND,
                    dedupe_key=f"cart-{row.id}-{now.timestamp()}",
                    payload={"cart_id": row.id, "at": now.isoformat()},
                    run_at=now,
                )
        return len(rows)

    return await run_transaction(sessions, note, repeatable=True)


def reminder_jobs(
    *,
    sessions: Sessions,
    stores: StoreDirectory,
    writer: MailWriter,
    mailer: Mailer,
    settings: Settings,
    clock: Callable[[], datetime],  # noqa: ARG001 - what every feature that sends mails is given
) -> dict[str, Handler]:
    """The handler of this matter by kind of job."""
    remind = partial(
        _remind, sessions=sessions, stores=stores, writer=writer, mailer=mailer, settings=settings
    )
    return {REMIND: remind}


async def _remind(
    job: Job,
    *,
    sessions: Sessions,
    stores: StoreDirectory,
    writer: MailWriter,
    mailer: Mailer,
    settings: Settings,
) -> None:
    """Mail the owner of a cart that still lies there as it was left; else there is nothing to remind of."""
    store = await stores.get(job.store_id)
    if not store.carts.remind:
        return
    found = await run_transaction(sessions, partial(_find, store=store, job=job), repeatable=True)
    if found is None:
        return
    items: list[dict[str, Any]] = [
        {"title": entry.item.title, "quantity": entry.quantity}
        for entry in found.cart.items
        if entry.item is not None and entry.item.on_sale
    ]
    if not items:
        return
    # A customer's cart opens with their login, a guest's with its uuid.
    own = found.cart.customer_id is not None
    link = f"{settings.shop_url}/#/cart" + ("" if own else f"?cart_uuid={found.cart.uuid}")
    mail = writer.render(
        "cart_reminder",
        store=store,
        language=found.language,
        to=found.subscription.email,
        key=str(job.id),
        values={"items": items, "link": link},
        unsubscribe=unsubscribe_links(settings, store, found.subscription),
    )
    await mailer.send(mail)


async def _find(session: AsyncSession, *, store: StoreConfig, job: Job) -> Reminder | None:
    cart_id = job.payload["cart_id"]
    values = {"store_id": job.store_id, "cart_id": cart_id}
    left = (await session.execute(_LEFT, {**values, "at": datetime.fromisoformat(job.payload["at"])})).first()
    if left is None:
        return None
    wanted = select(Subscription).where(
        Subscription.store_id == job.store_id, Subscription.status == SUBSCRIBED
    )
    language: str | None = None
    if left.customer_id is not None:
        customer = await session.get(Customer, left.customer_id)
        email = customer.email if customer is not None else None
        language = customer.language if customer is not None else None
    else:
        email = await session.scalar(_EMAIL, values)
    if not email:
        return None
    found = await session.scalar(wanted.where(of_address(email_key(email) or email)).limit(1))
    if found is None:
        return None
    return Reminder(await load_cart(session, store, cart_id), found, language or found.language)
