"""What happens to an order later: its confirmation is mailed, and links to it."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

from app.db.queue import Job
from app.db.session import Sessions, transaction
from app.domain.orders.mails import render_mail
from app.domain.orders.queries import load_order
from app.domain.orders.service import make_order_link
from app.domain.stores.directory import StoreDirectory
from app.domain.stores.mail import Mailer
from app.settings import Settings

Handler = Callable[[Job], Awaitable[None]]


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
        "orders.confirm": partial(send, name="confirmation"),
        "orders.send_link": partial(send, name="link"),
    }


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
    """Mail an order's buyer with a fresh link. A job that asks for an order that is not there does nothing."""
    order_id = job.payload["order_id"]
    if order_id is None:
        return
    async with transaction(sessions) as session:
        order = await load_order(session, job.store_id, order_id)
        secret = await make_order_link(
            session, job.store_id, order_id, now=clock(), seconds=settings.login_link_seconds
        )
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
