"""What is read of PayPal's objects, and what they mean to us: orders, captures and refunds."""

import re
from typing import Final

import msgspec

from app.domain.payments.services import ActionNeeded, Captured, Outcome, Refused, ServiceRefund, Unknown
from app.integrations.paypal_amounts import from_paypal

# PayPal's ids stand in the paths that we call.
_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
# Relations of the page where the shopper agrees, the last one after a refused card.
_TO_THE_SHOPPERS_STEP: Final = ("payer-action", "approve", "redirect")
_TAKEN: Final = frozenset({"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"})
_REFUSED: Final = frozenset({"DECLINED", "FAILED"})
APPROVED: Final = "APPROVED"


class Money(msgspec.Struct, frozen=True):
    currency_code: str = ""
    value: str = ""


class Link(msgspec.Struct, frozen=True):
    href: str = ""
    rel: str = ""


class Payee(msgspec.Struct, frozen=True):
    merchant_id: str | None = None


class RelatedIds(msgspec.Struct, frozen=True):
    order_id: str | None = None


class Supplement(msgspec.Struct, frozen=True):
    related_ids: RelatedIds | None = None


class Capture(msgspec.Struct, frozen=True):
    """Money that was taken of an order, or was to be."""

    id: str = ""
    status: str = ""
    amount: Money = Money()
    custom_id: str | None = None
    payee: Payee | None = None
    supplementary_data: Supplement | None = None
    links: tuple[Link, ...] = ()

    @property
    def order_id(self) -> str | None:
        related = self.supplementary_data.related_ids if self.supplementary_data else None
        return (related.order_id if related else None) or id_above(self.links, "orders")


class Refund(msgspec.Struct, frozen=True):
    id: str = ""
    status: str = ""
    amount: Money = Money()
    custom_id: str | None = None


class Payments(msgspec.Struct, frozen=True):
    captures: tuple[Capture, ...] = ()
    refunds: tuple[Refund, ...] = ()


class Unit(msgspec.Struct, frozen=True):
    custom_id: str | None = None
    payee: Payee | None = None
    payments: Payments = Payments()


class Order(msgspec.Struct, frozen=True):
    """An order of PayPal's; ours have one unit, and one capture in the end."""

    id: str
    status: str
    links: tuple[Link, ...] = ()
    purchase_units: tuple[Unit, ...] = ()
    update_time: str = ""

    @property
    def unit(self) -> Unit:
        return self.purchase_units[0] if self.purchase_units else Unit()

    @property
    def capture(self) -> Capture | None:
        """The one that counts: money that was taken before money that is looked at before money refused."""
        made = self.unit.payments.captures
        for states in (_TAKEN, {"PENDING"}, _REFUSED):
            found = next((capture for capture in made if capture.status in states), None)
            if found is not None:
                return found
        return None


def is_id(value: str | None) -> bool:
    return bool(value and _ID.fullmatch(value))


def id_above(links: tuple[Link, ...], kind: str) -> str | None:
    """The id in the link to what a thing belongs to, as `…/v2/payments/captures/ID`; None for another kind."""
    for link in links:
        *_, parent, found = f"/{link.href}".split("/")
        if link.rel == "up" and parent == kind and is_id(found):
            return found
    return None


def step_of(links: tuple[Link, ...]) -> str | None:
    """Where the shopper goes on at PayPal."""
    found = {link.rel: link.href for link in links}
    return next((found[rel] for rel in _TO_THE_SHOPPERS_STEP if rel in found), None)


def said(order: Order) -> Outcome:
    """What has become of an order. One that is approved waits for us, which is not said here."""
    capture = order.capture
    if capture is not None:
        return _became(order.id, capture)
    match order.status:
        case "VOIDED":
            return Refused("cancelled", order.id)
        case "CREATED" | "SAVED" | "PAYER_ACTION_REQUIRED":
            address = step_of(order.links)
            return (
                ActionNeeded(order.id, {"approval_url": address}) if address else Unknown("no_step", order.id)
            )
        case _:
            return Unknown(order.status.lower(), order.id)


def _became(reference: str, capture: Capture) -> Outcome:
    if capture.status in _TAKEN:
        return captured(reference, capture.amount) or Unknown("strange_amount", reference)
    if capture.status in _REFUSED:
        return Refused("capture_declined", reference)
    return Unknown("under_review", reference)


def captured(reference: str, amount: Money) -> Captured | None:
    """A capture in our terms; None where the sum cannot be said in them."""
    minor = from_paypal(amount.value, amount.currency_code)
    return None if minor is None else Captured(reference, minor, amount.currency_code)


def refunded(refund: Refund) -> ServiceRefund | None:
    """A refund in our terms; None where its sum cannot be said in them. Until it fails, money is on its way."""
    amount = from_paypal(refund.amount.value, refund.amount.currency_code)
    if amount is None or not refund.id:
        return None
    failed = refund.status in ("FAILED", "CANCELLED")
    return ServiceRefund(refund.id, amount, refund.amount.currency_code, failed=failed)
