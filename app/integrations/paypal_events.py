"""Which events of PayPal's say what became of an attempt, once PayPal has confirmed that it sent them.

PayPal is asked (verify-webhook-signature) and not a certificate whose address the event brings along: no
list of trusted hosts, no chain of certificates to get wrong, and a stand-in can be as strict as PayPal is.
What is asked about is the raw body, byte for byte, since the signature is over that. How old an event may
be is not looked at: PayPal repeats one for days, and each counts once by its id.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from app.domain.payments.errors import BAD_SIGNATURE
from app.domain.payments.services import Approved, Captured, Contested, GivenBack, Refused
from app.integrations.paypal_disputes import Dispute, read_dispute
from app.integrations.paypal_shapes import Capture, Link, Refund, Unit, captured, id_above, is_id, refunded
from app.kit.errors import Forbidden, Invalid

Effect = Captured | Refused | Approved | GivenBack | Contested

# The headers of a delivery, by the names that they have in the question; with what PayPal takes there.
_HEADERS: Final = {
    "auth_algo": ("paypal-auth-algo", re.compile(r"[a-zA-Z0-9]{1,100}", re.ASCII)),
    "cert_url": ("paypal-cert-url", re.compile(r"https://[\x21-\x7e]{1,490}", re.ASCII)),
    "transmission_id": ("paypal-transmission-id", re.compile(r"[\x21-\x7e]{1,50}", re.ASCII)),
    "transmission_sig": ("paypal-transmission-sig", re.compile(r"[\x21-\x7e]{1,500}", re.ASCII)),
    "transmission_time": ("paypal-transmission-time", re.compile(r"[\x21-\x7e]{1,100}", re.ASCII)),
}
_CAPTURED: Final = "PAYMENT.CAPTURE.COMPLETED"
_DENIED: Final = frozenset({"PAYMENT.CAPTURE.DENIED", "PAYMENT.CAPTURE.DECLINED"})
_APPROVED: Final = "CHECKOUT.ORDER.APPROVED"
_REVERSED: Final = "PAYMENT.CAPTURE.REVERSED"
_GIVEN_BACK: Final = frozenset({"PAYMENT.CAPTURE.REFUNDED", _REVERSED})
_REFUND: Final = "PAYMENT.REFUND."
_DISPUTED: Final = "CUSTOMER.DISPUTE."


class _Resource(msgspec.Struct, frozen=True):
    """What is read of an order, a capture or a refund, whatever of it is there."""

    id: str = ""
    status: str = ""
    links: tuple[Link, ...] = ()
    purchase_units: tuple[Unit, ...] = ()


class _Named(msgspec.Struct, frozen=True):
    id: str
    event_type: str
    resource: msgspec.Raw = msgspec.Raw(b"{}")


class Notice(msgspec.Struct, frozen=True):
    """An event as it was sent. capture_id: it is about this capture and does not say of which order."""

    id: str
    event_type: str
    resource: _Resource
    capture: Capture
    dispute: Dispute
    capture_id: str | None


class _Verdict(msgspec.Struct, frozen=True):
    verification_status: str = ""


def question(body: bytes, headers: Mapping[str, str], webhook_id: str) -> bytes:
    """What PayPal is asked about a delivery. Raises Forbidden bad_signature where there is nothing to ask."""
    asked: dict[str, Any] = {"webhook_id": webhook_id}
    for name, (header, form) in _HEADERS.items():
        asked[name] = headers.get(header, "")
        if not form.fullmatch(asked[name]):
            raise forged()
    if not webhook_id:
        raise forged()
    # The body goes along as it came: written anew, its check sum would be another one.
    return msgspec.json.encode({**asked, "webhook_event": msgspec.Raw(body)})


def is_genuine(answer: bytes) -> bool:
    """Whether PayPal has said that the event is its own."""
    try:
        return msgspec.json.decode(answer, type=_Verdict).verification_status == "SUCCESS"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def forged() -> Forbidden:
    return Forbidden(BAD_SIGNATURE, "The signature does not fit.")


def read_notice(body: bytes) -> Notice:
    """An event's parts. Raises Invalid where it is none, or names a thing twice: which counts would be a guess."""
    try:
        json.loads(body, object_pairs_hook=_no_repeats)
        named = msgspec.json.decode(body, type=_Named)
    except (ValueError, RecursionError) as problem:
        raise Invalid("validation_failed", "This is no event of PayPal.") from problem
    if not named.id or len(named.id) > 200 or len(named.event_type) > 200:
        raise Invalid("validation_failed", "This is no event of PayPal.")
    try:
        resource = msgspec.json.decode(named.resource, type=_Resource)
        capture = msgspec.json.decode(named.resource, type=Capture)
        dispute = msgspec.json.decode(named.resource, type=Dispute)
    except msgspec.DecodeError:
        resource, capture, dispute = _Resource(), Capture(), Dispute()
    about = _capture_of(named.event_type, resource, dispute)
    return Notice(named.id, named.event_type, resource, capture, dispute, about)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _capture_of(kind: str, resource: _Resource, dispute: Dispute) -> str | None:
    if kind in _GIVEN_BACK or kind.startswith(_REFUND):
        return id_above(resource.links, "captures")
    if kind.startswith(_DISPUTED) and is_id(dispute.capture_id):
        return dispute.capture_id
    return None


def find_effect(notice: Notice, looked_up: Capture | None, *, merchant_id: str) -> tuple[str, Effect | None]:
    """The attempt's key and what the event says of it; no effect for what is not about a payment to us."""
    kind, resource = notice.event_type, notice.resource
    if kind == _APPROVED:
        unit = resource.purchase_units[0] if resource.purchase_units else Unit()
        about = Capture(custom_id=unit.custom_id, payee=unit.payee)
        order_id: str | None = resource.id
    else:
        about = looked_up if notice.capture_id is not None and looked_up else notice.capture
        order_id = about.order_id
    key, payee = about.custom_id or "", about.payee.merchant_id if about.payee else None
    if not key or order_id is None or not is_id(order_id):
        return key, None
    if merchant_id and payee not in (None, merchant_id):
        return key, None
    return key, _effect(notice, about, order_id, looked_up)


def _effect(notice: Notice, about: Capture, order_id: str, looked_up: Capture | None) -> Effect | None:
    kind = notice.event_type
    if kind == _APPROVED and notice.resource.status == "APPROVED":
        return Approved(order_id)
    if kind == _CAPTURED and about.status == "COMPLETED":
        return captured(order_id, about.amount)
    if kind in _DENIED and about.status in ("DENIED", "DECLINED", "FAILED"):
        return Refused("capture_declined", order_id)
    return None if looked_up is None else _about_a_payment(notice, order_id)


def _about_a_payment(notice: Notice, order_id: str) -> GivenBack | Contested:
    """What is told of money that was taken before. How much of it moved, PayPal is asked."""
    kind = notice.event_type
    if kind.startswith(_DISPUTED):
        said = read_dispute(msgspec.structs.replace(notice.dispute, money_movements=(), fund_movements=()))
        return Contested(order_id, said)
    if kind == _REVERSED and notice.capture.id != notice.capture_id:
        reversal = Refund(notice.capture.id, notice.capture.status, notice.capture.amount)
        return GivenBack(order_id, refunded(reversal))
    return GivenBack(order_id)
