"""What every buyer can do whatever the service: read their rows, let the worker work, compare the books."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from app.api.dependencies import Shop
from app.db.queue import Job
from app.db.session import Sessions
from app.domain.checkout.jobs import checkout_jobs, reconcile
from app.domain.checkout.till import CALL_IS_OVER_SECONDS
from app.kit.clock import utc_now
from app.main import build_shop, close_shop
from app.settings import Settings
from tests.api.test_checkout_flow import stock_of
from tests.shop import Guest
from tests.standins.books import Books, check_money


class Payer:
    """The part of a buyer that knows no service."""

    guest: Guest
    sessions: Sessions
    variant: int

    @property
    def service(self) -> Books:
        """The stand-in that took the money."""
        raise NotImplementedError

    @property
    def settings(self) -> Settings:
        """Of the shop that is bought in."""
        raise NotImplementedError

    async def state(self) -> str:
        state: str = (await self.guest.read_checkout())["state"]
        return state

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with self.sessions() as session:
            found = await session.execute(text(query), {"store": self.guest.store.id})
            return [tuple(row) for row in found]

    async def reconcile(self, *, after: float = CALL_IS_OVER_SECONDS + 5) -> None:
        """One round of the worker, so many seconds from now: after every call must be over, or before."""
        async with self.sessions() as session:  # what other tests left unfinished is not this round's
            await session.execute(
                text("UPDATE payments SET updated_at = now() + interval '1 day' WHERE store_id <> :store"),
                {"store": self.guest.store.id},
            )
            await session.commit()
        async with self._worker() as shop:
            later = utc_now() + timedelta(seconds=after)
            till = replace(shop.till, clock=lambda: later)
            await reconcile(till, shop.stores, now=later, quiet=timedelta(0))

    async def let_hold_run_out(self) -> None:
        """The shopper has left the checkout alone for as long as its stock is held."""
        async with self.sessions() as session:
            await session.execute(
                text("UPDATE checkouts SET held_until = now() - interval '1 s' WHERE store_id = :id"),
                {"id": self.guest.store.id},
            )
            await session.commit()

    async def refund(self) -> None:
        """What the worker does with the refund in the queue."""
        await self.work("payments.refund")

    async def compare_refunds(self, *, tries: int = 1) -> None:
        """What the worker does with the events about refunds in the queue, all at once."""
        await self.work("payments.compare_refunds", tries=tries)

    async def work(self, kind: str, *, tries: int = 1) -> None:
        """Do all jobs of a kind at once, also those that were done before."""
        rows = await self.rows(
            f"SELECT id, store_id, kind, dedupe_key, payload FROM jobs WHERE kind = '{kind}' AND store_id = :store"
        )
        async with self._worker() as shop:
            do = checkout_jobs(till=shop.till, stores=shop.stores, clock=utc_now)[kind]
            # All of them, also where one fails: what still runs has connections of this shop.
            said = await asyncio.gather(*(do(Job(*row, tries=tries)) for row in rows), return_exceptions=True)
        for problem in said:
            if problem is not None:
                raise problem

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[Shop]:
        shop = build_shop(self.settings)
        try:
            yield shop
        finally:
            await close_shop(shop)

    async def check_unknown(self) -> None:
        rows = await self.rows("SELECT state FROM payments WHERE store_id = :store")
        assert rows == [("unknown",)]
        assert await stock_of(self.sessions, self.variant) == (5, 1)

    async def check_books(self, *, orders: int, stock: tuple[int, int]) -> None:
        """Orders and stock as named, and money as the stand-in's own log has it, charge by charge."""
        placed = await self.rows("SELECT id FROM orders WHERE store_id = :store AND status <> 'pending'")
        assert len(placed) == orders
        assert await stock_of(self.sessions, self.variant) == stock
        await check_money(self.sessions, self.guest.store.id, self.service)
