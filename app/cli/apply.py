"""`storefront apply`: a store as its shop file describes it, told change by change."""

import asyncio
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.environment import production_checked_settings, with_databases
from app.cli.file_places import explain_shape, name_place
from app.db.session import create_engine, create_sessions, transaction
from app.domain.catalogue.arranging import (
    CategoryDraft,
    CollectionDraft,
    apply_category,
    apply_collection,
    apply_related,
)
from app.domain.catalogue.documents import rebuild_colors
from app.domain.catalogue.models import Category, Collection
from app.domain.catalogue.presence import find_handles, find_product_ids, has_products
from app.domain.catalogue.refreshing import refresh_search
from app.domain.content.models import BlogPost, Page
from app.domain.content.searching import refresh_texts
from app.domain.giftcards.applying import GiftCardPlan, apply_gift_cards, find_card_faults
from app.domain.promotions.applying import apply_promotions, apply_unit_prices
from app.domain.promotions.plan import PromotionPlan, UnitPricePlan, find_faults
from app.domain.stores.applying import apply_store, find_store
from app.domain.stores.models import Store
from app.domain.stores.plan import INVALID_PLAN, StoreFile
from app.kit.clock import utc_now
from app.kit.errors import AppError, FieldError, Invalid
from app.settings import Settings

T = TypeVar("T")


