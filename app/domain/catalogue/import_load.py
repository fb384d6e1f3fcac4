"""How a batch of assembled products is written: compared with what stands, set-based, only what differs."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.catalogue import import_sql as sql
from app.domain.catalogue.csv_columns import Columns
from app.domain.catalogue.drafts import key_of, variant_title
from app.domain.catalogue.import_products import ImportProduct
from app.domain.catalogue.import_resolve import Change, Known, KnownOption, Resolver
from app.domain.catalogue.import_rows import VariantCells
from app.domain.catalogue.membership import refresh_rule_collections
from app.domain.catalogue.refreshing import refresh_products
from app.domain.catalogue.shopify_csv import Issue
from app.domain.catalogue.writing_sql import RENAME
from app.domain.inventory.importing import StockCount, remove_stock, set_stock


class Outcome(msgspec.Struct):
    """What became of a batch, counted."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    left_out: int = 0
    variants_created: int = 0
    variants_updated: int = 0
    stock_changed: int = 0
    images_created: int = 0
    images_removed: int = 0
    images_kept: int = 0  # products whose pictures stay, since the file has addresses that cannot be used

    def add(self, other: "Outcome") -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Written(msgspec.Struct, frozen=True):
    """A variant of the file that stands in the shop by now."""

    product_id: int
    cells: VariantCells


