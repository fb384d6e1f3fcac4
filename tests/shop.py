"""How tests set a shop up and buy in it: products with stock, a running server, a guest's way through the till."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.session import Sessions, transaction
from app.domain.giftcards.service import create_gift_card
from app.domain.orders.models import OrderLink
from app.domain.promotions.codes import code_key
from app.domain.promotions.models import Coupon, PromotionRow
from app.domain.stores.models import ShippingOption, ShippingZone, Store, StorePaymentService, TaxRate
from app.domain.stores.queries import StoreConfig
from app.kit.clock import utc_now
from app.kit.ids import digest, new_token
from app.main import create_app
from app.settings import Settings, load_settings
from tests.api.live import serve
from tests.canaries import COOKIE, MARK, SECRET_KEY, WATCH
from tests.line import Line

ADDRESS = {
    "first_name": "Ada",
    "last_name": "Berg",
    "address_one": "12 Mill Lane",
    "city": "Portland",
    "zip": "97201",
    "country": "United States",
    "region": "Oregon",
    "phone": "+1 503 555 0123",
}


def settings_for(database_url: str, redis_url: str, **environ: str) -> Settings:
    return load_settings(
        {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "STOREFRONT_SECRET_KEY": SECRET_KEY,
            "STOREFRONT_LIMITS": "off",
            # Tests write past the shop and read at once; what is kept has tests of its own.
            "STOREFRONT_CACHE_BYTES": "0",
            "STOREFRONT_COUNTS_SECONDS": "0",
            # The machine may be busy with other tests; how long a shop waits has tests of its own.
            "STOREFRONT_REDIS_WAIT_SECONDS": "5",
            # Nobody guesses at these passwords; what guessing costs has tests of its own.
            "STOREFRONT_ARGON2_MEMORY_KIB": "64",
            "STOREFRONT_ARGON2_TIME_COST": "1",
            "STOREFRONT_DATA_DIR": str(Path(tempfile.gettempdir()) / f"storefront-tests-{os.getpid()}"),
            **environ,
        }
    )


@asynccontextmanager
async def running_shop(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A real server of these settings and a client for it."""
    async with (
        serve(create_app(settings)) as url,
        httpx.AsyncClient(base_url=url, timeout=20, transport=Line()) as client,
    ):
        yield client
        WATCH.read("/metrics", (await client.get("/metrics")).text)


async def add_variant(
    sessions: Sessions,
    store: Store,
    *,
    price: int = 2500,
    on_hand: int = 10,
    policy: str = "deny",
    tracked: bool = True,
    requires_shipping: bool = True,
    taxable: bool = True,
    grams: int = 500,
) -> int:
    """A product with one variant and its stock; the variant's id."""
    values: dict[str, Any] = {
        "store": store.id,
        "handle": f"mug-{uuid4().hex[:10]}",
        "price": price,
        "on_hand": on_hand,
        "policy": policy,
        "tracked": tracked,
        "shipping": requires_shipping,
        "taxable": taxable,
        "grams": grams,
        "floor": None if policy == "continue" else min(0, on_hand),
        "now": utc_now(),
    }
    async with transaction(sessions) as session:
        product = await session.scalar(
            text(
                "INSERT INTO products (store_id, handle, title, published_at) "
                "VALUES (:store, :handle, 'Enamel mug', :now) RETURNING id"
            ),
            values,
        )
        variant: int = await session.scalar(  # type: ignore[assignment]  # RETURNING id is never null
            text(
                "INSERT INTO variants (store_id, product_id, position, title, price, requires_shipping, "
                "taxable, grams, listed) VALUES (:store, :product, 1, 'Default Title', :price, :shipping, "
                ":taxable, :grams, true) RETURNING id"
            ),
            {**values, "product": product},
        )
        await session.execute(
            text(
                "INSERT INTO stock_items (store_id, variant_id, tracked, policy, on_hand, floor) "
                "VALUES (:store, :variant, :tracked, :policy, :on_hand, :floor)"
            ),
            {**values, "variant": variant},
        )
        await session.execute(
            text(
                "INSERT INTO stock_movements (store_id, variant_id, kind, delta) "
                "VALUES (:store, :variant, 'stocked', :on_hand)"
            ),
            {**values, "variant": variant},
        )
    return variant


async def open_till(sessions: Sessions, store: Store, *, rate: int = 0, shipping: int = 500) -> int:
    """Shipping to the United States, a tax rate in parts per million, and every service; the option's id."""
    async with transaction(sessions) as session:
        zone = ShippingZone(store_id=store.id, name="US", countries=["US"], regions=[])
        session.add(zone)
        await session.flush()
        option = ShippingOption(
            store_id=store.id,
            zone_id=zone.id,
            title="Parcel",
            price=shipping,
            min_days=2,
            max_days=4,
            position=0,
        )
        session.add(option)
        session.add(TaxRate(store_id=store.id, country="US", region="", name="Tax", rate_ppm=rate))
        for position, name in enumerate(("manual", "free_payment", "test", "stripe", "paypal")):
            session.add(
                StorePaymentService(
                    store_id=store.id, name=name, title=name.title(), enabled=True, position=position
                )
            )
        await session.flush()
        return option.id


