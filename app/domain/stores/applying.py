"""How a store becomes what its shop file says: compared piece by piece, written where it differs, told in lines."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import time
from typing import Any, Final

import msgspec
from msgspec import UNSET
from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.stores.delivery import DeliveryRules
from app.domain.stores.models import ShippingOption, ShippingZone, Store, StorePaymentService, TaxRate
from app.domain.stores.plan import (
    INVALID_PLAN,
    CurrencyPlan,
    DeliveryPlan,
    OptionPlan,
    PickupPlan,
    ReasonPlan,
    ReferralPlan,
    ServicePlan,
    StoreFile,
    TaxPlan,
    ZonePlan,
    check_store_file,
)
from app.domain.stores.queries import CurrencyRule, ReferralRule
from app.domain.stores.service import create_store, order_numbers
from app.kit.errors import Invalid
from app.kit.money import (
    percent_to_basis_points,
    percent_to_parts_per_million,
    to_decimal_text,
    to_minor,
    to_percent_text,
)

_SETTINGS: Final = (
    "name", "currency", "language", "email", "country", "host", "order_prefix",
    "tax_included", "tax_shipping", "contact_subjects",
)  # fmt: skip
_SERVICE_TITLES: Final = {
    "manual": "Invoice or pay on delivery",
    "free_payment": "Nothing to pay",
    "test": "Test card",
    "stripe": "Card",
    "paypal": "PayPal",
}
Row = Store | ShippingZone | ShippingOption | TaxRate | StorePaymentService


async def find_store(session: AsyncSession, code: str) -> Store | None:
    return (await session.scalars(select(Store).where(Store.code == code))).one_or_none()


async def apply_store(
    session: AsyncSession, file: StoreFile, *, currency_is_free: bool
) -> tuple[Store, list[str]]:
    """Make the store what the file says and tell each change in one line; applied again it changes nothing.

    Locks the store's row. currency_is_free says that nothing is priced yet: prices are kept in minor
    units, so that another currency would change what they mean. Raises Invalid invalid_shop_file.
    """
    changes: list[str] = []
    plan = file.store
    store = (
        await session.scalars(select(Store).where(Store.code == plan.code).with_for_update())
    ).one_or_none()
    currency = plan.currency or (store.currency if store else "USD")
    check_store_file(file, currency=currency)
    if store is None:
        store = await create_store(session, code=plan.code, name=plan.name or plan.code, currency=currency)
        changes.append(f"store {plan.code}: created in {currency}")
    elif store.currency != currency and not currency_is_free:
        message = f"the store has products with prices in {store.currency}"
        raise Invalid.at("store.currency", INVALID_PLAN, message)
    settings = {name: value for name in _SETTINGS if (value := getattr(plan, name)) is not UNSET}
    changes += _update(store, settings, f"store {plan.code}")
    if file.cancellation_reasons is not UNSET:
        changes += _update(store, _reasons(file.cancellation_reasons), f"store {plan.code}")
    changes += _apply_sections(store, file)
    if plan.first_order_number is not UNSET:
        changes += await _apply_first_number(session, store.id, plan.first_order_number)
    await session.flush()
    if file.shipping_zones is not UNSET:
        changes += await _apply_zones(session, store, file.shipping_zones)
    if file.pickups is not UNSET:
        changes += await _apply_options(session, store, None, file.pickups)
    if file.tax_rates is not UNSET:
        changes += await _apply_taxes(session, store.id, file.tax_rates)
    if file.payment_services is not UNSET:
        changes += await _apply_services(session, store.id, file.payment_services)
    await session.flush()
    return store, changes


def _update(row: Row, values: Mapping[str, Any], name: str) -> list[str]:
    changes = []
    for key, value in values.items():
        before = getattr(row, key)
        if before != value:
            setattr(row, key, value)
            changes.append(f"{name}: {key} {_shown(before)} -> {_shown(value)}")
    return changes


def _shown(value: Any) -> str:
    if value is None:
        return "(none)"
    return f"({len(value)})" if isinstance(value, list) and len(value) > 5 else f"{value}"


def _reasons(reasons: Iterable[ReasonPlan]) -> dict[str, list[str]]:
    return {"cancellation_reasons": [reason.title for reason in reasons]}


def _apply_colors(store: Store, colors: dict[str, str]) -> list[str]:
    if store.settings.get("colors", {}) == colors:
        return []
    # A new dict: the ORM sees an assignment, not what changes inside of one.
    store.settings = {**store.settings, "colors": colors}
    return [f"store {store.code}: {len(colors)} colors"]


# Sections that are kept as they stand, among the store's settings.
_SECTIONS: Final = ("customers", "look", "newsletter", "search", "orders", "payment", "carts")


def _apply_sections(store: Store, file: StoreFile) -> list[str]:
    changes: list[str] = []
    if file.colors is not UNSET:
        changes += _apply_colors(store, {name: code.lower() for name, code in file.colors.items()})
    for name in _SECTIONS:
        plan = getattr(file, name)
        if plan is not UNSET:
            changes += _apply_section(store, name, plan)
    if file.referral is not UNSET:
        changes += _apply_section(store, "referral", _referral_rule(file.referral, store.currency))
    if file.delivery is not UNSET:
        changes += _apply_section(store, "delivery", _delivery_rules(file.delivery))
    if file.currencies is not UNSET:
        rules = [_currency_rule(plan) for plan in file.currencies]
        changes += _apply_list(store, "currencies", "code", rules)
    if file.consents is not UNSET:
        changes += _apply_list(store, "consents", "key", file.consents)
    return changes


def _currency_rule(plan: CurrencyPlan) -> CurrencyRule:
    step = 1 if plan.round_to is None else to_minor(plan.round_to, plan.code)
    return CurrencyRule(plan.code, plan.rate, step, plan.rounding)


def _apply_list(store: Store, name: str, key: str, rules: Sequence[msgspec.Struct]) -> list[str]:
    """Keep a list among the store's settings, each entry of which has a name; a line for each that differs."""
    wanted = msgspec.to_builtins(rules)
    kept = store.settings.get(name, [])
    if kept == wanted:
        return []
    store.settings = {**store.settings, name: wanted}
    before = {entry[key]: entry for entry in kept}
    after = {entry[key]: entry for entry in wanted}
    told = []
    for one in {**before, **after}:
        if before.get(one) != after.get(one):
            done = "removed" if one not in after else "changed" if one in before else "added"
            told.append(f"store {store.code}: {name} {one} {done}")
    return told or [f"store {store.code}: {name} in another order"]


