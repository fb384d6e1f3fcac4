"""What a shop offers a buyer on a basket: promotions as set up, and the facts that their conditions ask for."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from app.domain.promotions.quotes import Line

Kind = Literal["percent", "fixed_amount", "fixed_price", "free_shipping", "buy_x_get_y", "gift"]
ScopeKind = Literal["all", "collections", "products", "variants", "types"]


class Scope(msgspec.Struct, frozen=True):
    """Which lines are meant, by ids of collections, products, variants or product types."""

    kind: ScopeKind = "all"
    ids: frozenset[int] = frozenset()


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """A discount as it is set up, for one buyer.

    value is in basis points (percent, and what buy_x_get_y takes off the units got) or minor units
    (fixed_amount, and the price that fixed_price gives a unit). Promotions of a higher priority come first;
    one that does not combine stands alone. used_up and used_by_buyer say whether its limits are reached.
    """

    id: int
    title: str
    kind: Kind
    value: int = 0
    code: str | None = None
    coupon_id: int | None = None
    priority: int = 0
    combines: bool = True
    scope: Scope = Scope()
    minimum_purchase: int | None = None
    minimum_quantity: int | None = None
    limit_items: int | None = None
    buy_quantity: int = 0
    get_quantity: int = 0
    # Where buy_x_get_y gives other things than those that are bought.
    reward: Scope | None = None
    gift_variant_id: int | None = None
    customer_ids: frozenset[int] = frozenset()
    groups: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()
    first_order: bool = False
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    limited: bool = False
    used_up: bool = False
    used_by_buyer: bool = False


class Shelf(msgspec.Struct, frozen=True):
    """Where a product stands: its type and its collections."""

    type_id: int | None = None
    collections: frozenset[int] = frozenset()


class Buyer(msgspec.Struct, frozen=True):
    """Who buys, as far as it is known: orders is None where neither account nor mail address says."""

    customer_id: int | None = None
    groups: frozenset[str] = frozenset()
    orders: int | None = None


class Offers(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that pricing a basket needs beside its lines: nothing more is read while it is priced.

    code is the coupon that the basket carries; promotions has what it stands for, or no coupon at all where
    there is none of that code. gifts are the lines that can be given, by variant, and spare how many units of them
    nobody asked for; one that is not there is never short.
    """

    now: datetime | None = None
    promotions: tuple[Promotion, ...] = ()
    code: str | None = None
    buyer: Buyer = Buyer()
    shelves: Mapping[int, Shelf] = msgspec.field(default_factory=dict)
    gifts: Mapping[int, Line] = msgspec.field(default_factory=dict)
    spare: Mapping[int, int] = msgspec.field(default_factory=dict)


NO_OFFERS: Final = Offers()
NO_SHELF: Final = Shelf()


def is_in(scope: Scope, line: Line, shelves: Mapping[int, Shelf]) -> bool:
    """Whether a line is meant. Gifts and what stands for money never are."""
    if line.gift or line.gift_card:
        return False
    match scope.kind:
        case "all":
            return True
        case "variants":
            return line.variant_id in scope.ids
        case "products":
            return line.product_id in scope.ids
        case "types":
            return shelves.get(line.product_id, NO_SHELF).type_id in scope.ids
        case "collections":
            return not scope.ids.isdisjoint(shelves.get(line.product_id, NO_SHELF).collections)