async def add_promotion(
    sessions: Sessions, store: Store, *codes: str, each: int | None = None, **values: Any
) -> int:
    """A promotion for these codes, or one that comes by itself; each: how often a code may be used. Its id."""
    async with transaction(sessions) as session:
        row = PromotionRow(
            store_id=store.id,
            **{
                "handle": f"offer-{uuid4().hex[:10]}",
                "title": "Ten percent",
                "kind": "percent",
                "value": 1000,
                "automatic": not codes,
                **values,
            },
        )
        session.add(row)
        await session.flush()
        for code in codes:
            session.add(
                Coupon(
                    store_id=store.id,
                    promotion_id=row.id,
                    code=code,
                    code_key=code_key(code),
                    max_uses=each,
                )
            )
        return row.id


async def add_gift_card(
    sessions: Sessions, store: Store, amount: int, *, code: str = "", currency: str = "", **values: Any
) -> tuple[str, int]:
    """A gift card with so much on it, whose code carries the mark of a secret; code and id."""
    async with transaction(sessions) as session:
        card, made = await create_gift_card(
            session,
            store.id,
            amount=amount,
            currency=currency or store.currency,
            code=code or f"{MARK}{uuid4().hex[:12]}",
            now=utc_now(),
            **values,
        )
        return made, card.id


def config_of(store: Store, **more: Any) -> StoreConfig:
    """A store without shipping, taxes or services, as a request knows it."""
    values: dict[str, Any] = {
        "zones": (),
        "taxes": (),
        "payment_services": (),
        **dict.fromkeys(("cancellation_reasons", "contact_subjects"), ()),
        **{
            name: getattr(store, name)
            for name in (
                *("id", "code", "host", "name", "email", "currency", "language", "country", "order_prefix"),
                *("tax_included", "tax_shipping"),
            )
        },
    }
    return StoreConfig(**{**values, **more})


async def agree_to(sessions: Sessions, next_step_url: str) -> None:
    """The buyer agrees to a charge of the test service at its second step; no event tells the shop of it."""
    async with sessions() as session:
        await session.execute(
            text("UPDATE test_charges SET state = 'captured' WHERE reference = :reference"),
            {"reference": next_step_url.rpartition("/")[2]},
        )
        await session.commit()


async def waiting_for_locks(sessions: Sessions, least: int) -> None:
    """Come back once so many sessions of this database wait for a lock."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    async with asyncio.timeout(5):
        while True:
            async with sessions() as session:
                if (await session.scalar(query) or 0) >= least:
                    return


@dataclass
class Guest:
    """A shopper with a client of a running shop."""

    client: httpx.AsyncClient
    store: Store
    option_id: int
    email: str = "ada@example.com"
    cart_uuid: str = ""
    token: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.headers = {"X-Store": self.store.code, "Cookie": f"other={COOKIE}", **self.headers}

    async def call(self, method: str, path: str, json: Any = None, **headers: str) -> httpx.Response:
        return await self.client.request(
            method, f"/storefront/v1{path}", json=json, headers={**self.headers, **headers}
        )

    async def add(self, variant_id: int, quantity: int = 1) -> httpx.Response:
        body = {"product_id": variant_id, "quantity": quantity}
        if self.cart_uuid:
            body["cart_uuid"] = self.cart_uuid
        answer = await self.call("POST", "/cart/items", body)
        if answer.status_code == 200:
            self.cart_uuid = answer.json()["cart_uuid"]
        return answer

    async def open_checkout(self) -> dict[str, Any]:
        answer = await self.call("POST", "/checkout", {"cart_uuid": self.cart_uuid})
        assert answer.status_code == 200, answer.text
        self.token = answer.json()["checkout_token"]
        found: dict[str, Any] = answer.json()
        return found

    async def prepare(self, variant_id: int, quantity: int = 1) -> dict[str, Any]:
        """From an empty cart to a checkout that only wants paying; the checkout."""
        added = await self.add(variant_id, quantity)
        assert added.status_code == 200, added.text
        await self.open_checkout()
        customer = await self.call(
            "PUT", f"/checkout/{self.token}/customer", {"email": self.email, "shipping_address": ADDRESS}
        )
        assert customer.status_code == 200, customer.text
        shipping = await self.call(
            "PUT", f"/checkout/{self.token}/shipping", {"shipping_option_id": self.option_id}
        )
        assert shipping.status_code == 200, shipping.text
        checkout: dict[str, Any] = shipping.json()
        return checkout

    async def pay(
        self, amount: int, *, service: str = "test", payment_token: str = "ok", **headers: str
    ) -> httpx.Response:
        return await self.call(
            "POST",
            f"/checkout/{self.token}/payment",
            {"payment_type": service, "payment_token": payment_token, "amount": amount},
            **headers,
        )

    async def read_checkout(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.call("GET", f"/checkout/{self.token}")).json()
        return found

    async def read_order(self, order_id: int) -> httpx.Response:
        return await self.call("GET", f"/orders/{order_id}", **{"X-Checkout-Token": self.token})


async def add_order_link(session: AsyncSession, store_id: int, order_id: int) -> str:
    """The secret of a mailed link to an order, good for an hour."""
    secret = new_token()
    until = utc_now() + timedelta(hours=1)
    session.add(OrderLink(digest=digest(secret), store_id=store_id, order_id=order_id, expires_at=until))
    await session.flush()
    return secret
