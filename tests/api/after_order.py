"""How tests do what the worker would after an order: mails, refunds, reminders."""

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
