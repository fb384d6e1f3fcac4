"""A small outdoor shop that the catalogue's tests read: six products in two collections and two categories."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx

from app.db.session import Sessions, transaction
from app.domain.catalogue.arranging import CategoryDraft, CollectionDraft, apply_category, apply_collection
from app.domain.catalogue.drafts import (
    ImageDraft,
    OptionDraft,
    ProductDraft,
    StockDraft,
    VariantDraft,
)
from app.domain.catalogue.rules import Rule
from app.domain.catalogue.service import save_products
from app.domain.stores.models import Store
from app.kit.clock import utc_now

COLOURS = ("Pine Green", "Rust")
SIZES = ("S", "M")


def tent(**changes: Any) -> ProductDraft:
    values: dict[str, Any] = {
        "handle": "ridge-tent",
        "title": "Ridge Tent",
        "body_html": "<p>Stands in any gale, packs to the size of a loaf.</p>",
        "vendor": "Fjellbu",
        "type": "Tents",
        "product_category": "Outdoor > Camping > Tents",
        "tags": ("shelter", "three-season"),
        "metafields": {"custom.poles": "Aluminium"},
        "options": (OptionDraft("Colour", COLOURS),),
        "images": (
            ImageDraft("https://img.example/tent-green.jpg", alt="The tent in green", width=800, height=600),
            ImageDraft("https://img.example/tent-rust.jpg", alt="The tent in rust"),
        ),
        "variants": tuple(
            VariantDraft(
                price=24900 + 1000 * place,
                compare_at_price=29900 if place == 0 else None,
                values=(colour,),
                sku=f"TNT-{place}",
                barcode=f"20000000000{place}0",
                grams=Decimal(2100),
                weight_unit="kg",
                inventory_management="shopify",
                image_src=f"https://img.example/tent-{('green', 'rust')[place]}.jpg",
                stock=StockDraft(on_hand=(7, 0)[place]),
            )
            for place, colour in enumerate(COLOURS)
        ),
    }
    return ProductDraft(**{**values, **changes})


def simple(handle: str, title: str, price: int, **changes: Any) -> ProductDraft:
    values: dict[str, Any] = {
        "handle": handle,
        "title": title,
        "vendor": "Fjellbu",
        "variants": (VariantDraft(price=price, sku=handle.upper(), stock=StockDraft(on_hand=5)),),
    }
    return ProductDraft(**{**values, **changes})


def jacket() -> ProductDraft:
    return ProductDraft(
        handle="squall-jacket",
        title="Squall Rain Jacket",
        body_html="<p>Waterproof &amp; light. Goes under a tent in a pinch.</p>",
        type="Jackets",
        tags=("rain",),
        options=(OptionDraft("Colour", COLOURS), OptionDraft("Size", SIZES)),
        variants=tuple(
            VariantDraft(price=12000, values=(colour, size), sku=f"SQ-{colour[0]}{size}")
            for colour in COLOURS
            for size in SIZES
        ),
    )


DRAFTS = (
    tent(),
    jacket(),
    simple("kettle", "Basecamp Kettle", 3900, type="Kitchen", tags=("steel",)),
    simple("cafe-press", "Café Press", 4500, type="Kitchen", body_html="<p>Coffee that takes its time.</p>"),
    simple("hidden-draft", "Hidden Draft", 100, type="Kitchen", status="draft"),
    simple("unpublished", "Unpublished Lamp", 100, type="Lamps", published=False),
)


@dataclass(frozen=True)
class Shelf:
    """The shop above, and a client that speaks to it."""

    client: httpx.AsyncClient
    store: Store
    ids: dict[str, int]

    async def get(self, path: str, **options: Any) -> httpx.Response:
        headers = {"X-Store": self.store.code, **options.pop("headers", {})}
        return await self.client.get(f"/storefront/v1{path}", headers=headers, **options)

    async def json(self, path: str, **options: Any) -> Any:
        answer = await self.get(path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def fill(sessions: Sessions, store: Store) -> dict[str, int]:
    now = utc_now()
    async with transaction(sessions) as session:
        ids = await save_products(session, store.id, DRAFTS, now=now)
        for collection in (
            CollectionDraft(
                handle="by-hand", title="By Hand", products=("kettle", "hidden-draft", "ridge-tent")
            ),
            CollectionDraft(
                handle="under-100",
                title="Under 100",
                sort_order="price_ascending",
                rules=(Rule("price", "less_than", "100.00"),),
            ),
            CollectionDraft(handle="secret", title="Secret", visible=False, products=("kettle",)),
        ):
            await apply_collection(session, store.id, collection, now=now)
        for category in (
            CategoryDraft(handle="outdoor", title="Outdoor", collections=("under-100",)),
            CategoryDraft(handle="camp", title="Camp", parent="outdoor", collections=("by-hand",)),
        ):
            await apply_category(session, store.id, category, now=now)
    return {draft.handle: product_id for draft, product_id in zip(DRAFTS, ids, strict=True)}
