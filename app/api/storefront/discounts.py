"""How discounts are shown on carts, checkouts and orders, and which gift a price would earn (contract row B66)."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from app.api.caching import NO_STORE
from app.api.dependencies import GivenNow, GivenReads, GivenStore
from app.api.limits import MAX_MINOR
from app.domain.promotions.gifts import GiftOffer, get_earned_gift
from app.domain.promotions.quotes import Applied, CouponState, LineDiscount, QuotedLine
from app.kit.clock import isoformat

# What a promotion is for, as the number that the contract has: everything, collections, products, types.
APPLIES_TO: Final = {"all": 0, "collections": 1, "products": 2, "variants": 2, "types": 3}


class StorefrontDiscount(msgspec.Struct):
    """What one promotion takes off: `amount` in minor units; `code` is null where it came by itself."""

    id: int
    title: str
    code: str | None
    amount: int


class StorefrontApplied(StorefrontDiscount):
    """A promotion on a whole cart, checkout or order, its part of the shipping included.

    `value` is in basis points (`percent`, `buy_x_get_y`) or in minor units.
    """

    type: str
    value: int


class StorefrontRefusal(msgspec.Struct):
    """Why a code does not count at the moment."""

    code: str
    message: str
    missing: int | None


class StorefrontCoupon(msgspec.Struct):
    """The code that is on it and what it takes off; `refused` says why that is nothing."""

    code: str
    discount: int
    refused: StorefrontRefusal | None = None


class StorefrontGift(msgspec.Struct, kw_only=True):
    """A thing that is given; `worth` is what it would cost."""

    promotion_id: int
    variant_id: int
    product_id: int
    title: str
    image: str | None
    quantity: int
    worth: int


class EarnedGift(msgspec.Struct, kw_only=True):
    """A gift discount as the merchant set it up. `applies_to`: 0 everything, 1 collections, 2 products, 3 types."""

    id: int
    code: str
    type: str
    value: int
    minimum_purchase: bool
    minimum_purchase_value: int
    limit_items: int | None
    limit_one_user: bool
    applies_to: int
    gift: str
    status: bool
    created_at: str
    updated_at: str
    active_time: str | None
    end_time: str | None
    title: str
    gift_variant_id: int


def show_line_discounts(discounts: Sequence[LineDiscount]) -> list[StorefrontDiscount]:
    return [StorefrontDiscount(d.promotion_id, d.title, d.code, d.amount) for d in discounts]


def show_applied(applied: Sequence[Applied]) -> list[StorefrontApplied]:
    return [
        StorefrontApplied(
            id=entry.promotion_id,
            title=entry.title,
            code=entry.code,
            amount=entry.amount,
            type=entry.kind,
            value=entry.value,
        )
        for entry in applied
    ]


def show_coupon(coupon: CouponState | None) -> StorefrontCoupon | None:
    if coupon is None:
        return None
    why = coupon.refusal
    refused = StorefrontRefusal(why.code, why.message, why.missing) if why else None
    return StorefrontCoupon(coupon.code, coupon.discount, refused)


def show_gifts(lines: Sequence[QuotedLine], applied: Sequence[Applied]) -> list[StorefrontGift]:
    """The things that are given with these lines."""
    givers = {entry.gift_variant_id: entry.promotion_id for entry in applied if entry.kind == "gift"}
    return [
        StorefrontGift(
            promotion_id=givers.get(entry.line.variant_id, 0),
            variant_id=entry.line.variant_id,
            product_id=entry.line.product_id,
            title=entry.line.title,
            image=entry.line.image,
            quantity=entry.line.quantity,
            worth=entry.line.worth,
        )
        for entry in lines
        if entry.line.gift
    ]


def show_order_discount(applied: Sequence[Applied], *, code: str | None, amount: int) -> dict[str, Any]:
    """`expand=discount` of an order: its code, what its lines were reduced by, and each promotion."""
    return {"code": code, "amount": amount, "applied": show_applied(applied)}


def show_earned(offer: GiftOffer) -> EarnedGift:
    return EarnedGift(
        id=offer.id,
        code=offer.handle,
        type="gift",
        value=offer.gift_worth,
        minimum_purchase=offer.minimum_purchase is not None,
        minimum_purchase_value=offer.minimum_purchase or 0,
        limit_items=offer.limit_items,
        limit_one_user=offer.max_per_customer == 1,
        applies_to=APPLIES_TO[offer.scope_kind],
        gift=offer.gift_title,
        status=True,
        created_at=isoformat(offer.created_at),
        updated_at=isoformat(offer.updated_at),
        active_time=isoformat(offer.starts_at) if offer.starts_at else None,
        end_time=isoformat(offer.ends_at) if offer.ends_at else None,
        title=offer.title,
        gift_variant_id=offer.gift_variant_id,
    )


@get(
    "/discounts/gift",
    operation_id="getEarnedGift",
    summary="Which gift a price would earn",
    tags=["Cart"],
)
async def earned_gift(
    reads: GivenReads,
    store: GivenStore,
    now: GivenNow,
    price: Annotated[int, QueryParameter(ge=0, le=MAX_MINOR, description="What a cart comes to, in cents.")],
) -> Response[EarnedGift]:
    """The gift discount that a cart of this price (minor units) would earn, whoever buys, wherever it goes and
    however many things are in it; 404 where it earns none.
    """
    return Response(
        show_earned(await get_earned_gift(reads, store.id, price=price, now=now)), headers=NO_STORE
    )
