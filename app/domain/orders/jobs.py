"""What happens to an order later: its confirmation is mailed, and links to it."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.queue import Job
from app.db.retries import run_transaction
from app.db.session import Sessions
from app.domain.customers.models import Customer
from app.domain.orders.queries import OrderView, load_order
from app.domain.orders.service import make_order_link
from app.domain.stores.directory import StoreDirectory
from app.domain.stores.mail import Mailer, MailWriter
from app.settings import Settings

Handler = Callable[[Job], Awaitable[None]]
SOLD_DAYS: Final = timedelta(days=90)


def order_jobs(
    *,
    sessions: Sessions,
    stores: StoreDirectory,
    writer: MailWriter,
    mailer: Mailer,
    settings: Settings,
    clock: Callable[[], datetime],
) -> dict[str, Handler]:
    """The handlers of this feature by kind of job."""
    send = partial(
        _send,
        sessions=sessions,
        stores=stores,
        writer=writer,
        mailer=mailer,
        settings=settings,
        clock=clock,
    )
    return {
        "orders.count_sold": partial(_count_sold, sessions=sessions, clock=clock),
        "orders.confirm": partial(send, name="order_confirmation"),
        "orders.send_link": partial(send, name="order_link"),
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


async def _send(
    job: Job,
    *,
    name: str,
    sessions: Sessions,
    stores: StoreDirectory,
    writer: MailWriter,
    mailer: Mailer,
    settings: Settings,
    clock: Callable[[], datetime],
) -> None:
    """Mail an order's buyer with a fresh link."""
    order_id = job.payload["order_id"]
    now = clock()
    seconds = settings.login_link_seconds

    async def prepare(session: AsyncSession) -> tuple[OrderView, str, str | None]:
        order = await load_order(session, job.store_id, order_id)
        secret = await make_order_link(session, job.store_id, order_id, now=now, seconds=seconds)
        # A guest's language is not known: the store's is used.
        language = await session.scalar(
            select(Customer.language).where(
                Customer.store_id == job.store_id, Customer.id == order.customer_id
            )
        )
        return order, secret, language

    # A link that was made and never mailed opens nothing for anybody.
    order, secret, language = await run_transaction(sessions, prepare, repeatable=True)
    mail = writer.render(
        name,
        store=await stores.get(job.store_id),
        language=language,
        to=order.email,
        key=str(job.id),
        values={
            "order": order,
            "link": f"{settings.shop_url}/#/orders/{order_id}?uuid={secret}",
            "seconds": seconds,
        },
    )
    await mailer.send(mail)
