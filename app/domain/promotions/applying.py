"""How promotions, their codes and unit prices become what a shop file says, told in lines."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.catalogue.models import Collection as CollectionRow
from app.domain.catalogue.models import Product, ProductType, UnitPriceRow, Variant
from app.domain.customers.models import Customer
from app.domain.promotions.codes import code_key, new_codes
from app.domain.promotions.models import Coupon, PromotionRow
from app.domain.promotions.plan import PromotionPlan, UnitPricePlan
from app.kit.errors import Invalid, NotFound, declare
from app.kit.money import percent_to_basis_points, to_minor
from app.kit.places import email_key

PROMOTION_NOT_FOUND: Final = declare(NotFound, "promotion_not_found", "There is no promotion of this handle.")
CODE_TAKEN: Final = declare(Invalid, "code_taken", "Another promotion has this code.")
LIMIT_TOO_LOW: Final = declare(Invalid, "limit_below_uses", "It was used more often than the limit allows.")
MOST_CODES: Final = 100_000
_BATCH: Final = 5_000

_SCOPES: Final = (
    ("collections", "collections"),
    ("products", "products"),
    ("variants", "skus"),
    ("types", "types"),
)


class _Missing:
    """Names that the shop does not know yet, by promotion."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def ids(self, found: Mapping[str, Sequence[int]], names: Iterable[str]) -> list[int]:
        ids: list[int] = []
        for name in names:
            if name in found:
                ids += found[name]
            else:
                self.names.append(name)
        return sorted(ids)


async def apply_promotions(
    session: AsyncSession, store_id: int, plans: tuple[PromotionPlan, ...], *, currency: str, now: datetime
) -> tuple[list[str], list[str]]:
    """Make the store's promotions what the file says; what changed, and what could not be done yet.

    One that the file no longer names is switched off, and keeps its uses; codes are added, never taken away.
    Raises Invalid code_taken and limit_below_uses at their keys. Locks the promotions' rows.
    """
    changes: list[str] = []
    notes: list[str] = []
    found = await session.scalars(
        select(PromotionRow)
        .where(PromotionRow.store_id == store_id)
        .order_by(PromotionRow.id)
        .with_for_update(key_share=True)
    )
    rows = {row.handle: row for row in found}
    known = await _find_named(session, store_id, plans)
    for index, plan in enumerate(plans):
        missing = _Missing()
        row = rows.pop(plan.handle, None)
        values = _values(plan, known, missing, currency)
        if missing.names:
            told = ", ".join(missing.names)
            notes.append(f"promotion {plan.handle}: not in the shop yet: {told}; import, then apply again")
        if plan.kind == "gift" and values["gift_variant_id"] is None:
            continue
        if row is None:
            row = PromotionRow(store_id=store_id, handle=plan.handle, updated_at=now, **values)
            session.add(row)
            await session.flush()
            changes.append(f"promotion {plan.handle}: created")
        else:
            if plan.max_uses is not None and plan.max_uses < row.uses:
                raise Invalid.at(
                    f"promotions[{index}].max_uses", LIMIT_TOO_LOW, f"it was used {row.uses} times already"
                )
            changes += _update(row, values, now=now)
        added = await _add_codes(
            session, store_id, row.id, plan.codes, max_uses=None, at=f"promotions[{index}].codes"
        )
        if added:
            changes.append(f"promotion {plan.handle}: {added} codes added")
    for handle, row in rows.items():
        if row.enabled:
            row.enabled, row.updated_at = False, now
            changes.append(f"promotion {handle}: switched off")
    await session.flush()
    return changes, notes


def _update(row: PromotionRow, values: Mapping[str, Any], *, now: datetime) -> list[str]:
    changed = [key for key, value in values.items() if getattr(row, key) != value]
    for key in changed:
        setattr(row, key, values[key])
    if not changed:
        return []
    row.updated_at = now
    return [f"promotion {row.handle}: {', '.join(changed)} changed"]


