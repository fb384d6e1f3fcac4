"""What happens to an order later: its confirmation is mailed, and links to it."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.queue import Job
from app.db.retries import run_transaction
from app.db.session import Sessions
from app.domain.orders.mails import render_mail
from app.domain.orders.queries import OrderView, load_order
from app.domain.orders.service import make_order_link
from app.domain.stores.directory import StoreDirectory
from app.domain.stores.mail import Mailer
from app.settings import Settings

Handler = Callable[[Job], Awaitable[None]]
SOLD_DAYS: Final = timedelta(days=90)


def order_jobs(
    *,
    sessions: Sessions,
    stores: StoreDirectory,
    mailer: Mailer,
    settings: Settings,
    clock: Callable[[], datetime],
) -> dict[str, Handler]:
    """The handlers of this feature by kind of job."""
    send = partial(_send, sessions=sessions, stores=stores, mailer=mailer, settings=settings, clock=clock)
    return {
        "orders.count_sold": partial(_count_sold, sessions=sessions, clock=clock),
        "orders.confirm": partial(send, name="confirmation"),
        "orders.send_link": partial(send, name="link"),
    }


# What was sold lately is counted anew, not added up: the job may run twice.
_COUNT_SOLD: Final = (
    text(
        """
        WITH touched AS (
            SELECT DISTINCT l.variant_id AS id FROM order_lines l
            WHERE l.store_id = :store_id AND l.order_id = :order_id
        )
        UPDATE variants v SET sold = (
            SELECT coalesce(sum(l.quantity), 0) FROM order_lines l JOIN orders o ON o.store_id = l.store_id AND o.id = l.order_id
            WHERE l.store_id = v.store_id AND l.variant_id = v.id
              AND o.status IN ('open', 'completed') AND o.placed_at > :since
        )
        FROM (SELECT w.id FROM variants w JOIN touched USING (id) WHERE w.store_id = :store_id
            ORDER BY w.id FOR NO KEY UPDATE OF w) locked
        WHERE v.store_id = :store_id AND v.id = locked.id
        """
    ),
    text(
        """
        UPDATE products p SET sold = (
            SELECT coalesce(sum(v.sold), 0) FROM variants v
            WHERE v.store_id = p.store_id AND v.product_id = p.id
        )
        FROM (
            SELECT q.id FROM products q WHERE q.store_id = :store_id AND q.id IN (
                SELECT l.product_id FROM order_lines l
                WHERE l.store_id = :store_id AND l.order_id = :order_id
            ) ORDER BY q.id FOR NO KEY UPDATE OF q
        ) locked
        WHERE p.store_id = :store_id AND p.id = locked.id
        """
    ),
)


async def _count_sold(job: Job, *, sessions: Sessions, clock: Callable[[], datetime]) -> None:
    """Keep the figures that `best_selling` sorts by: units sold in the last 90 days, by variant and product."""
    values = {
        "store_id": job.store_id,
        "order_id": job.payload["order_id"],
        "since": clock() - SOLD_DAYS,
    }

    async def count(session: AsyncSession) -> None:
        for statement in _COUNT_SOLD:
            await session.execute(statement, values)

    await run_transaction(sessions, count, repeatable=True)


SUBJECTS = {"confirmation": "Your order {order} at {store}", "link": "Your link to order {order}"}


async def _send(
    job: Job,
    *,
    name: str,
    sessions: Sessions,
    stores: StoreDirectory,
    mailer: Mailer,
    settings: Settings,
    clock: Callable[[], datetime],
) -> None:
    """Mail an order's buyer with a fresh link."""
    order_id = job.payload["order_id"]
    now = clock()

    async def prepare(session: AsyncSession) -> tuple[OrderView, str]:
        order = await load_order(session, job.store_id, order_id)
        return order, await make_order_link(
            session, job.store_id, order_id, now=now, seconds=settings.login_link_seconds
        )

    # A link that was made and never mailed opens nothing for anybody.
    order, secret = await run_transaction(sessions, prepare, repeatable=True)
    store = await stores.get(job.store_id)
    await mailer.send(
        render_mail(
            name,
            store=store,
            order=order,
            sender=settings.mail_from,
            subject=SUBJECTS[name].format(order=order.name, store=store.name),
            message_id=f"<{name}-{job.id}@{settings.public_url.split('//')[1].split(':')[0]}>",
            link=f"{settings.shop_url}/#/orders/{order_id}?uuid={secret}",
        )
    )
