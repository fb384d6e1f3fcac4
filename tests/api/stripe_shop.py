"""A shop that takes Stripe, the stand-in that it talks to, and a buyer who compares their books."""

from dataclasses import dataclass
from typing import Any

import httpx

from app.db.session import Sessions
from app.settings import Settings
from tests.api.payer import Payer
from tests.shop import Guest
from tests.standins.stripe import StripeStandIn


@dataclass
class Place:
    """A shop that takes Stripe, and the stand-in that it talks to."""

    client: httpx.AsyncClient
    stripe: StripeStandIn
    settings: Settings


@dataclass
class Buyer(Payer):
    """A guest with a filled checkout at a store of their own."""

    guest: Guest
    stripe: StripeStandIn
    place: Place
    sessions: Sessions
    variant: int
    total: int = 3000

    @property
    def service(self) -> StripeStandIn:
        return self.stripe

    @property
    def settings(self) -> Settings:
        return self.place.settings

    async def pay(self, card: str = "pm_card_visa") -> httpx.Response:
        return await self.guest.pay(self.total, service="stripe", payment_token=card)

    async def confirm(self) -> httpx.Response:
        return await self.guest.call("POST", f"/checkout/{self.guest.token}/payment/stripe/confirm", {})

    async def send(self, event: dict[str, Any], **signing: Any) -> httpx.Response:
        return await self.stripe.send(self.place.client, event, **signing)

    async def intent(self) -> dict[str, Any]:
        """The newest PaymentIntent of this store's attempts."""
        keys = {key for (key,) in await self.rows("SELECT key FROM payments WHERE store_id = :store")}
        mine = [one for one in self.stripe.intents.values() if one["metadata"]["attempt"] in keys]
        return mine[-1]