def _values(
    plan: PromotionPlan, known: Mapping[str, Mapping[str, Sequence[int]]], missing: _Missing, currency: str
) -> dict[str, Any]:
    value = 0
    if plan.percent is not None:
        value = percent_to_basis_points(plan.percent)
    elif plan.amount is not None:
        value = to_minor(plan.amount, currency)
    scope, scope_names = _scope(plan, "")
    reward, reward_names = _scope(plan, "get_")
    gift = missing.ids(known["gifts"], (plan.gift,)) if plan.gift is not None else []
    wanted = plan.minimum_purchase
    customers = missing.ids(known["customers"], plan.customers)
    # For whom it is is not known yet: then it is for nobody, and not for everybody.
    for_nobody = bool(plan.customers) and not customers and not plan.groups
    return {
        "title": plan.title,
        "kind": plan.kind,
        "value": value,
        "enabled": plan.enabled and not for_nobody,
        "automatic": plan.comes_by_itself,
        "priority": plan.priority,
        "combines": plan.combines,
        "scope_kind": scope or "all",
        "scope_ids": missing.ids(known[scope], scope_names) if scope else [],
        "minimum_purchase": to_minor(wanted, currency) if wanted is not None else None,
        "minimum_quantity": plan.minimum_quantity,
        "limit_items": plan.limit_items,
        "buy_quantity": plan.buy or 0,
        "get_quantity": plan.get or 0,
        "reward_kind": reward,
        "reward_ids": missing.ids(known[reward], reward_names) if reward else [],
        "gift_variant_id": gift[0] if gift else None,
        "customer_ids": customers,
        "groups": sorted(set(plan.groups)),
        "countries": sorted(set(plan.countries)),
        "first_order": plan.first_order,
        "starts_at": plan.starts_at,
        "ends_at": plan.ends_at,
        "max_uses": plan.max_uses,
        "max_per_customer": plan.max_per_customer,
    }


def _scope(plan: PromotionPlan, start: str) -> tuple[str | None, tuple[str, ...]]:
    for kind, key in _SCOPES:
        names: tuple[str, ...] = getattr(plan, start + key)
        if names:
            return kind, names
    return None, ()


async def _find_named(
    session: AsyncSession, store_id: int, plans: Iterable[PromotionPlan]
) -> dict[str, dict[str, list[int]]]:
    """The ids of everything that the plans name, by kind and name."""
    wanted: dict[str, set[str]] = {kind: set() for kind, _ in _SCOPES}
    gifts: set[str] = set()
    emails: set[str] = set()
    for plan in plans:
        for kind, key in _SCOPES:
            wanted[kind] |= {*getattr(plan, key), *getattr(plan, f"get_{key}")}
        gifts |= {plan.gift} if plan.gift is not None else set()
        emails |= set(plan.customers)
    keys = {email: email_key(email) or email.casefold() for email in emails}
    by_key = await _ids_of(
        session,
        select(Customer.email_key, Customer.id).where(
            Customer.store_id == store_id,
            Customer.closed_at.is_(None),
            Customer.email_key.in_(set(keys.values())),
        ),
        emails,
    )
    return {
        "collections": await _ids_of(
            session,
            select(CollectionRow.handle, CollectionRow.id).where(
                CollectionRow.store_id == store_id, CollectionRow.handle.in_(wanted["collections"])
            ),
            wanted["collections"],
        ),
        "products": await _ids_of(
            session,
            select(Product.handle, Product.id).where(
                Product.store_id == store_id, Product.handle.in_(wanted["products"])
            ),
            wanted["products"],
        ),
        "variants": await _find_skus(session, store_id, wanted["variants"]),
        "types": await _ids_of(
            session,
            select(ProductType.name, ProductType.id).where(
                ProductType.store_id == store_id, ProductType.name.in_(wanted["types"])
            ),
            wanted["types"],
        ),
        "gifts": await _ids_of(
            session,
            select(Product.handle, Product.lead_variant_id).where(
                Product.store_id == store_id,
                Product.handle.in_(gifts),
                Product.lead_variant_id.is_not(None),
            ),
            gifts,
        ),
        "customers": {email: by_key[key] for email, key in keys.items() if key in by_key},
    }


async def _find_skus(session: AsyncSession, store_id: int, skus: Collection[str]) -> dict[str, list[int]]:
    return await _ids_of(
        session,
        select(Variant.sku, Variant.id).where(Variant.store_id == store_id, Variant.sku.in_(skus)),
        skus,
    )