class Loader:
    """Writes batches of one file into one store. Never commits; a batch may be repeated after a rollback."""

    def __init__(
        self, session: AsyncSession, store_id: int, columns: Columns, *, now: datetime, skip_existing: bool
    ) -> None:
        self._session = session
        self._store_id = store_id
        self._columns = columns
        self._now = now
        self._skip_existing = skip_existing
        self._resolver = Resolver(columns)
        self._extra = [
            key.removeprefix("metafield.")
            for prefix in ("google.", "metafield.")
            for key in columns.starting(prefix)
            if key != "google.mpn"
        ]

    @property
    def issues(self) -> list[Issue]:
        return self._resolver.issues

    async def load(self, products: Sequence[ImportProduct]) -> Outcome:
        """Write one batch. Locks the products that it finds, then their stock, in key order."""
        outcome = Outcome()
        renamed = await self._rename(products)
        known = await self._read_state([product.handle for product in products])
        changes: list[Change] = []
        for product in products:
            standing = known.get(product.handle)
            if standing is not None and self._skip_existing:
                outcome.skipped += 1
            elif change := self._resolver.resolve(product, standing):
                changes.append(change)
            else:
                outcome.left_out += 1
        await self._drop_replaced(changes)
        fresh = [change for change in changes if change.known is None]
        changed = renamed | await self._write_products(changes)
        changed |= await self._write_options(changes)
        changed |= await self._write_images(changes, outcome)
        ids, touched = await self._write_variants(changes, outcome)
        changed |= touched
        changed |= await self._write_markets(ids)
        counted = await set_stock(self._session, self._store_id, self._counts(ids), now=self._now)
        outcome.stock_changed = len(counted)
        created = {change.id for change in fresh}
        outcome.created = len(fresh)
        outcome.updated = len((changed - created) & {change.id for change in changes})
        outcome.unchanged = len(changes) - outcome.created - outcome.updated
        if changed - created:
            await self._execute(sql.TOUCH_PRODUCTS, ids=sorted(changed - created), now=self._now)
        written = sorted(changed | created)
        await refresh_products(self._session, self._store_id, written)
        # Collections can have rules about stock, which moves without its product.
        moved = {ids[variant_id].product_id for variant_id in counted}.difference(written)
        if moved:
            await refresh_rule_collections(self._session, self._store_id, sorted(moved))
        return outcome

    # Reading what stands, and deciding what is to be.

    async def _rename(self, products: Sequence[ImportProduct]) -> set[int]:
        """Give products that the file knows by a former handle their new one."""
        rows = [
            {"handle": product.handle, "former_handle": product.cells.former_handle}
            for product in products
            if product.cells.former_handle and not self._skip_existing
        ]
        return {row.id for row in await self._run(text(RENAME), rows=rows)} if rows else set()

    async def _read_state(self, handles: list[str]) -> dict[str, Known]:
        await self._execute(sql.LOCK, handles=handles)
        rows = await self._run(sql.STATE, handles=handles)
        return {row.handle: msgspec.json.decode(row.state, type=Known) for row in rows}

    # Writing, in the order in which the rows need each other.

    async def _drop_replaced(self, changes: Iterable[Change]) -> None:
        replaced = [change for change in changes if change.replaces and change.known is not None]
        gone = [variant.id for change in replaced if change.known for variant in change.known.variants]
        if not gone:
            return
        await remove_stock(self._session, self._store_id, gone, now=self._now)
        await self._execute(sql.DROP_VARIANTS, ids=gone)
        await self._execute(sql.DROP_OPTIONS, ids=[change.id for change in replaced])
        for change in replaced:
            assert change.known is not None
            change.known.options, change.known.variants = [], []

    async def _write_products(self, changes: list[Change]) -> set[int]:
        rows = []
        for place, change in enumerate(changes):
            cells = msgspec.to_builtins(change.product.cells)
            cells["metafields"] = {
                key: value for key, value in change.product.cells.metafields.items() if value
            }
            rows.append(
                {**cells, "place": place, "handle": change.product.handle}
                | ({"id": change.known.id} if change.known else {})
            )
        await self._execute(sql.ADD_TYPES, rows=rows)
        fresh = [row for row in rows if "id" not in row]
        made = await self._run(sql.INSERT_PRODUCTS, rows=fresh, now=self._now) if fresh else []
        by_handle = {row.handle: row.id for row in made}
        for change in changes:
            if change.known is None:
                change.known = Known(id=by_handle[change.product.handle], options=[], variants=[], images={})
        standing = [row for row in rows if "id" in row]
        if not standing:
            return set()
        statement = sql.update_products(self._columns.headers, has_type="type" in self._columns)
        values = {"now": self._now} if "published" in self._columns else {}
        return {row.id for row in await self._run(statement, rows=standing, extra=self._extra, **values)}

    async def _write_options(self, changes: list[Change]) -> set[int]:
        new: list[dict[str, Any]] = []
        standing: list[dict[str, Any]] = []
        for change in changes:
            assert change.known is not None
            linked = change.product.cells.linked_to
            for position, name in enumerate(change.option_names, 1):
                link = None if linked is UNSET else (linked[position - 1] if position <= len(linked) else "")
                row = {"name": name, "key": key_of(name), "linked_to": link}
                if position <= len(change.known.options):
                    standing.append({**row, "id": change.known.options[position - 1].id})
                else:
                    new.append(
                        {**row, "linked_to": link or "", "product_id": change.id, "position": position}
                    )
        changed = (
            {row.product_id for row in await self._run(sql.UPDATE_OPTIONS, rows=standing)}
            if standing
            else set()
        )
        made = await self._run(sql.INSERT_OPTIONS, rows=_placed(new)) if new else []
        option_ids = {(row.product_id, row.position): row.id for row in made}
        missing: list[dict[str, Any]] = []
        for change in changes:
            assert change.known is not None
            options = change.known.options
            for position in range(len(options) + 1, len(change.option_names) + 1):
                options.append(KnownOption(option_ids[change.id, position], "", "", {}))
            for index, option in enumerate(options):
                wanted = dict.fromkeys(values[index] for values in change.variants)
                fresh = [name for name in wanted if name not in option.values]
                missing += [
                    {"option_id": option.id, "name": name, "key": key_of(name), "position": position}
                    for position, name in enumerate(fresh, len(option.values) + 1)
                ]
        added = await self._run(sql.INSERT_VALUES, rows=_placed(missing)) if missing else []
        value_ids: dict[int, dict[str, int]] = {}
        for row in added:
            value_ids.setdefault(row.option_id, {})[row.name] = row.id
        for change in changes:
            for option in change.known.options if change.known else ():
                option.values.update(value_ids.get(option.id, {}))
        return changed | {row.product_id for row in made}

    async def _write_images(self, changes: list[Change], outcome: Outcome) -> set[int]:
        new: list[dict[str, Any]] = []
        standing: list[dict[str, Any]] = []
        gone: list[int] = []
        for change in changes:
            if change.product.images is UNSET or change.known is None:
                continue
            images, wanted = change.known.images, change.product.images
            pictures: list[dict[str, Any]] = [
                {
                    "position": image.position,
                    "src": image.src,
                    "alt": None if image.alt is UNSET else image.alt,
                }
                for image in wanted
            ]
            if change.product.keeps_images and images:
                # Nobody knows where the unreadable ones stood: what is new comes after what there is.
                outcome.images_kept += 1
                new += [
                    {**row, "product_id": change.id, "position": len(images) + row["position"]}
                    for row in pictures
                    if row["src"] not in images
                ]
                continue
            standing += [{**row, "id": images[row["src"]]} for row in pictures if row["src"] in images]
            new += [{**row, "product_id": change.id} for row in pictures if row["src"] not in images]
            named = {image.src for image in wanted}
            gone += [image_id for src, image_id in images.items() if src not in named]
        changed: set[int] = set()
        if gone:
            changed |= {row.product_id for row in await self._run(sql.DROP_IMAGES, ids=gone)}
        if standing:
            rows = await self._run(sql.UPDATE_IMAGES, rows=standing, now=self._now)
            changed |= {row.product_id for row in rows}
        made = await self._run(sql.INSERT_IMAGES, rows=_placed(new), now=self._now) if new else []
        by_product = {change.id: change for change in changes}
        for row in made:
            known = by_product[row.product_id].known
            assert known is not None
            known.images[row.src] = row.id
        outcome.images_created, outcome.images_removed = len(made), len(gone)
        return changed | {row.product_id for row in made}

    async def _write_variants(
        self, changes: list[Change], outcome: Outcome
    ) -> tuple[dict[int, Written], set[int]]:
        """The variants of the file by their ids, and the products of those that are new or differed."""
        ids: dict[int, Written] = {}
        new: list[dict[str, Any]] = []
        standing: list[dict[str, Any]] = []
        moved: list[dict[str, Any]] = []
        places: dict[tuple[int, int], tuple[Change, tuple[str, ...]]] = {}
        for change in changes:
            assert change.known is not None
            by_values = {variant.values: variant for variant in change.known.variants}
            for position, (values, variant) in enumerate(change.variants.items(), 1):
                row = {
                    **msgspec.to_builtins(variant.cells),
                    "position": position,
                    "product_id": change.id,
                    "title": variant_title(values),
                    "metafields": {key: value for key, value in variant.cells.metafields.items() if value},
                    "image_id": change.known.images.get(variant.cells.image or ""),
                }
                if values in by_values:
                    known = by_values[values]
                    if variant.cells.image is UNSET:
                        row["image_id"] = known.image_id
                    ids[known.id] = Written(change.id, variant.cells)
                    standing.append({**row, "id": known.id})
                else:
                    places[change.id, position] = change, values
                    new.append(row)
            kept = [variant.id for variant in change.known.variants if variant.values not in change.variants]
            moved += [
                {"id": variant_id, "position": position}
                for position, variant_id in enumerate(kept, len(change.variants) + 1)
            ]
        touched: set[int] = set()
        if standing:
            names = {*self._columns.headers, *(("image_id",) if "variant_image" in self._columns else ())}
            extra = ["google.mpn"] if "google.mpn" in self._columns else []
            statement = sql.update_variants(names)
            rows = await self._run(statement, rows=standing, extra=extra, now=self._now)
            outcome.variants_updated = len(rows)
            touched |= {row.product_id for row in rows}
        if moved:
            touched |= {row.product_id for row in await self._run(sql.MOVE_VARIANTS, rows=moved)}
        made = await self._run(sql.INSERT_VARIANTS, rows=_placed(new), now=self._now) if new else []
        outcome.variants_created = len(made)
        links: list[dict[str, int]] = []
        for row in made:
            change, values = places[row.product_id, row.position]
            ids[row.id] = Written(change.id, change.variants[values].cells)
            for option, value in zip(change.known.options if change.known else (), values, strict=True):
                links.append({"variant_id": row.id, "option_id": option.id, "value_id": option.values[value]})
        if links:
            await self._execute(sql.INSERT_VARIANT_VALUES, rows=links)
        return ids, touched | {row.product_id for row in made}

    async def _write_markets(self, ids: dict[int, Written]) -> set[int]:
        rows = [
            {
                **msgspec.to_builtins(cells),
                "variant_id": variant_id,
                "market": market,
                "has_included": cells.included is not UNSET,
                "has_price": cells.price is not UNSET,
                "has_compare": cells.compare_at_price is not UNSET,
            }
            for variant_id, variant in ids.items()
            for market, cells in variant.cells.markets.items()
        ]
        return {row.product_id for row in await self._run(sql.SET_MARKETS, rows=rows)} if rows else set()

    def _counts(self, ids: dict[int, Written]) -> list[StockCount]:
        return [
            StockCount(
                variant_id,
                None if cells.inventory_management is UNSET else bool(cells.inventory_management),
                None if cells.policy is UNSET else cells.policy,
                None if cells.quantity is UNSET else cells.quantity,
            )
            for variant_id, cells in ((key, ids[key].cells) for key in sorted(ids))
        ]

    async def _run(self, statement: TextClause, **values: Any) -> Sequence[Any]:
        rows: Sequence[Any] = (await self._execute(statement, **values)).all()
        return rows

    async def _execute(self, statement: TextClause, **values: Any) -> Any:
        if "rows" in values:
            values["rows"] = msgspec.json.encode(values["rows"]).decode()
        return await self._session.execute(statement, {"store_id": self._store_id, **values})


def _placed(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with their place, so that ids ascend in the order of the file."""
    return [{**row, "place": place} for place, row in enumerate(rows)]
