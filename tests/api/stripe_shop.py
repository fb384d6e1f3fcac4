"""A shop that takes Stripe, the stand-in that it talks to, and a buyer who compares their books."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import text

from app.db.queue import Job
from app.db.session import Sessions
from app.domain.checkout.jobs import checkout_jobs, reconcile
from app.kit.clock import utc_now
from app.main import build_shop, close_shop
from app.settings import Settings
from tests.api.test_checkout_flow import stock_of
from tests.shop import Guest
from tests.standins.books import check_money
from tests.standins.stripe import StripeStandIn


@dataclass
class Place:
    """A shop that takes Stripe, and the stand-in that it talks to."""

    client: httpx.AsyncClient
    stripe: StripeStandIn
    settings: Settings


@dataclass
class Buyer:
    """A guest with a filled checkout at a store of their own."""

    guest: Guest
    stripe: StripeStandIn
    place: Place
    sessions: Sessions
    variant: int
    total: int = 3000

    async def pay(self, card: str = "pm_card_visa") -> httpx.Response:
        return await self.guest.pay(self.total, service="stripe", payment_token=card)

    async def confirm(self) -> httpx.Response:
        return await self.guest.call("POST", f"/checkout/{self.guest.token}/payment/stripe/confirm", {})

    async def send(self, event: dict[str, Any], **signing: Any) -> httpx.Response:
        return await self.stripe.send(self.place.client, event, **signing)

    async def state(self) -> str:
        state: str = (await self.guest.read_checkout())["state"]
        return state

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with self.sessions() as session:
            found = await session.execute(text(query), {"store": self.guest.store.id})
            return [tuple(row) for row in found]

    async def intent(self) -> dict[str, Any]:
        """The newest PaymentIntent of this store's attempts."""
        keys = {key for (key,) in await self.rows("SELECT key FROM payments WHERE store_id = :store")}
        mine = [one for one in self.stripe.intents.values() if one["metadata"]["attempt"] in keys]
        return mine[-1]

    async def reconcile(self) -> None:
        """One round of the worker, after every call must be over."""
        async with self.sessions() as session:  # what other tests left unfinished is not this round's
            await session.execute(
                text("UPDATE payments SET updated_at = now() + interval '1 day' WHERE store_id <> :store"),
                {"store": self.guest.store.id},
            )
            await session.commit()
        shop = build_shop(self.place.settings)
        try:
            later = utc_now() + timedelta(seconds=70)
            till = replace(shop.till, clock=lambda: later)
            await reconcile(till, shop.stores, now=later, quiet=timedelta(0))
        finally:
            await close_shop(shop)

    async def refund(self) -> None:
        """What the worker does with the refund in the queue."""
        (row,) = await self.rows(
            "SELECT id, store_id, kind, dedupe_key, payload FROM jobs "
            "WHERE kind = 'payments.refund' AND store_id = :store"
        )
        shop = build_shop(self.place.settings)
        try:
            jobs = checkout_jobs(till=shop.till, stores=shop.stores, clock=utc_now)
            await jobs["payments.refund"](Job(*row, tries=1))
        finally:
            await close_shop(shop)

    async def compare_refunds(self, *, tries: int = 1) -> None:
        """What the worker does with the events about refunds in the queue, all at once."""
        rows = await self.rows(
            "SELECT id, store_id, kind, dedupe_key, payload FROM jobs "
            "WHERE kind = 'payments.compare_refunds' AND store_id = :store"
        )
        shop = build_shop(self.place.settings)
        try:
            jobs = checkout_jobs(till=shop.till, stores=shop.stores, clock=utc_now)
            await asyncio.gather(*(jobs["payments.compare_refunds"](Job(*row, tries=tries)) for row in rows))
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
        await check_money(self.sessions, self.guest.store.id, self.stripe)
