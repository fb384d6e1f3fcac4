"""What fills an empty shop on the first start: the demo shop, through the same code that merchants run."""

import asyncio
import time
from datetime import UTC, date, datetime
from datetime import time as clock
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from app.cli.apply import ShopFile, apply_shop, read_toml
from app.cli.importing import import_products
from app.cli.path_words import product_path_words
from app.db.session import Sessions, create_engine, create_sessions, transaction
from app.domain.catalogue.image_addresses import move_images
from app.domain.catalogue.presence import has_products
from app.domain.content.service import ContentFile, apply_content, move_media
from app.domain.giftcards.applying import GiftCardPlan
from app.domain.reviews.service import ProductVoices, QuestionDraft, ReviewDraft, load_voices
from app.domain.stores.applying import find_store, keep_setting
from app.domain.stores.models import Store
from app.kit.clock import utc_now
from app.settings import Settings

SCHEME: Final = "demo:"
# Under this name the store keeps where the pictures of its demo catalogue are, and until it is whole,
# that it is being loaded: a first start that is cut off is finished by the next one.
SETTING: Final = "demo"
LOADING: Final = "loading"


class ReviewEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rating: float
    text: str
    by: str
    on: date
    title: str = ""
    verified: bool = False


class QuestionEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    by: str
    on: date
    answer: str = ""
    answered_on: date | None = None


class GiftCardsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """fixtures/gift_cards.toml: what can be paid with in the demo shop, and must not come into another."""

    gift_cards: tuple[GiftCardPlan, ...] = ()


class ProductEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    handle: str
    reviews: tuple[ReviewEntry, ...] = ()
    questions: tuple[QuestionEntry, ...] = ()


class ReviewsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """fixtures/reviews.toml: what invented people say of invented products."""

    products: tuple[ProductEntry, ...] = ()


def demo_folder() -> Path:
    """The demo shop of this checkout; an installation without one has none."""
    return Path(__file__).resolve().parents[2] / "fixtures"


def load_demo_if_empty(settings: Settings) -> None:
    """Fill the default store with the demo shop where it has no products, and say so in a line or two.

    On later starts the pictures follow the address of the shop. Never in production.
    """
    if not settings.is_production and (demo_folder() / "products.csv").is_file():
        asyncio.run(_load_if_empty(settings))


async def _load_if_empty(settings: Settings) -> None:
    engine = create_engine(settings.database_url, pool_size=2, application_name="storefront demo")
    base = f"{settings.public_url}/demo/"
    plan = read_toml(demo_folder() / "shop.toml", ShopFile)
    try:
        sessions = create_sessions(engine)
        async with sessions() as session:
            store = await find_store(session, plan.store.code)
            kept = store.settings.get(SETTING) if store else None
            is_empty = store is None or not await has_products(session, store.id)
        if is_empty or kept == LOADING:
            began = time.monotonic()
            click.echo(await _load(engine, sessions, plan, base))
            click.echo(f"The demo shop is loaded ({time.monotonic() - began:.1f} s).")
        elif store is not None and kept and kept != base:
            await _move(sessions, store, str(kept), base)
    finally:
        await engine.dispose()


async def _load(engine: AsyncEngine, sessions: Sessions, plan: ShopFile, base: str) -> str:
    folder = demo_folder()
    async with transaction(sessions) as session:
        # Without its collections and promotions first: they name products that come with the next step.
        bare = msgspec.structs.replace(
            plan, collections=(), categories=(), promotions=msgspec.UNSET, unit_prices=msgspec.UNSET
        )
        store = (await apply_shop(session, bare, now=utc_now())).store
        await keep_setting(session, store.id, SETTING, LOADING)
    summary = await import_products(
        engine,
        store.id,
        store.currency,
        folder / "products.csv",
        hidden_handles=product_path_words(),
        rewrite_image=lambda address: _placed(address, base),
    )
    now = utc_now()
    async with transaction(sessions) as session:
        cards = read_toml(folder / "gift_cards.toml", GiftCardsFile).gift_cards
        await apply_shop(session, msgspec.structs.replace(plan, gift_cards=cards), now=now)
        content = await apply_content(session, store.id, _content(folder, base), now=now)
        voices = await load_voices(session, store.id, _voices(folder))
        await keep_setting(session, store.id, SETTING, base)
    products, variants = summary.outcome.created, summary.outcome.variants_created
    return (
        f"The shop was empty: {products} products with {variants} variants, {len(plan.collections)} "
        f"collections, {len(content)} texts, {voices} reviews and questions come in."
    )


async def _move(sessions: Sessions, store: Store, old: str, new: str) -> None:
    async with transaction(sessions) as session:
        now = utc_now()
        count = await move_images(session, store.id, old=old, new=new, now=now)
        await move_media(session, store.id, old=old, new=new, now=now)
        await keep_setting(session, store.id, SETTING, new)
    click.echo(f"The demo shop's pictures are at {new} now ({count} products).")


def _placed(address: str, base: str) -> str:
    return base + address.removeprefix(SCHEME) if address.startswith(SCHEME) else address


def _content(folder: Path, base: str) -> ContentFile:
    file = read_toml(folder / "content.toml", ContentFile)
    posts = tuple(msgspec.structs.replace(post, image=_placed(post.image, base)) for post in file.posts)
    return msgspec.structs.replace(file, posts=posts)


def _voices(folder: Path) -> list[ProductVoices]:
    file = read_toml(folder / "reviews.toml", ReviewsFile)
    return [
        ProductVoices(
            entry.handle,
            tuple(
                ReviewDraft(
                    Decimal(str(review.rating)),
                    **_writer(review.by),
                    at=_noon(review.on),
                    title=review.title,
                    text=review.text,
                    verified=review.verified,
                )
                for review in entry.reviews
            ),
            tuple(
                QuestionDraft(
                    question.text,
                    **_writer(question.by),
                    at=_noon(question.on),
                    answer=question.answer,
                    answered_at=_noon(question.answered_on) if question.answered_on else None,
                )
                for question in entry.questions
            ),
        )
        for entry in file.products
    ]


def _writer(name: str) -> dict[str, Any]:
    # example.com belongs to nobody (RFC 2606).
    word = "".join(letter for letter in name.lower() if letter.isascii() and letter.isalnum())
    return {"by": name, "email": f"{word or 'shopper'}@example.com"}


def _noon(day: date) -> datetime:
    return datetime.combine(day, clock(12), UTC)