def _delivery_rules(plan: DeliveryPlan) -> DeliveryRules:
    return DeliveryRules(
        time_zone=plan.time_zone,
        closed=plan.closed,
        holidays=plan.holidays,
        cut_off=time.fromisoformat(plan.cut_off) if plan.cut_off else None,
    )


def _referral_rule(plan: ReferralPlan, currency: str) -> ReferralRule:
    return ReferralRule(
        amount=to_minor(plan.reward, currency) if plan.reward is not None else None,
        share=percent_to_basis_points(plan.percent) if plan.percent is not None else None,
    )


def _apply_section(store: Store, name: str, plan: msgspec.Struct) -> list[str]:
    wanted = msgspec.json.decode(msgspec.json.encode(plan))  # as it comes back from the database
    before = store.settings.get(name, {})
    if before == wanted:
        return []
    store.settings = {**store.settings, name: wanted}
    return [
        f"store {store.code}: {name} {key} {_shown(before.get(key))} -> {_shown(value)}"
        for key, value in wanted.items()
        if before.get(key) != value
    ]


async def _apply_first_number(session: AsyncSession, store_id: int, first: int) -> list[str]:
    sequence = order_numbers(store_id)
    last, is_called = (await session.execute(text(f"SELECT last_value, is_called FROM {sequence}"))).one()  # noqa: S608 - our own name
    # Once an order has its number, the numbering goes on from there.
    if is_called or last == first:
        return []
    await session.execute(text(f"ALTER SEQUENCE {sequence} RESTART WITH {int(first)}"))
    return [f"first order number {last} -> {first}"]


async def _apply_zones(session: AsyncSession, store: Store, plans: list[ZonePlan]) -> list[str]:
    changes: list[str] = []
    found = await session.scalars(select(ShippingZone).where(ShippingZone.store_id == store.id))
    zones = {zone.name: zone for zone in found}
    for plan in plans:
        zone = zones.pop(plan.name, None)
        values = {"countries": sorted(set(plan.countries)), "regions": sorted(set(plan.regions))}
        if zone is None:
            zone = ShippingZone(store_id=store.id, name=plan.name, **values)
            session.add(zone)
            await session.flush()
            changes.append(f"shipping zone {plan.name}: created")
        else:
            changes += _update(zone, values, f"shipping zone {plan.name}")
        changes += await _apply_options(session, store, zone, plan.options)
    for name, zone in zones.items():
        await session.execute(
            delete(ShippingZone).where(ShippingZone.store_id == store.id, ShippingZone.id == zone.id)
        )
        changes.append(f"shipping zone {name}: removed")
    return changes


