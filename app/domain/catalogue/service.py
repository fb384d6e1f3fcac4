"""How a product is written: as one value with everything that belongs to it, many at once, set-based."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.catalogue import writing_sql as sql
from app.domain.catalogue.drafts import DEFAULT_TITLE, OptionDraft, ProductDraft, VariantDraft, key_of
from app.domain.catalogue.errors import INVALID_PRODUCT
from app.domain.catalogue.refreshing import refresh_products
from app.domain.inventory.importing import StockCount, remove_stock, set_stock
from app.kit.errors import Invalid

CHUNK: Final = 200
MOST_OPTIONS: Final = 3
_SINGLE: Final = (OptionDraft("Title", (DEFAULT_TITLE,)),)
_SET_RELATED: Final = text(
    """
    UPDATE products SET related = :ids, updated_at = :now, version = version + 1
    WHERE store_id = :store_id AND id = :product_id AND related <> :ids
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))


async def save_product(session: AsyncSession, store_id: int, draft: ProductDraft, *, now: datetime) -> int:
    """Make the product of this handle, or make it as written; answers its id. See save_products."""
    return (await save_products(session, store_id, [draft], now=now))[0]


async def save_products(
    session: AsyncSession, store_id: int, drafts: Iterable[ProductDraft], *, now: datetime
) -> list[int]:
    """Write products as they are given, in chunks, with documents and collections; answers ids in order.

    A known handle is updated: variants are known by their values, pictures by their address, and what the
    draft does not have goes. What is the same stays untouched, updated_at with it. Stock is set for new
    variants only. Raises Invalid invalid_product.
    """
    ids: list[int] = []
    chunk: list[ProductDraft] = []
    for draft in drafts:
        check_draft(draft)
        chunk.append(draft)
        if len(chunk) == CHUNK:
            ids += await _save_chunk(session, store_id, chunk, now)
            chunk = []
    return ids + (await _save_chunk(session, store_id, chunk, now) if chunk else [])


async def set_related(
    session: AsyncSession, store_id: int, product_id: int, variant_ids: Sequence[int], *, now: datetime
) -> None:
    """Choose the variants that are shown beside a product."""
    values = {"store_id": store_id, "product_id": product_id, "ids": list(variant_ids), "now": now}
    await session.execute(_SET_RELATED, values)
    await refresh_products(session, store_id, [product_id])


def check_draft(draft: ProductDraft) -> None:
    """Raises Invalid invalid_product for what no table could hold."""
    if not draft.handle or not draft.title:
        raise _refused("handle", "A product has a handle and a title.")
    if not draft.variants:
        raise _refused("variants", "A product has at least one variant.")
    if len(draft.options) > MOST_OPTIONS:
        raise _refused("options", "A product has three options at most.")
    seen: set[tuple[str, ...]] = set()
    for place, variant in enumerate(draft.variants):
        _check_variant(draft, variant, f"variants[{place}]")
        if variant.values in seen:
            raise _refused(f"variants[{place}].values", "Two variants have the same values.")
        seen.add(variant.values)


def _check_variant(draft: ProductDraft, variant: VariantDraft, field: str) -> None:
    if len(variant.values) != len(draft.options):
        raise _refused(f"{field}.values", "A variant has one value for each option.")
    for option, value in zip(draft.options, variant.values, strict=True):
        if value not in option.values:
            raise _refused(f"{field}.values", f"{value} is no value of {option.name}.")
    if variant.price < 0 or variant.grams < 0:
        raise _refused(f"{field}.price", "Price and weight are not negative.")


def _refused(field: str, message: str) -> Invalid:
    return Invalid.at(field, INVALID_PRODUCT, message)


