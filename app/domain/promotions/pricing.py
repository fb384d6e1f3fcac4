"""What a basket costs: lines, promotions, shipping and tax to one frozen quote, in integer minor units.

Promotions are taken in order of priority, each off what the earlier ones left. Tax is computed per line, of
what the discounts left, rounded half up; where prices include tax it is part of the total, else it is added.
Nothing here asks a clock or a database, so that a quote can be made again and again.
"""

from collections.abc import Sequence
from itertools import compress
from operator import sub

import msgspec

from app.domain.promotions import errors
from app.domain.promotions.conditions import why_not
from app.domain.promotions.discounts import parts_of
from app.domain.promotions.errors import refusal
from app.domain.promotions.offers import NO_OFFERS, Offers, Promotion, Scope, is_in
from app.domain.promotions.quotes import (
    Applied,
    CouponState,
    Line,
    LineDiscount,
    Place,
    Quote,
    QuotedLine,
    Refusal,
)
from app.domain.stores.queries import StoreConfig
from app.domain.stores.shipping import Shipping
from app.kit import money


class _Earned:
    """What the promotions come to, while they are taken one after another."""

    def __init__(self, lines: Sequence[Line], shipping: Shipping | None, offers: Offers) -> None:
        self.lines = lines
        self.left = [line.price * line.quantity for line in lines]
        self.discounts: list[list[LineDiscount]] = [[] for _ in lines]
        self.ships = any(line.requires_shipping for line in lines)
        self.chosen = shipping is not None
        self.shipping = shipping.price if shipping else 0
        self.gifts: list[Line] = []
        self.applied: list[Applied] = []
        self.alone = False
        self.refusal: Refusal | None = None
        self._shelves = offers.shelves
        self._meant: dict[Scope, list[bool]] = {}

    def meant(self, scope: Scope) -> list[bool]:
        """Which lines a scope is about; many promotions share one."""
        found = self._meant.get(scope)
        if found is None:
            found = self._meant[scope] = [is_in(scope, line, self._shelves) for line in self.lines]
        return found


def make_quote(
    store: StoreConfig,
    lines: Sequence[Line],
    *,
    place: Place | None,
    shipping_option: Shipping | None,
    offers: Offers = NO_OFFERS,
) -> Quote:
    """The quote of a basket that goes to a place (None: not known yet, no tax), with what is offered on it.

    The sum of the lines' discounts is the quote's, and total = items - discount + shipping (+ tax).
    """
    earned = _Earned(lines, shipping_option, offers)
    for promotion in sorted(offers.promotions, key=_order):
        why = _take(promotion, earned, offers, place)
        if why is not None and promotion.code is not None:
            earned.refusal = why
    taxed = money.tax_in if store.tax_included else money.tax_on
    quoted = tuple(
        _quoted(line, discounts, left, store=store, place=place)
        for line, discounts, left in (
            *zip(lines, earned.discounts, earned.left, strict=True),
            *((gift, (), gift.price * gift.quantity) for gift in earned.gifts),
        )
    )
    rate = store.tax_rate(*place) if place and store.tax_shipping else 0
    items = sum(entry.line_price for entry in quoted)
    discount = sum(entry.discount for entry in quoted)
    tax = sum(entry.tax for entry in quoted) + taxed(earned.shipping, rate)
    return Quote(
        currency=store.currency,
        tax_included=store.tax_included,
        lines=quoted,
        shipping_option=shipping_option,
        items=items,
        discount=discount,
        shipping=earned.shipping,
        tax=tax,
        total=items - discount + earned.shipping + (0 if store.tax_included else tax),
        shipping_discount=(shipping_option.price if shipping_option else 0) - earned.shipping,
        applied=tuple(earned.applied),
        coupon=_coupon(offers, earned),
    )


def _quoted(
    line: Line, discounts: Sequence[LineDiscount], left: int, *, store: StoreConfig, place: Place | None
) -> QuotedLine:
    """A line with what promotions took off it; left is what they have left of its price."""
    taxed = money.tax_in if store.tax_included else money.tax_on
    price = line.price * line.quantity
    rate = store.tax_rate(*place, line.tax_class) if place and line.taxable else 0
    return QuotedLine(
        line=line,
        line_price=price,
        discount=price - left,
        tax=taxed(left, rate),
        tax_rate=rate,
        discounts=tuple(discounts),
    )


def _order(promotion: Promotion) -> tuple[int, bool, int]:
    """Higher priorities first; among equal ones the coupon that somebody typed, then the older promotion."""
    return -promotion.priority, promotion.code is None, promotion.id


def _take(promotion: Promotion, earned: _Earned, offers: Offers, place: Place | None) -> Refusal | None:
    """Let a promotion take what it gives, or say why it gives nothing."""
    meant = earned.meant(promotion.scope)
    why = why_not(promotion, offers, list(compress(earned.lines, meant)), place=place)
    if why is not None:
        return why
    if earned.alone or (earned.applied and not promotion.combines):
        return refusal(errors.COUPON_NOT_COMBINABLE)
    amount = 0
    match promotion.kind:
        case "gift":
            gift = _find_gift(promotion.gift_variant_id or 0, earned, offers)
            if gift is None:
                return refusal(errors.COUPON_NO_GIFT)
            earned.gifts.append(gift)
        case "free_shipping":
            if not earned.ships or (earned.chosen and earned.shipping == 0):
                return refusal(errors.COUPON_NO_EFFECT)
            # It counts before an option is chosen, too: what it takes off is known then.
            amount, earned.shipping = earned.shipping, 0
        case _:
            given = earned.meant(promotion.reward or promotion.scope)
            parts = parts_of(promotion, earned.lines, earned.left, meant=meant, given=given)
            amount = sum(parts)
            if amount == 0:
                return refusal(errors.COUPON_NO_EFFECT)
            whose, title, code = promotion.id, promotion.title, promotion.code
            for part, discounts in zip(parts, earned.discounts, strict=True):
                if part:
                    discounts.append(LineDiscount(whose, title, code, part))
            earned.left = list(map(sub, earned.left, parts))
    earned.alone = not promotion.combines
    earned.applied.append(
        Applied(
            promotion_id=promotion.id,
            coupon_id=promotion.coupon_id,
            code=promotion.code,
            title=promotion.title,
            kind=promotion.kind,
            value=promotion.value,
            amount=amount,
            limited=promotion.limited,
            gift_variant_id=promotion.gift_variant_id,
        )
    )
    return None


def _find_gift(variant_id: int, earned: _Earned, offers: Offers) -> Line | None:
    """What a promotion gives; None where it cannot be sent with this basket, or an earlier one gave the last of it."""
    gift = offers.gifts.get(variant_id)
    if gift is None or (gift.requires_shipping and not earned.ships):
        return None
    given = sum(1 for earlier in earned.gifts if earlier.variant_id == variant_id)
    return gift if given < offers.spare.get(variant_id, given + 1) else None


def _coupon(offers: Offers, earned: _Earned) -> CouponState | None:
    if offers.code is None:
        return None
    used = next((entry for entry in earned.applied if entry.code is not None), None)
    if used is not None:
        return CouponState(used.code or offers.code, used.amount)
    return CouponState(offers.code, 0, earned.refusal or refusal(errors.COUPON_NOT_FOUND))


def without(offers: Offers, promotion_ids: frozenset[int]) -> Offers:
    """The offers without promotions that have just run out."""
    return msgspec.structs.replace(
        offers,
        promotions=tuple(
            msgspec.structs.replace(entry, used_up=True) if entry.id in promotion_ids else entry
            for entry in offers.promotions
        ),
    )