async def _ids_of(session: AsyncSession, query: Any, names: Collection[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    if names:
        for name, row_id in await session.execute(query):
            found.setdefault(name, []).append(row_id)
    return found


async def _add_codes(
    session: AsyncSession,
    store_id: int,
    promotion_id: int,
    codes: Sequence[str],
    *,
    max_uses: int | None,
    at: str,
) -> int:
    """Add the codes that are not there yet; how many. Raises Invalid code_taken for another promotion's."""
    added = 0
    for start in range(0, len(codes), _BATCH):
        batch = codes[start : start + _BATCH]
        made = await session.scalars(
            upsert(Coupon)
            .values(
                [
                    {
                        "store_id": store_id,
                        "promotion_id": promotion_id,
                        "code": code,
                        "code_key": code_key(code),
                        "max_uses": max_uses,
                    }
                    for code in batch
                ]
            )
            .on_conflict_do_nothing(index_elements=["store_id", "code_key"])
            .returning(Coupon.id)
        )
        added += len(made.all())
        taken = await session.scalar(
            select(Coupon.code)
            .where(
                Coupon.store_id == store_id,
                Coupon.code_key.in_([code_key(code) for code in batch]),
                Coupon.promotion_id != promotion_id,
            )
            .limit(1)
        )
        if taken is not None:
            raise Invalid.at(at, CODE_TAKEN, f"the code {taken!r} is another promotion's")
    return added


async def create_coupons(
    session: AsyncSession,
    store_id: int,
    *,
    handle: str,
    codes: Sequence[str] = (),
    count: int = 0,
    prefix: str = "",
    max_uses: int | None = None,
) -> list[str]:
    """Make codes of a promotion: these, or so many new ones; each with its own limit where one is given.

    Raises NotFound promotion_not_found, and Invalid code_taken where one is in use by any promotion.
    """
    promotion_id = await session.scalar(
        select(PromotionRow.id).where(PromotionRow.store_id == store_id, PromotionRow.handle == handle)
    )
    if promotion_id is None:
        raise NotFound(PROMOTION_NOT_FOUND, f"There is no promotion {handle!r}.")
    wanted = list(codes) or new_codes(count, prefix=prefix)
    added = await _add_codes(session, store_id, promotion_id, wanted, max_uses=max_uses, at="codes")
    if added < len(wanted):
        raise Invalid.at("codes", CODE_TAKEN, "Some of the codes are there already.")
    return wanted


async def apply_unit_prices(
    session: AsyncSession, store_id: int, plans: tuple[UnitPricePlan, ...], *, currency: str
) -> tuple[list[str], list[str]]:
    """Make the prices by quantity, group and currency what the file says; what changed, and which SKUs are not there
    yet. currency is the store's own.
    """
    skus = await _find_skus(session, store_id, {plan.sku for plan in plans})
    missing = sorted({plan.sku for plan in plans} - set(skus))
    wanted: dict[tuple[int, str, int, str], int] = {}
    for plan in plans:
        foreign = plan.currency if plan.currency != currency else ""
        price = to_minor(plan.price, foreign or currency)
        for variant_id in skus.get(plan.sku, ()):
            wanted[variant_id, plan.group, plan.minimum, foreign] = price
    row = UnitPriceRow
    found = await session.execute(
        select(row.variant_id, row.customer_group, row.minimum, row.currency, row.price).where(
            row.store_id == store_id
        )
    )
    there = {(one.variant_id, one.customer_group, one.minimum, one.currency): one.price for one in found}
    notes = [f"unit prices: not in the shop yet: {', '.join(missing)}; import, then apply again"]
    if there == wanted:
        return [], notes if missing else []
    await session.execute(delete(row).where(row.store_id == store_id))
    rows = [
        {
            "store_id": store_id,
            "variant_id": variant_id,
            "customer_group": group,
            "minimum": minimum,
            "currency": foreign,
            "price": price,
        }
        for (variant_id, group, minimum, foreign), price in wanted.items()
    ]
    for start in range(0, len(rows), _BATCH):
        await session.execute(upsert(row).values(rows[start : start + _BATCH]))
    return [f"unit prices: {len(there)} -> {len(wanted)}"], notes if missing else []