async def _save_chunk(
    session: AsyncSession, store_id: int, drafts: Sequence[ProductDraft], now: datetime
) -> list[int]:
    async def run(statement: str, rows: list[dict[str, Any]] | None = None, **values: Any) -> Any:
        if rows is not None:
            values["rows"] = msgspec.json.encode(rows).decode()
        return await session.execute(text(statement), {"store_id": store_id, **values})

    names = sorted({draft.type for draft in drafts if draft.type})
    if names:
        await run(sql.ADD_TYPES, [{"name": name} for name in names])
    # In the order of handles, so that two writers of the same products wait and never deadlock.
    heads = sorted(
        ({**_head(draft), "published_at": draft.published_at or now} for draft in drafts),
        key=lambda row: str(row["handle"]),
    )
    renamed = [
        {"handle": draft.handle, "former_handle": draft.former_handle}
        for draft in drafts
        if draft.former_handle
    ]
    touched = {row.id for row in await run(sql.RENAME, renamed)} if renamed else set()
    touched |= {row.id for row in await run(sql.PUT_PRODUCTS, heads, now=now)}
    found = await run(sql.FIND_PRODUCTS, [{"handle": draft.handle} for draft in drafts])
    by_handle = {row.handle: row.id for row in found}
    own = [(by_handle[draft.handle], draft) for draft in drafts]

    options, values, images, variants, links, markets = [], [], [], [], [], []
    for product_id, draft in own:
        for place, option in enumerate(draft.options or _SINGLE, 1):
            options.append(
                {"product_id": product_id, "position": place, "name": option.name,
                 "key": key_of(option.name), "linked_to": option.linked_to}
            )  # fmt: skip
            values += [
                {"product_id": product_id, "option": place, "name": name, "key": key_of(name), "position": at}
                for at, name in enumerate(option.values, 1)
            ]
        pictures = {image.src: image for image in draft.images}
        images += [
            {**msgspec.structs.asdict(image), "product_id": product_id, "position": place}
            for place, image in enumerate(pictures.values(), 1)
        ]
        for place, variant in enumerate(draft.variants, 1):
            row = msgspec.structs.asdict(variant)
            row |= {"product_id": product_id, "position": place, "title": variant.title}
            variants.append({name: row[name] for name in sql.VARIANT_FIELDS})
            links += [
                {"product_id": product_id, "title": variant.title, "option": at, "value": value}
                for at, value in enumerate(variant.values or (DEFAULT_TITLE,), 1)
            ]
            markets += [
                {"product_id": product_id, "title": variant.title, **msgspec.structs.asdict(price)}
                for price in variant.market_prices
            ]
    products = [{"product_id": product_id} for product_id, _ in own]
    for statement, rows in (
        (sql.DROP_IMAGES, [*images, *products]),
        (sql.PUT_IMAGES, images),
        (sql.ADD_IMAGES, images),
        (sql.DROP_VARIANTS, [*variants, *products]),
        (sql.PUT_VARIANTS, variants),
        (sql.ADD_VARIANTS, variants),
        (sql.PUT_OPTIONS, options),
        (sql.PUT_VALUES, values),
        (sql.PUT_LINKS, links),
        (sql.DROP_MARKETS, [*markets, *products]),
        (sql.PUT_MARKETS, markets),
        (sql.DROP_VALUES, [*values, *products]),
        (sql.DROP_OPTIONS, [*options, *products]),
    ):
        parameters = {"now": now} if ":now" in statement else {}
        result = (await run(statement, rows, **parameters)).all() if rows else []
        touched |= {row.product_id for row in result}
        if statement is sql.DROP_VARIANTS and result:
            await remove_stock(session, store_id, [row.id for row in result], now=now)
    await _set_new_stock(session, store_id, own, now)
    if touched:
        await run(sql.TOUCH, [{"product_id": product_id} for product_id in sorted(touched)], now=now)
        await refresh_products(session, store_id, sorted(touched))
    return [product_id for product_id, _ in own]


def _head(draft: ProductDraft) -> dict[str, Any]:
    row = msgspec.structs.asdict(draft)
    return {name: row[name] for name in sql.PRODUCT_FIELDS}


async def _set_new_stock(
    session: AsyncSession, store_id: int, own: Sequence[tuple[int, ProductDraft]], now: datetime
) -> None:
    stock = {
        (product_id, variant.title): variant.stock
        for product_id, draft in own
        for variant in draft.variants
        if variant.stock is not None
    }
    if not stock:
        return
    rows = [{"product_id": product_id, "title": title} for product_id, title in stock]
    found = await session.execute(
        text(sql.WITHOUT_STOCK), {"store_id": store_id, "rows": msgspec.json.encode(rows).decode()}
    )
    counts = []
    for row in found:
        begun = stock[row.product_id, row.title]
        counts.append(StockCount(row.id, begun.tracked, begun.policy, begun.on_hand))
    await set_stock(session, store_id, counts, now=now)
