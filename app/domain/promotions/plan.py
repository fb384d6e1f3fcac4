"""What a shop file says of promotions and of prices by quantity and group: its form, and what can be checked without
a database. Money and percentages are decimal strings.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Annotated, Final

import msgspec
import pycountry
from msgspec import Meta

from app.domain.promotions.codes import LONGEST_CODE, code_key
from app.domain.promotions.offers import Kind
from app.kit.errors import FieldError
from app.kit.money import BASIS_POINTS, MoneyError, percent_to_basis_points, to_minor

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Handle = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,99}$")]
Code = Annotated[str, Meta(pattern=r"^\S+$", max_length=LONGEST_CODE)]
Amount = Annotated[str, Meta(pattern=r"^\d{1,12}(\.\d{1,4})?$")]
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Names = Annotated[tuple[Name, ...], Meta(max_length=10_000)]


class PromotionPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of [[promotions]]. Without codes it comes by itself, unless automatic says that codes are yet to be made.

    What it is for: everything, or what one of collections, products (handles), skus and types names;
    buy_x_get_y can give other things, named by the fields that begin with get_. customers are mail addresses of
    accounts.
    """

    handle: Handle
    title: Name
    kind: Kind
    percent: str | None = None
    amount: Amount | None = None
    codes: Annotated[tuple[Code, ...], Meta(max_length=10_000)] = ()
    automatic: bool | None = None
    enabled: bool = True
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    combines: bool = True
    collections: Names = ()
    products: Names = ()
    skus: Names = ()
    types: Names = ()
    minimum_purchase: Amount | None = None
    minimum_quantity: Count | None = None
    limit_items: Count | None = None
    buy: Count | None = None
    get: Count | None = None
    get_collections: Names = ()
    get_products: Names = ()
    get_skus: Names = ()
    get_types: Names = ()
    gift: Name | None = None
    customers: Names = ()
    groups: Names = ()
    countries: Names = ()
    first_order: bool = False
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    max_uses: Count | None = None
    max_per_customer: Count | None = None

    @property
    def comes_by_itself(self) -> bool:
        return not self.codes if self.automatic is None else self.automatic


class UnitPricePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of [[unit_prices]]: what a unit of a SKU costs from so many units on, to all or to a customer group.

    In the store's own currency, or in another one that it sells in.
    """

    sku: Name
    price: Amount
    minimum: Annotated[int, Meta(ge=1, le=999)] = 1
    group: Annotated[str, Meta(max_length=100)] = ""
    currency: str = ""


Fault = tuple[str, str]
_PERCENT_KINDS: Final = ("percent", "buy_x_get_y")
_AMOUNT_KINDS: Final = ("fixed_amount", "fixed_price")


def find_faults(
    promotions: tuple[PromotionPlan, ...],
    prices: tuple[UnitPricePlan, ...],
    *,
    currency: str,
    sold_in: Collection[str] = (),
) -> list[FieldError]:
    """Everything that is wrong with the two sections, each at its key. sold_in are the store's other currencies."""
    faults = [*_check_unique(promotions), *_check_prices(prices, currency, sold_in)]
    for index, plan in enumerate(promotions):
        for key, message in (
            *_check_value(plan, currency),
            *_check_meant(plan),
            *_check_conditions(plan, currency),
        ):
            faults.append((f"promotions[{index}].{key}", message))
    return [FieldError(path, "invalid_shop_file", message) for path, message in faults]


def _check_unique(promotions: tuple[PromotionPlan, ...]) -> Iterator[Fault]:
    handles: set[str] = set()
    codes: set[str] = set()
    for index, plan in enumerate(promotions):
        if plan.handle in handles:
            yield f"promotions[{index}].handle", f"the handle {plan.handle!r} stands there twice"
        handles.add(plan.handle)
        for code in plan.codes:
            if code_key(code) in codes:
                yield f"promotions[{index}].codes", f"the code {code!r} stands there twice"
            codes.add(code_key(code))


def _check_value(plan: PromotionPlan, currency: str) -> Iterator[Fault]:
    wanted = "percent" if plan.kind in _PERCENT_KINDS else "amount" if plan.kind in _AMOUNT_KINDS else None
    for key in ("percent", "amount"):
        if (getattr(plan, key) is not None) != (key == wanted):
            told = "is needed" if key == wanted else "has no meaning"
            yield key, f"{told} for {plan.kind}"
            return
    try:
        if plan.percent is not None and not 0 < percent_to_basis_points(plan.percent) <= BASIS_POINTS:
            yield "percent", "is more than nothing, and at most 100"
        if plan.amount is not None and to_minor(plan.amount, currency) == 0 and plan.kind == "fixed_amount":
            yield "amount", "is more than nothing"
    except MoneyError as error:
        yield wanted or "percent", str(error)


def _check_meant(plan: PromotionPlan) -> Iterator[Fault]:
    for start in ("", "get_"):
        named = [key for key in _SCOPE_KEYS if getattr(plan, start + key)]
        if len(named) > 1:
            yield start + named[1], f"is for {start}{named[0]} or {start}{named[1]}, not for both"
        if start and named and plan.kind != "buy_x_get_y":
            yield start + named[0], f"has no meaning for {plan.kind}"
    for key in ("buy", "get"):
        if (getattr(plan, key) is not None) != (plan.kind == "buy_x_get_y"):
            yield key, "is needed for buy_x_get_y, and has a meaning only there"
    if (plan.gift is not None) != (plan.kind == "gift"):
        yield "gift", "is needed for gift, and has a meaning only there"
    if plan.limit_items is not None and plan.kind in ("free_shipping", "gift"):
        yield "limit_items", f"has no meaning for {plan.kind}"


def _check_conditions(plan: PromotionPlan, currency: str) -> Iterator[Fault]:
    if plan.comes_by_itself and plan.codes:
        yield "automatic", "what comes by itself has no codes"
    for country in plan.countries:
        if pycountry.countries.get(alpha_2=country) is None or not country.isupper():
            yield "countries", f"{country!r} is no country code of ISO 3166-1, as US"
    for key in ("starts_at", "ends_at"):
        value = getattr(plan, key)
        if value is not None and value.tzinfo is None:
            yield key, "needs its offset from UTC, as 2026-12-01T00:00:00Z"
            return
    if plan.starts_at and plan.ends_at and plan.ends_at <= plan.starts_at:
        yield "ends_at", "is not after starts_at"
    try:
        if plan.minimum_purchase is not None:
            to_minor(plan.minimum_purchase, currency)
    except MoneyError as error:
        yield "minimum_purchase", str(error)


def _check_prices(
    prices: tuple[UnitPricePlan, ...], currency: str, sold_in: Collection[str]
) -> Iterator[Fault]:
    seen: set[tuple[str, int, str, str]] = set()
    for index, plan in enumerate(prices):
        path = f"unit_prices[{index}]"
        foreign = plan.currency if plan.currency != currency else ""
        if foreign and foreign not in sold_in:
            yield f"{path}.currency", f"{foreign!r} is none of [[currencies]]"
            continue
        key = (plan.sku, plan.minimum, plan.group, foreign)
        if key in seen:
            yield path, "the same SKU, minimum, group and currency stand there twice"
        seen.add(key)
        if plan.minimum == 1 and not plan.group and not foreign:
            yield path, "needs a minimum above 1 or a group; what everybody pays is the variant's own price"
        try:
            to_minor(plan.price, foreign or currency)
        except MoneyError as error:
            yield f"{path}.price", str(error)


_SCOPE_KEYS: Final = ("collections", "products", "skus", "types")
