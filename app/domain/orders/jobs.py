"""What happens to an order later: its buyer is mailed what became of it, and what was sold is counted."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.queue import Job
from app.db.retries import run_transaction
from app.db.session import Sessions
from app.domain.customers.models import Customer
from app.domain.orders.queries import OrderView, load_order
from app.domain.orders.service import make_order_link
from app.domain.orders.shipping import SHIPPED
from app.domain.stores.directory import StoreDirectory
from app.domain.stores.mail import Mailer, MailWriter
from app.kit.places import NOBODYS_DOMAIN
from app.settings import Settings

Handler = Callable[[Job], Awaitable[None]]
SOLD_DAYS: Final = timedelta(days=90)
# Mails to an order's buyer: the kind of job, and the mail's name.
ORDER_MAILS: Final = {
    "orders.confirm": "order_confirmation",
    "orders.send_link": "order_link",
    SHIPPED: "order_shipped",
    "orders.cancelled": "order_cancelled",
    "orders.refunded": "refund",
}


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
        **{kind: partial(send, name=name) for kind, name in ORDER_MAILS.items()},
    }


# What was sold lately is counted anew, not added up: the job may run twice.
_COUNT_SOLD: Final = (
    text(
        """
        WITH touched AS (
            SELECT DISTINCT l.variant_id AS id FROM order_lines l
            WHERE l.store_id = :store_id AND l.order_id = :order_id
        )
        UPDATE variants v SET (sold, sold_amount) = (
            SELECT coalesce(sum(l.quantity), 0), coalesce(sum(l.line_price - l.discount) FILTER (
                WHERE o.currency = (SELECT s.currency FROM stores s WHERE s.id = :store_id)
            ), 0)
            FROM order_lines l JOIN orders o ON o.store_id = l.store_id AND o.id = l.order_id
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
    # Of what is bought all the time, the newest orders stand for all.
    text(
        """
        WITH touched AS (
            SELECT DISTINCT l.product_id AS id FROM order_lines l
            WHERE l.store_id = :store_id AND l.order_id = :order_id AND l.product_id IS NOT NULL
        ),
        counted AS (
            SELECT touched.id, other.product_id,
                row_number() OVER (PARTITION BY touched.id ORDER BY count(*) DESC, other.product_id) AS place
            FROM touched
            CROSS JOIN LATERAL (
                SELECT DISTINCT o.id FROM variants v
                JOIN order_lines l ON l.store_id = v.store_id AND l.variant_id = v.id
                JOIN orders o ON o.store_id = l.store_id AND o.id = l.order_id
                WHERE v.store_id = :store_id AND v.product_id = touched.id
                  AND o.status IN ('open', 'completed') AND o.placed_at > :since
                ORDER BY o.id DESC LIMIT 300
            ) o
            CROSS JOIN LATERAL (
                SELECT DISTINCT l.product_id FROM order_lines l
                WHERE l.store_id = :store_id AND l.order_id = o.id AND l.product_id <> touched.id
            ) other
            GROUP BY touched.id, other.product_id
        ),
        best AS (
            SELECT touched.id, coalesce(array_agg(counted.product_id ORDER BY counted.place)
                FILTER (WHERE counted.product_id IS NOT NULL), '{}') AS others
            FROM touched LEFT JOIN counted ON counted.id = touched.id AND counted.place <= 8
            GROUP BY touched.id
        )
        UPDATE products p SET bought_with = best.others FROM best
        WHERE p.store_id = :store_id AND p.id = best.id AND p.bought_with <> best.others
        """
    ),
)


async def _count_sold(job: Job, *, sessions: Sessions, clock: Callable[[], datetime]) -> None:
    """Keep what orders of the last 90 days say: units sold by variant and product, and what was bought together."""
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
    """Mail an order's buyer with a fresh link; one who has closed the account since is written no more."""
    if "order_id" not in job.payload:
        return  # forgotten with the account
    order_id = job.payload["order_id"]
    now = clock()
    seconds = settings.login_link_seconds

    async def prepare(session: AsyncSession) -> tuple[OrderView, str, str | None] | None:
        order = await load_order(session, job.store_id, order_id)
        if order.email.endswith(f"@{NOBODYS_DOMAIN}"):
            return None
        secret = await make_order_link(session, job.store_id, order_id, now=now, seconds=seconds)
        # A guest's language is not known: the store's is used.
        language = await session.scalar(
            select(Customer.language).where(
                Customer.store_id == job.store_id, Customer.id == order.customer_id
            )
        )
        return order, secret, language

    # A link that was made and never mailed opens nothing for anybody.
    prepared = await run_transaction(sessions, prepare, repeatable=True)
    if prepared is None:
        return
    order, secret, language = prepared
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
            **_told_besides(job, order),
        },
    )
    await mailer.send(mail)


def _told_besides(job: Job, order: OrderView) -> dict[str, Any]:
    """What a mail says beside the order itself: the parcel on its way, or the sum that went back."""
    named = ("amount", "currency", "goes_to")
    told: dict[str, Any] = {name: job.payload[name] for name in named if name in job.payload}
    lines = {line.id: line for line in order.lines}
    told["returned"] = [
        (lines[int(line_id)], units) for line_id, units in job.payload.get("units", {}).items()
    ]
    if "parcel_id" not in job.payload:
        return told
    parcel = next(one for one in order.parcels if one.id == job.payload["parcel_id"])
    return told | {
        "parcel": parcel,
        "packed": [(lines[packed.line_id], packed.quantity) for packed in parcel.lines],
    }
