"""How a merchant arranges products in collections, in categories and beside one another: written as wanted, saying what
changed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import delete, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.catalogue.errors import INVALID_PRODUCT, category_not_found, collection_not_found
from app.domain.catalogue.membership import fill_by_hand, fill_by_rule, sort_collection
from app.domain.catalogue.models import Category, CategoryCollection, Collection, Product
from app.domain.catalogue.rules import Rule, store_rule
from app.domain.catalogue.service import set_related
from app.domain.stores.models import Store
from app.kit.errors import Invalid

# What a collection is ordered by when a reader asks for no order.
SORT_ORDERS: Final = (
    "manual", "title", "price_ascending", "price_descending", "newest", "best_selling",
)  # fmt: skip


class CollectionDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A collection as wanted: `products` (handles) by hand, or `rules`; see ProductDraft for former_handle."""

    handle: str
    title: str
    former_handle: str = ""
    body_html: str = ""
    visible: bool = True
    seo_title: str = ""
    seo_description: str = ""
    seo_keywords: str = ""
    media: dict[str, Any] = {}
    sort_order: str = "manual"
    products: tuple[str, ...] = ()
    condition: str = "all"
    rules: tuple[Rule, ...] = ()


class CategoryDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A category as wanted; `parent` and `collections` are handles."""

    handle: str
    title: str
    former_handle: str = ""
    body_html: str = ""
    visible: bool = True
    seo_title: str = ""
    seo_description: str = ""
    seo_keywords: str = ""
    media: dict[str, Any] = {}
    parent: str = ""
    position: int = 0
    collections: tuple[str, ...] = ()


Row = TypeVar("Row", Collection, Category)
_SHARED: Final = ("title", "body_html", "visible", "seo_title", "seo_description", "seo_keywords", "media")


def _invalid(field: str, message: str) -> Invalid:
    return Invalid.at(field, INVALID_PRODUCT, message)


def _set(row: Collection | Category, values: dict[str, Any], now: datetime) -> list[str]:
    """Write what differs, and name it."""
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, values[name])
    if changed:
        row.updated_at = now
    return changed


async def _lock_row(
    session: AsyncSession, table: type[Row], store_id: int, draft: CollectionDraft | CategoryDraft
) -> Row | None:
    """The row of the draft's handle, else of its former handle, which then is renamed with its redirect."""
    for handle in (draft.handle, draft.former_handle):
        row = await session.scalar(
            select(table).where(table.store_id == store_id, table.handle == handle).with_for_update()
        )
        if row is not None:
            row.handle = draft.handle
            return row
    return None


async def apply_collection(
    session: AsyncSession, store_id: int, draft: CollectionDraft, *, now: datetime
) -> list[str]:
    """Make the collection as wanted and say what changed, a short phrase each; nothing where it was so.

    Raises Invalid invalid_rule for a rule that makes no sense, invalid_product for any other fault.
    """
    if draft.products and draft.rules:
        raise _invalid("products", "A collection has products by hand or rules, not both.")
    if draft.condition not in ("all", "any"):
        raise _invalid("condition", "The condition is all or any.")
    if draft.sort_order not in SORT_ORDERS:
        raise _invalid("sort_order", f"The order is one of {', '.join(SORT_ORDERS)}.")
    currency = await session.scalar(select(Store.currency).where(Store.id == store_id))
    rules = [store_rule(rule, place, currency or "USD") for place, rule in enumerate(draft.rules)]
    unknown = await _unknown_products(session, store_id, draft.products)
    if unknown:
        raise _invalid("products", f"There is no product {', '.join(unknown)}.")
    row = await _lock_row(session, Collection, store_id, draft)
    made = row is None
    if row is None:
        row = Collection(store_id=store_id, handle=draft.handle, title=draft.title, media={}, rules=[])
        row.created_at = row.updated_at = now
        session.add(row)
        await session.flush()
        await session.refresh(row)
    values = {name: getattr(draft, name) for name in _SHARED} | {
        "kind": "rule" if rules else "manual",
        "condition": draft.condition,
        "rules": rules,
        "sort_order": draft.sort_order,
    }
    changed = _set(row, values, now)
    await session.flush()
    if rules:
        moved = await fill_by_rule(session, store_id, row.id, rules=rules, condition=draft.condition)
    else:
        in_place = draft.sort_order == "manual"
        moved = await fill_by_hand(session, store_id, row.id, draft.products, in_place=in_place)
    await sort_collection(session, store_id, row.id)
    if made:
        return [f"made, with {moved} products"]
    return changed + ([f"{moved} products"] if moved else [])


