"""How an account changes: the profile at once, the mail address when somebody proves to read its mail."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.accounts.mailing import queue_mail, queue_mail_to
from app.domain.customers.models import Customer
from app.domain.customers.service import change_profile
from app.kit.places import email_key


async def change_account(
    session: AsyncSession,
    customer: Customer,
    changes: Mapping[str, Any],
    *,
    email: str | None,
    now: datetime,
) -> None:
    """Write checked changes; `email`, in its form, is kept aside until its link is opened.

    Whether another account has that address is not said: the mail tells whoever reads it. The account's own
    address takes back a change that waits and, where it is not proven yet, has its link mailed again. The
    caller holds the customer's lock.
    """
    change_profile(customer, changes, now=now)
    if email is not None:
        customer.new_email = None if email == customer.email else email
        if customer.new_email is not None:
            await queue_mail(
                session,
                customer.store_id,
                "verify_new_email",
                customer_id=customer.id,
                now=now,
                address_key=email_key(email),
            )
        elif customer.owner_proven_at is None:
            await queue_mail_to(
                session, customer.store_id, "verify_email", email_key=customer.email_key, now=now
            )
    await session.flush()
