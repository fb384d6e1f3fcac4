"""An order that was bought, what stands of it in the database, and how tests do what the worker would after it."""

import json
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from sqlalchemy import text

from app.db.session import Sessions, transaction
from app.domain.checkout.abandoned import reminder_jobs
from app.domain.checkout.capturing import capturing_jobs
from app.domain.checkout.jobs import checkout_jobs
from app.domain.orders.jobs import order_jobs
from app.integrations.mail import FileMailer, MailTemplates
from app.kit.clock import utc_now
from app.main import build_shop, close_shop
from app.settings import Settings
from app.worker import work_once
from tests.shop import Guest, add_variant

REASON = "Changed my mind"


@dataclass
class Bought:
    """An order of three mugs at 10.00, with shipping at 5.00."""

    buyer: Guest
    variant: int
    id: int
    number: str

    async def read(self) -> dict:
        return (await self.buyer.read_order(self.id)).json()

    async def call(self, method: str, path: str, body=None, **headers):
        return await self.buyer.call(
            method, f"/orders/{self.id}{path}", body, **{"X-Checkout-Token": self.buyer.token, **headers}
        )


async def buy(buyer: Guest, sessions, *, service: str = "test", coupon: str = "") -> Bought:
    variant = await add_variant(sessions, buyer.store, price=1000, on_hand=10)
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE variants SET title = 'Cream' WHERE id = :id"), {"id": variant})
    checkout = await buyer.prepare(variant, 3)
    if coupon:
        checkout = (await buyer.call("PUT", f"/checkout/{buyer.token}/coupon", {"coupon": coupon})).json()
    paid = await buyer.pay(checkout["totals"]["total"], service=service)
    assert paid.status_code == 204, paid.text
    order_id = int(paid.headers["location"].rpartition("/")[2])
    return Bought(buyer, variant, order_id, (await buyer.read_order(order_id)).json()["number"])


async def set_store(sessions, store, **settings) -> None:
    query = text(
        "UPDATE stores SET cancellation_reasons = CAST(:reasons AS jsonb), settings = CAST(:settings AS jsonb)"
        " WHERE id = :id"
    )
    values = {"id": store.id, "reasons": json.dumps([REASON]), "settings": json.dumps(settings)}
    async with transaction(sessions) as session:
        await session.execute(query, values)


async def stock_of(sessions, variant: int) -> tuple[int, int]:
    async with sessions() as session:
        row = (
            await session.execute(
                text("SELECT on_hand, reserved FROM stock_items WHERE variant_id = :id"), {"id": variant}
            )
        ).one()
    return row.on_hand, row.reserved


async def rows(sessions, query: str, **values):
    async with sessions() as session:
        return [tuple(row) for row in await session.execute(text(query), values)]


async def work_off(settings: Settings, folder: Path) -> list[EmailMessage]:
    """Do every job that is due; the mails that came of it."""
    shop = build_shop(settings)
    mailing = {
        "sessions": shop.sessions,
        "stores": shop.stores,
        "writer": MailTemplates(settings),
        "mailer": FileMailer(folder),
        "settings": settings,
        "clock": utc_now,
    }
    handlers = {
        **order_jobs(**mailing),
        **reminder_jobs(**mailing),
        **checkout_jobs(till=shop.till, stores=shop.stores, clock=utc_now),
        **capturing_jobs(till=shop.till, stores=shop.stores, clock=utc_now),
    }
    try:
        while await work_once(shop.sessions, handlers):
            pass
    finally:
        await close_shop(shop)
    found = []
    for path in sorted(folder.iterdir()):
        found.append(message_from_bytes(path.read_bytes(), policy=default))
        path.unlink()
    return found


async def forget_jobs(sessions: Sessions) -> None:
    """What earlier tests of this process left in the queue is nobody's any more."""
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM jobs"))
