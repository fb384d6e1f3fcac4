"""Whether a promotion counts for a buyer and a basket, and if not, why.

What is not known yet is no reason to refuse a coupon: a guest's first order, and where the basket goes, are
looked at once there is an address. A promotion that comes by itself waits until it is known.
"""

from collections.abc import Sequence

from app.domain.promotions import errors
from app.domain.promotions.errors import refusal
from app.domain.promotions.offers import Offers, Promotion
from app.domain.promotions.quotes import Line, Place, Refusal


def why_not(
    promotion: Promotion, offers: Offers, meant: Sequence[Line], *, place: Place | None
) -> Refusal | None:
    """Why a promotion does not count; None where it does. meant are the lines in its scope."""
    return (
        _why_not_now(promotion, offers)
        or _why_not_this_buyer(promotion, offers, place)
        or _why_not_this_basket(promotion, meant)
    )


def _why_not_now(promotion: Promotion, offers: Offers) -> Refusal | None:
    if offers.now is not None:
        if promotion.starts_at is not None and offers.now < promotion.starts_at:
            return refusal(errors.COUPON_NOT_STARTED)
        if promotion.ends_at is not None and offers.now >= promotion.ends_at:
            return refusal(errors.COUPON_EXPIRED)
    return refusal(errors.COUPON_USED_UP) if promotion.used_up else None


def _why_not_this_buyer(promotion: Promotion, offers: Offers, place: Place | None) -> Refusal | None:
    buyer, waits = offers.buyer, promotion.code is None
    if promotion.customer_ids or promotion.groups:
        if buyer.customer_id is None:
            return refusal(errors.COUPON_LOGIN_REQUIRED)
        named = buyer.customer_id in promotion.customer_ids
        if not named and promotion.groups.isdisjoint(buyer.groups):
            return refusal(errors.COUPON_NOT_FOR_CUSTOMER)
    if promotion.first_order and (waits if buyer.orders is None else buyer.orders > 0):
        return refusal(errors.COUPON_FIRST_ORDER_ONLY)
    if promotion.used_by_buyer:
        return refusal(errors.COUPON_ALREADY_USED)
    if promotion.countries and (waits if place is None else place.country not in promotion.countries):
        return refusal(errors.COUPON_NOT_IN_COUNTRY)
    return None


def _why_not_this_basket(promotion: Promotion, meant: Sequence[Line]) -> Refusal | None:
    if not meant:
        return refusal(errors.COUPON_NO_ITEMS)
    if promotion.minimum_quantity is not None:
        quantity = sum(line.quantity for line in meant)
        if quantity < promotion.minimum_quantity:
            return refusal(errors.COUPON_MINIMUM_QUANTITY, missing=promotion.minimum_quantity - quantity)
    if promotion.minimum_purchase is not None:
        worth = sum(line.price * line.quantity for line in meant)
        if worth < promotion.minimum_purchase:
            return refusal(errors.COUPON_MINIMUM_PURCHASE, missing=promotion.minimum_purchase - worth)
    return None
