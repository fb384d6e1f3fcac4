"""The shop that is measured: 1,000 products with 3,000 variants in ten collections, and an open till."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final

from sqlalchemy import text

from app.db.session import Sessions, transaction
from app.domain.catalogue.arranging import CollectionDraft, apply_collection
from app.domain.catalogue.drafts import ImageDraft, OptionDraft, ProductDraft, StockDraft, VariantDraft
from app.domain.catalogue.importing import refresh_statistics
from app.domain.catalogue.service import save_products
from app.domain.stores.models import ShippingOption, ShippingZone, StorePaymentService, TaxRate
from app.domain.stores.service import DEFAULT_STORE, create_store
from tests.benchmarks.operations import Seeded

PRODUCTS: Final = 1_000
COLLECTIONS: Final = 10
CHUNK: Final = 200
# Never sold out, but counted and refusing to be oversold as real stock is.
ON_HAND: Final = 1_000_000

SIZES: Final = ("Small", "Medium", "Large")
KINDS: Final = (
    "Tent",
    "Mug",
    "Lantern",
    "Blanket",
    "Backpack",
    "Kettle",
    "Jacket",
    "Chair",
    "Stove",
    "Towel",
)
MAKES: Final = (
    "Canvas",
    "Enamel",
    "Copper",
    "Woollen",
    "Cedar",
    "Linen",
    "Granite",
    "Willow",
    "Birch",
    "Felt",
)
PLACES: Final = ("Fell", "Harbour", "Meadow", "Ridge", "Valley", "Forest", "River", "Moor", "Cove", "Summit")


def product_drafts() -> Iterator[ProductDraft]:
    """A thousand products, each named by a make, a place and a kind: every word finds a hundred of them."""
    for number in range(PRODUCTS):
        kind, make, place = KINDS[number // 100], MAKES[number // 10 % 10], PLACES[number % 10]
        title = f"{make} {place} {kind}"
        handle = title.lower().replace(" ", "-")
        images = tuple(
            ImageDraft(f"/images/{handle}-{picture}.jpg", f"{title}, view {picture}", 1200, 1200)
            for picture in (1, 2)
        )
        yield ProductDraft(
            handle=handle,
            title=title,
            body_html=f"<p>A {make.lower()} {kind.lower()} made for the {place.lower()}.</p>"
            "<p>It is built to be mended, packs small and comes with a spare of every part that "
            "wears. Made in small numbers, tested outdoors for a year before it went on sale.</p>",
            vendor=f"{place} Works",
            type=kind,
            tags=(make.lower(), place.lower()),
            options=(OptionDraft("Size", SIZES),),
            images=images,
            variants=tuple(
                VariantDraft(
                    price=1_900 + number * 7 + place_in_row * 500,
                    values=(size,),
                    sku=f"B-{number:04}-{place_in_row}",
                    grams=Decimal(400 + 100 * place_in_row),
                    inventory_management="shopify",
                    image_src=images[0].src,
                    stock=StockDraft(on_hand=ON_HAND),
                )
                for place_in_row, size in enumerate(SIZES)
            ),
        )


async def seed(sessions: Sessions, *, now: datetime) -> Seeded:
    """Fill an empty, migrated database through the functions that every import uses."""
    drafts = list(product_drafts())
    async with transaction(sessions) as session:
        store = await create_store(session, code=DEFAULT_STORE, name="Bench", currency="USD")
        store_id = store.id
        zone = ShippingZone(store_id=store_id, name="US", countries=["US"], regions=[])
        session.add(zone)
        await session.flush()
        option = ShippingOption(
            store_id=store_id, zone_id=zone.id, title="Parcel", price=590, min_days=2, max_days=4, position=0
        )
        session.add_all(
            [
                option,
                TaxRate(store_id=store_id, country="US", region="", name="Tax", rate=725),
                StorePaymentService(
                    store_id=store_id, name="manual", title="On delivery", enabled=True, position=0
                ),
            ]
        )
        await session.flush()
        option_id = option.id
    for start in range(0, PRODUCTS, CHUNK):
        async with transaction(sessions) as session:
            await save_products(session, store_id, drafts[start : start + CHUNK], now=now)
            # As imports do: what was planned for empty tables reads all of them for each row that refers to one.
            await refresh_statistics(session)
    handles = [f"bench-{number}" for number in range(COLLECTIONS)]
    async with transaction(sessions) as session:
        for number, handle in enumerate(handles):
            members = tuple(draft.handle for draft in drafts[number::COLLECTIONS])
            await apply_collection(
                session,
                store_id,
                CollectionDraft(handle=handle, title=f"Collection {number}", products=members),
                now=now,
            )
    async with sessions() as session:
        variants = await session.scalars(
            text("SELECT id FROM variants WHERE store_id = :store ORDER BY id"), {"store": store_id}
        )
        return Seeded(
            handles=[draft.handle for draft in drafts],
            variants=list(variants),
            collections=handles,
            words=[word.lower() for word in (*KINDS, *MAKES, *PLACES)],
            shipping_option_id=option_id,
        )