class ShopFile(StoreFile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole shop file: the store, how its products are arranged, what is offered on them, and gift cards.

    related: by the handle of a product those to show beside it; of products that it leaves out it is computed.
    """

    collections: tuple[CollectionDraft, ...] = ()
    categories: tuple[CategoryDraft, ...] = ()
    related: dict[str, tuple[str, ...]] | UnsetType = UNSET
    promotions: tuple[PromotionPlan, ...] | UnsetType = UNSET
    unit_prices: tuple[UnitPricePlan, ...] | UnsetType = UNSET
    gift_cards: tuple[GiftCardPlan, ...] = ()


class Applied(msgspec.Struct):
    """The store, a line for each change, and what could not be done yet."""

    store: Store
    changes: list[str]
    notes: list[str]


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def command(file: Path) -> None:
    """Set a store up as FILE says: name, currency, shipping, taxes, payment, collections, categories,
    promotions, gift cards.

    Only what differs is written, and each change is told; applied again, nothing changes. All of it is done,
    or nothing. fixtures/shop.toml is an example to copy.
    """
    content = load_toml(file)
    plan = convert_toml(content, ShopFile, file)
    with with_databases(production_checked_settings()) as settings:
        applied = asyncio.run(_run(settings, plan, file, content))
    for line in applied.changes or ["Nothing to change."]:
        click.echo(line)
    for line in applied.notes:
        click.echo(line, err=True)


async def _run(settings: Settings, plan: ShopFile, file: Path, content: Mapping[str, Any]) -> Applied:
    engine = create_engine(settings.database_url, pool_size=1, application_name="storefront apply")
    try:
        async with transaction(create_sessions(engine)) as session:
            return await apply_shop(session, plan, now=utc_now(), production=settings.is_production)
    except AppError as error:
        raise click.ClickException(f"{file.name}: {_told(error, content)}") from error
    finally:
        await engine.dispose()


def read_toml(file: Path, kind: type[T]) -> T:
    """The file as this type; a fault ends the command with the key that it stands at."""
    return convert_toml(load_toml(file), kind, file)


def load_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise click.ClickException(f"{file.name}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise click.ClickException(f"{file.name}: {error}") from None


def convert_toml(content: Mapping[str, Any], kind: type[T], file: Path) -> T:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise click.ClickException(f"{file.name}: {explain_shape(str(error), content)}") from None


async def apply_shop(
    session: AsyncSession, file: ShopFile, *, now: datetime, production: bool = False
) -> Applied:
    """Make the store what the file says, in the caller's transaction. Raises AppError naming the place."""
    services = file.payment_services or {}
    if production and "test" in services and services["test"].enabled:
        raise Invalid.at(
            "payment_services.test", INVALID_PLAN, "the test service takes no money: development only"
        )
    standing = await find_store(session, file.store.code)
    is_free = standing is None or not await has_products(session, standing.id)
    language = standing.language if standing else None
    colors = standing.settings.get("colors") if standing else None
    store, changes = await apply_store(session, file, currency_is_free=is_free)
    if language not in (None, store.language):
        await refresh_search(session, store.id)
        for table in (BlogPost, Page):
            await refresh_texts(session, store.id, table)
    if store.settings.get("colors") != colors:
        await session.flush()
        await rebuild_colors(session, store.id)
    notes: list[str] = []
    shelves = await _apply_shelves(session, store, file, now=now)
    for told, waits in (shelves, *await _apply_offers(session, store, file, now=now)):
        changes += told
        notes += waits
    return Applied(store, changes, notes)


async def _apply_shelves(
    session: AsyncSession, store: Store, file: ShopFile, *, now: datetime
) -> tuple[list[str], list[str]]:
    """Collections, categories and related products: the changes, and what could not be done yet."""
    await _refuse_unknown_handles(session, store.id, file)
    named = {handle for draft in file.collections for handle in draft.products}
    known = await find_product_ids(session, store.id, named)
    changes: list[str] = []
    waiting = {
        f"collection {draft.handle}": [handle for handle in draft.products if handle not in known]
        for draft in file.collections
    }
    for place, draft in enumerate(file.collections):
        wanted = msgspec.structs.replace(draft, products=tuple(h for h in draft.products if h in known))
        try:
            told = await apply_collection(session, store.id, wanted, now=now)
        except AppError as error:
            raise _at(f"collections[{place}]", error) from error
        changes += [f"collection {draft.handle}: {', '.join(told)}"] if told else []
    for place, category in enumerate(_parents_first(file.categories)):
        wanted_node = category if category.position else msgspec.structs.replace(category, position=place + 1)
        try:
            told = await apply_category(session, store.id, wanted_node, now=now)
        except AppError as error:
            raise _at(f"categories.{category.handle}", error) from error
        changes += [f"category {category.handle}: {', '.join(told)}"] if told else []
    if file.related is not UNSET:
        told, missing = await apply_related(session, store.id, file.related, now=now)
        changes += told
        waiting |= {f"related {handle}": handles for handle, handles in missing.items()}
    return changes, _missing_products(waiting)


async def _apply_offers(
    session: AsyncSession, store: Store, file: ShopFile, *, now: datetime
) -> list[tuple[list[str], list[str]]]:
    """Promotions and unit prices, after what they name, and gift cards: the changes, and what could not be done
    yet, of each.
    """
    promotions, prices = file.promotions or (), file.unit_prices or ()
    sold_in = [rule["code"] for rule in store.settings.get("currencies", [])]
    faults = [
        *find_faults(promotions, prices, currency=store.currency, sold_in=sold_in),
        *find_card_faults(file.gift_cards, currency=store.currency),
    ]
    if faults:
        first = f"{faults[0].field}: {faults[0].message}"
        raise Invalid(INVALID_PLAN, f"The shop file cannot be applied: {first}.", errors=faults)
    done: list[tuple[list[str], list[str]]] = []
    # Cards before promotions, as checkouts lock them.
    if file.gift_cards:
        cards = await apply_gift_cards(session, store.id, file.gift_cards, currency=store.currency, now=now)
        done.append((cards, []))
    if file.promotions is not UNSET:
        done.append(await apply_promotions(session, store.id, promotions, currency=store.currency, now=now))
    if file.unit_prices is not UNSET:
        done.append(await apply_unit_prices(session, store.id, prices, currency=store.currency))
    return done


def _missing_products(waiting: Mapping[str, Sequence[str]]) -> list[str]:
    """All products that the shop does not have yet, in one note with a line for each thing that waits for them."""
    lines = [f"  {what}: {', '.join(missing)}" for what, missing in waiting.items() if missing]
    return (
        ["\n".join(["Not in the shop; import and apply again, or take out of the file:", *lines])]
        if lines
        else []
    )


async def _refuse_unknown_handles(session: AsyncSession, store_id: int, file: ShopFile) -> None:
    """Raise Invalid naming every category and collection that categories name and that is nowhere."""
    categories = {draft.handle for draft in file.categories}
    collections = {draft.handle for draft in file.collections}
    categories |= await find_handles(
        session, Category, store_id, {draft.parent for draft in file.categories} - categories
    )
    collections |= await find_handles(
        session,
        Collection,
        store_id,
        {h for draft in file.categories for h in draft.collections} - collections,
    )
    faults = []
    for draft in file.categories:
        if draft.parent and draft.parent not in categories:
            message = f"there is no category {draft.parent}"
            faults.append(FieldError(f"categories.{draft.handle}.parent", INVALID_PLAN, message))
        missing = [handle for handle in draft.collections if handle not in collections]
        if missing:
            message = f"there is no collection {', '.join(missing)}"
            faults.append(FieldError(f"categories.{draft.handle}.collections", INVALID_PLAN, message))
    if faults:
        raise Invalid(INVALID_PLAN, "Some handles are nowhere.", errors=faults)


def _parents_first(categories: tuple[CategoryDraft, ...]) -> list[CategoryDraft]:
    """In the order of the file, but each after its parent; what stands in a circle comes last and is refused."""
    named = {category.handle for category in categories}
    placed: dict[str, CategoryDraft] = {}
    waiting = list(categories)
    while waiting:
        ready = [c for c in waiting if c.parent not in named or c.parent in placed] or waiting
        placed |= {category.handle: category for category in ready}
        waiting = [category for category in waiting if category.handle not in placed]
    return list(placed.values())


def _at(path: str, error: AppError) -> Invalid:
    found: tuple[Any, ...] = error.errors if isinstance(error, Invalid) else ()
    errors = [FieldError(f"{path}.{fault.field}", fault.code, fault.message) for fault in found]
    return Invalid(
        INVALID_PLAN, error.message, errors=errors or [FieldError(path, error.code, error.message)]
    )


def _told(error: AppError, content: Mapping[str, Any]) -> str:
    faults = error.errors if isinstance(error, Invalid) else ()
    if not faults:
        return error.message
    return "\n".join(f"{name_place(fault.field, content)}: {fault.message}" for fault in faults)