async def _unknown_products(session: AsyncSession, store_id: int, handles: Sequence[str]) -> list[str]:
    if not handles:
        return []
    found = await session.scalars(
        select(Product.handle).where(Product.store_id == store_id, Product.handle.in_(handles))
    )
    known = set(found)
    return [handle for handle in handles if handle not in known]


async def apply_category(
    session: AsyncSession, store_id: int, draft: CategoryDraft, *, now: datetime
) -> list[str]:
    """Make the category as wanted and say what changed. Its parent and collections come before it.

    Raises NotFound for an unknown parent or collection, Invalid for a parent that stands below it.
    """
    parent_id = None
    if draft.parent:
        parent_id = await _category_id(session, store_id, draft.parent)
        if parent_id is None:
            raise category_not_found()
    row = await _lock_row(session, Category, store_id, draft)
    made = row is None
    if row is None:
        row = Category(store_id=store_id, handle=draft.handle, title=draft.title, media={})
        row.created_at = row.updated_at = now
        session.add(row)
        await session.flush()
        await session.refresh(row)
    await _check_above(session, store_id, row.id, parent_id)
    values = {name: getattr(draft, name) for name in _SHARED}
    changed = _set(row, values | {"parent_id": parent_id, "position": draft.position}, now)
    await session.flush()
    if await _set_collections(session, store_id, row.id, draft.collections):
        changed.append("collections")
    return ["made"] if made else changed


async def _category_id(session: AsyncSession, store_id: int, handle: str) -> int | None:
    return await session.scalar(
        select(Category.id).where(Category.store_id == store_id, Category.handle == handle)
    )


async def _check_above(session: AsyncSession, store_id: int, category_id: int, parent_id: int | None) -> None:
    """Walk up from the parent: the category itself must not stand there."""
    above = parent_id
    while above is not None:
        if above == category_id:
            raise _invalid("parent", "A category cannot stand below itself.")
        above = await session.scalar(
            select(Category.parent_id).where(Category.store_id == store_id, Category.id == above)
        )


async def _set_collections(
    session: AsyncSession, store_id: int, category_id: int, handles: Sequence[str]
) -> bool:
    found = await session.execute(
        select(Collection.handle, Collection.id).where(
            Collection.store_id == store_id, Collection.handle.in_(handles)
        )
    )
    ids = {row.handle: row.id for row in found}
    if any(handle not in ids for handle in handles):
        raise collection_not_found()
    wanted = [ids[handle] for handle in dict.fromkeys(handles)]
    rows = await session.scalars(
        select(CategoryCollection.collection_id)
        .where(CategoryCollection.store_id == store_id, CategoryCollection.category_id == category_id)
        .order_by(CategoryCollection.position)
    )
    if list(rows) == wanted:
        return False
    await session.execute(
        delete(CategoryCollection).where(
            CategoryCollection.store_id == store_id, CategoryCollection.category_id == category_id
        )
    )
    if wanted:
        await session.execute(
            insert(CategoryCollection),
            [
                {
                    "store_id": store_id,
                    "category_id": category_id,
                    "collection_id": found_id,
                    "position": place,
                }
                for place, found_id in enumerate(wanted)
            ],
        )
    return True


async def apply_related(
    session: AsyncSession, store_id: int, chosen: Mapping[str, Sequence[str]], *, now: datetime
) -> tuple[list[str], dict[str, list[str]]]:
    """Show beside each product (a handle) those chosen for it, by their first variants; of all others it is computed.

    Answers what changed, and for each product the handles that the store does not have, its own among them.
    """
    named = {*chosen, *(handle for handles in chosen.values() for handle in handles)}
    found = await session.execute(
        select(Product.id, Product.handle, Product.lead_variant_id, Product.related)
        .where(Product.store_id == store_id, or_(Product.handle.in_(named), Product.related != []))
        .order_by(Product.handle)
    )
    known = {row.handle: row for row in found}
    changes = []
    for handle, product in known.items():
        beside = [
            known[one].lead_variant_id for one in chosen.get(handle, ()) if one in known and one != handle
        ]
        wanted = list(dict.fromkeys(one for one in beside if one is not None))
        if wanted != product.related:
            await set_related(session, store_id, product.id, wanted, now=now)
            changes.append(f"related {handle}: {len(wanted) or 'computed'}")
    missing = {
        handle: [one for one in dict.fromkeys((handle, *handles)) if one not in known]
        for handle, handles in chosen.items()
    }
    return changes, {handle: handles for handle, handles in missing.items() if handles}
