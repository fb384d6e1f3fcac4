"""What the catalogue does later: it tells those who wait that something is back, and lets collections with a rule
about stock follow what was sold or came in.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.queue import Job, Together
from app.db.retries import run_transaction
from app.db.session import Sessions
from app.domain.catalogue.back_in_stock import (
    MAIL,
    RETURNED,
    Told,
    forget_wishes,
    list_told,
    settle_wishes,
)
from app.domain.catalogue.membership import STOCK_MOVED, refresh_collections_of
from app.domain.stores.directory import StoreDirectory
from app.domain.stores.mail import Mailer, MailWriter
from app.settings import Settings

Handler = Callable[[Job], Awaitable[None]]


def catalogue_jobs(
    *,
    sessions: Sessions,
    stores: StoreDirectory,
    writer: MailWriter,
    mailer: Mailer,
    settings: Settings,
    clock: Callable[[], datetime],
) -> dict[str, Handler | Together]:
    """The handlers of this feature by kind of job."""
    return {
        RETURNED: partial(_settle, sessions=sessions, clock=clock),
        STOCK_MOVED: Together(partial(_follow_stock, sessions=sessions)),
        MAIL: partial(
            _mail, sessions=sessions, stores=stores, writer=writer, mailer=mailer, settings=settings
        ),
    }


async def _follow_stock(jobs: Sequence[Job], *, sessions: Sessions) -> None:
    """The trigger follow_stock queues this with the write that moved stock; running it again changes nothing."""
    moved: dict[int, set[int]] = {}
    for job in jobs:
        moved.setdefault(job.store_id, set()).update(job.payload["variant_ids"])
    for store_id, variant_ids in moved.items():
        follow = partial(refresh_collections_of, store_id=store_id, variant_ids=sorted(variant_ids))
        await run_transaction(sessions, follow, repeatable=True)


async def _settle(job: Job, *, sessions: Sessions, clock: Callable[[], datetime]) -> None:
    async def settle(session: AsyncSession) -> bool:
        return await settle_wishes(session, job.store_id, now=clock())

    while await run_transaction(sessions, settle, repeatable=True):
        pass


async def _mail(
    job: Job,
    *,
    sessions: Sessions,
    stores: StoreDirectory,
    writer: MailWriter,
    mailer: Mailer,
    settings: Settings,
) -> None:
    """One mail of all that has come back for an address; what was told is gone, so that a repeat says nothing."""
    wish_ids: list[int] = job.payload["wish_ids"]

    async def look(session: AsyncSession) -> list[Told]:
        return await list_told(session, job.store_id, wish_ids)

    async def forget(session: AsyncSession) -> None:
        await forget_wishes(session, job.store_id, wish_ids)

    told = await run_transaction(sessions, look, repeatable=True)
    if not told:
        return
    items: list[dict[str, Any]] = [
        {
            "title": wish.title,
            "link": f"{settings.shop_url}/#/products/{wish.handle}?variant={wish.variant_id}",
        }
        for wish in told
    ]
    mail = writer.render(
        "back_in_stock",
        store=await stores.get(job.store_id),
        language=told[-1].language,
        to=told[-1].email,
        key=str(job.id),
        values={"items": items},
    )
    await mailer.send(mail)
    await run_transaction(sessions, forget, repeatable=True)