_AMOUNTS: Final = frozenset({"price", "extra_item", "free_from", "min_price", "max_price"})


def _option_name(zone: ShippingZone | None, title: str) -> str:
    return f"shipping option {zone.name} / {title}" if zone else f"pick-up {title}"


async def _apply_options(
    session: AsyncSession,
    store: Store,
    zone: ShippingZone | None,
    plans: Sequence[OptionPlan | PickupPlan],
) -> list[str]:
    """The options of a zone; without one the pick-ups."""
    changes: list[str] = []
    zone_id = zone.id if zone else None
    found = await session.scalars(
        select(ShippingOption).where(
            ShippingOption.store_id == store.id, ShippingOption.zone_id.is_not_distinct_from(zone_id)
        )
    )
    options = {option.title: option for option in found}
    for position, plan in enumerate(plans, 1):
        name = _option_name(zone, plan.title)
        values = {
            key: to_minor(value, store.currency) if key in _AMOUNTS and value is not None else value
            for key, value in msgspec.structs.asdict(plan).items()
            if key != "title"
        } | {"position": position}
        option = options.pop(plan.title, None)
        if option is None:
            session.add(ShippingOption(store_id=store.id, zone_id=zone_id, title=plan.title, **values))
            price = to_decimal_text(values["price"] or 0, store.currency)
            changes.append(f"{name}: created at {price} {store.currency}")
        else:
            changes += _update(option, values, name)
    for title, option in options.items():
        await session.delete(option)
        changes.append(f"{_option_name(zone, title)}: removed")
    return changes


async def _apply_taxes(session: AsyncSession, store_id: int, plans: list[TaxPlan]) -> list[str]:
    changes: list[str] = []
    found = await session.scalars(select(TaxRate).where(TaxRate.store_id == store_id))
    rates = {(rate.country, rate.region, rate.name, rate.tax_class): rate for rate in found}
    for plan in plans:
        name = f"tax {plan.region or plan.country} {plan.name} {plan.tax_class}".rstrip()
        wanted = percent_to_parts_per_million(plan.rate)
        rate = rates.pop((plan.country, plan.region, plan.name, plan.tax_class), None)
        if rate is None:
            session.add(
                TaxRate(
                    store_id=store_id,
                    country=plan.country,
                    region=plan.region,
                    name=plan.name,
                    rate_ppm=wanted,
                    tax_class=plan.tax_class,
                )
            )
            changes.append(f"{name}: created at {to_percent_text(wanted)} %")
        elif rate.rate_ppm != wanted:
            changes.append(f"{name}: {to_percent_text(rate.rate_ppm)} % -> {to_percent_text(wanted)} %")
            rate.rate_ppm = wanted
    for (country, region, name, tax_class), rate in rates.items():
        await session.delete(rate)
        changes.append(f"tax {region or country} {name} {tax_class}".rstrip() + ": removed")
    return changes


async def _apply_services(session: AsyncSession, store_id: int, plans: dict[str, ServicePlan]) -> list[str]:
    changes: list[str] = []
    found = await session.scalars(select(StorePaymentService).where(StorePaymentService.store_id == store_id))
    services = {service.name: service for service in found}
    for position, (name, plan) in enumerate(plans.items(), 1):
        values: dict[str, Any] = {"enabled": plan.enabled, "position": position}
        if plan.title is not UNSET:
            values["title"] = plan.title
        service = services.pop(name, None)
        if service is None:
            values.setdefault("title", _SERVICE_TITLES[name])
            session.add(StorePaymentService(store_id=store_id, name=name, **values))
            changes.append(f"payment service {name}: created, {'on' if plan.enabled else 'off'}")
        else:
            changes += _update(service, values, f"payment service {name}")
    for name, service in services.items():
        await session.delete(service)
        changes.append(f"payment service {name}: removed")
    return changes


async def keep_setting(session: AsyncSession, store_id: int, name: str, value: str) -> None:
    """Keep a small fact about the store, under a name of the caller's."""
    store = await session.get_one(Store, store_id, with_for_update=True)
    store.settings = {**store.settings, name: value}
    await session.flush()
