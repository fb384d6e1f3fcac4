"""What happens to an order later: its buyer is mailed what became of it. What was sold is counted in sold.py."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from app.db.queue import Job, Together
from app.db.session import Sessions
from app.domain.orders.mailing import Found, ToMail, mail_reader
from app.domain.orders.queries import OrderView
from app.domain.orders.shipping import SHIPPED
from app.domain.orders.sold import sold_jobs
from app.domain.stores.directory import StoreDirectory
from app.domain.stores.mail import Mailer, MailWriter
from app.kit.ids import new_token
from app.settings import Settings

Handler = Callable[[Job], Awaitable[None]]
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
) -> dict[str, Handler | Together]:
    """The handlers of this feature by kind of job."""
    send = partial(
        _send,
        read=mail_reader(sessions),
        stores=stores,
        writer=writer,
        mailer=mailer,
        settings=settings,
        clock=clock,
    )
    return {
        **sold_jobs(sessions=sessions, clock=clock),
        **{kind: partial(send, name=name) for kind, name in ORDER_MAILS.items()},
    }


async def _send(
    job: Job,
    *,
    name: str,
    read: Callable[[ToMail], Awaitable[Found | None]],
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
    seconds = settings.login_link_seconds
    # Made now, so that no queue has it: one that is never mailed opens nothing for anybody.
    secret = new_token()
    found = await read(ToMail(job.store_id, order_id, secret, clock() + timedelta(seconds=seconds)))
    if found is None:
        return
    order, language = found
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
