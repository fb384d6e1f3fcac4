"""A reader's calls, for the tests of the newsletter: ask, confirm, read; and what is then in the table."""

import re

from sqlalchemy import select

from app.db.session import Sessions
from app.domain.newsletter.models import Subscription
from app.domain.stores.models import Store
from tests.shop import Guest

ADA = {"name": "Ada Berg", "day": 3, "month": 2, "year": 1990, "gender": "female"}


def text_of(mail) -> str:
    return mail.get_body(("plain",)).get_content()


def token_in(mail) -> str:
    return re.search(r"newsletter/confirm\?token=([\w-]+)", text_of(mail))[1]


async def ask(guest: Guest, email: str = "ada@example.com", **fields) -> dict:
    answer = await guest.call("POST", "/subscriptions", {"email": email, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def confirm(guest: Guest, mail) -> dict:
    answer = await guest.call("POST", "/subscriptions/confirm", {"token": token_in(mail)})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def read(guest: Guest, uuid: str) -> dict:
    answer = await guest.call("GET", f"/subscriptions/{uuid}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def rows_of(sessions: Sessions, store: Store) -> list[Subscription]:
    async with sessions() as session:
        found = await session.scalars(
            select(Subscription).where(Subscription.store_id == store.id).order_by(Subscription.id)
        )
        return list(found)
