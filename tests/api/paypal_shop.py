"""A shop that takes PayPal, the stand-in that it talks to, and a buyer who compares their books."""

from dataclasses import dataclass
from typing import Any

import httpx

from app.db.session import Sessions
from app.settings import Settings
from tests.api.payer import Payer
from tests.shop import Guest
from tests.standins.paypal import PayPalStandIn


@dataclass
class PayPalPlace:
    """A shop that takes PayPal, and the stand-in that it talks to."""

    client: httpx.AsyncClient
    paypal: PayPalStandIn
    settings: Settings


@dataclass
class PayPalBuyer(Payer):
    """A guest with a filled checkout at a store of their own."""

    guest: Guest
    paypal: PayPalStandIn
    place: PayPalPlace
    sessions: Sessions
    variant: int
    total: int = 3000

    @property
    def service(self) -> PayPalStandIn:
        return self.paypal

    @property
    def settings(self) -> Settings:
        return self.place.settings

    async def start(self) -> httpx.Response:
        return await self.guest.call("POST", f"/checkout/{self.guest.token}/payment/paypal", {})

    async def confirm(self) -> httpx.Response:
        return await self.guest.call("POST", f"/checkout/{self.guest.token}/payment/paypal/confirm", {})

    async def send(self, event: dict[str, Any], **headers: str) -> httpx.Response:
        return await self.paypal.send(self.place.client, event, **headers)

    async def order(self) -> dict[str, Any]:
        """PayPal's newest order of this store's attempts."""
        keys = {key for (key,) in await self.rows("SELECT key FROM payments WHERE store_id = :store")}
        orders = self.paypal.orders.values()
        return [one for one in orders if one["purchase_units"][0]["custom_id"] in keys][-1]

    async def start_and_approve(self, instrument: str = "bank") -> str:
        """Up to the shopper's way back from PayPal; the id of PayPal's order."""
        started = await self.start()
        assert started.status_code == 200, started.text
        reference: str = (await self.order())["id"]
        self.paypal.approve(reference, instrument)
        return reference

    async def ask(self) -> None:
        """What the worker does with events that say that the shopper approved."""
        await self.work("payments.ask")
