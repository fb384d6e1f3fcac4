"""Which mails an account causes, and how they are put off until their cause is committed."""

from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.domain.customers.queries import find_customer_by_email
from app.kit.errors import NOT_FOUND, NotFound
from app.kit.ids import digest, new_uuid

MailName = Literal[
    "verify_email", "verify_new_email", "set_password", "reset_password", "password_changed", "login_link",
    "login_code", "new_device", "email_changed", "account_closed", "passkey_added",
]  # fmt: skip
KIND: Final = "accounts.{}"


async def queue_mail(
    session: AsyncSession,
    store_id: int,
    name: MailName,
    *,
    customer_id: int,
    now: datetime,
    address_key: str | None = None,
    **values: Any,
) -> None:
    """Queue a mail to a customer. No secret belongs into `values`: the job makes them when it sends.

    `address_key` is an address that the customer typed: it gets one such mail a minute, whoever reads it.
    """
    occasion = new_uuid().hex if address_key is None else _minute_of(address_key, now)
    await queue.enqueue(
        session,
        store_id=store_id,
        kind=KIND.format(name),
        dedupe_key=f"{store_id}:{customer_id}:{occasion}",
        payload={"customer_id": customer_id, **values},
        run_at=now,
    )


async def queue_mail_to(
    session: AsyncSession, store_id: int, name: MailName, *, email_key: str, now: datetime, **values: Any
) -> None:
    """Queue a mail to whoever has an address; the job finds out whether anybody does.

    The same work is done for every address, so that neither the answer nor its time tells. An address gets
    one mail of a kind a minute, however often it is asked for.
    """
    await queue.enqueue(
        session,
        store_id=store_id,
        kind=KIND.format(name),
        dedupe_key=f"{store_id}:{_minute_of(email_key, now)}",
        payload={"email_key": email_key, **values},
        run_at=now,
    )


async def mail_login_link(session: AsyncSession, store_id: int, *, email_key: str, now: datetime) -> None:
    """Have a link mailed that logs a customer in once: for staff, who help somebody in and never see the link.

    A newer one makes it void. Raises NotFound where nobody has the address, so it is not for shoppers to call.
    """
    customer = await find_customer_by_email(session, store_id, email_key)
    if customer is None:
        raise NotFound(NOT_FOUND, "No customer of this store has this mail address.")
    await queue_mail(session, store_id, "login_link", customer_id=customer.id, now=now)


def _minute_of(email_key: str, now: datetime) -> str:
    return f"{digest(email_key).hex()}:{now:%Y%m%d%H%M}"
