"""Which events of Stripe say what became of an attempt, once their signature has been checked on the raw body.

Everything else is parked: other kinds, other releases of the API, other accounts, test events in a live
shop and the other way round. The reconciler asks Stripe about what a parked event would have said.
"""

from datetime import datetime
from typing import Any, Final

import msgspec
from stripe import SignatureVerificationError, WebhookSignature

from app.domain.payments.errors import BAD_SIGNATURE
from app.domain.payments.services import Authorized, Captured, Contested, GivenBack, Refused, ServiceEvent
from app.integrations.stripe_amounts import from_stripe
from app.kit.errors import Forbidden, Invalid
from app.kit.money import is_currency

API_VERSION: Final = "2026-10-28.endive"
SIGNATURE_HEADER: Final = "stripe-signature"
# Names in a PaymentIntent's metadata: the attempt's key, and how it is confirmed.
ATTEMPT: Final = "attempt"
FLOW: Final = "flow"
CARD_FLOW: Final = "card"  # by us, with the card that the page named
PAGE_FLOW: Final = "page"  # by the page itself, where the shopper may try one card after another


class _Failure(msgspec.Struct, frozen=True):
    code: str | None = None
    decline_code: str | None = None


# The objects that events about a payment bring, by the kind of event.
_ABOUT: Final = {
    "payment_intent.succeeded": "payment_intent",
    "payment_intent.canceled": "payment_intent",
    "payment_intent.amount_capturable_updated": "payment_intent",
    "payment_intent.payment_failed": "payment_intent",
    "charge.refunded": "charge",
    "refund.created": "refund",
    "refund.updated": "refund",
    "refund.failed": "refund",
    "charge.refund.updated": "refund",
    "charge.dispute.created": "dispute",
    "charge.dispute.updated": "dispute",
    "charge.dispute.funds_withdrawn": "dispute",
    "charge.dispute.funds_reinstated": "dispute",
    "charge.dispute.closed": "dispute",
}


class _Intent(msgspec.Struct, frozen=True):
    """What is read of a PaymentIntent, or of what is about one; of any other object, whatever of it is there."""

    id: str = ""
    object: str = ""
    status: str | None = None
    amount_received: int | None = None
    amount_capturable: int | None = None
    currency: str | None = None
    livemode: bool | None = None
    metadata: dict[str, Any] | None = None
    last_payment_error: _Failure | None = None
    payment_intent: str | None = None


class _Data(msgspec.Struct, frozen=True):
    object: msgspec.Raw


class _Event(msgspec.Struct, frozen=True):
    id: str
    type: str
    livemode: bool
    data: _Data
    api_version: str | None = None
    account: str | None = None


def check_signature(
    body: bytes, header: str, secrets: tuple[str, ...], *, window: int, now: datetime
) -> None:
    """Raise Forbidden bad_signature unless one of the secrets signed the raw body within the window."""
    for secret in secrets:
        try:
            WebhookSignature.verify_header(body, header, secret, tolerance=window)
        except (SignatureVerificationError, UnicodeDecodeError, TypeError, OverflowError):
            continue  # TypeError: a signature that is no ASCII text cannot be compared
        # The library looks back only; a time far ahead would make a signature that never grows old.
        if _stamp(header) <= now.timestamp() + window:
            return
    raise Forbidden(BAD_SIGNATURE, "The signature does not fit, or is too old.")


def _stamp(header: str) -> int:
    """The time that the library verified: the first `t` of the header."""
    return next(int(part.split("=")[1]) for part in header.split(",") if part.startswith("t="))


def read_event(body: bytes, *, is_live: bool, account_id: str) -> ServiceEvent:
    """What a signed event says. Raises Invalid where it is no event of Stripe's."""
    try:
        event = msgspec.json.decode(body, type=_Event)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise Invalid("validation_failed", "This is no event of Stripe.") from problem
    try:
        intent = msgspec.json.decode(event.data.object, type=_Intent)
    except msgspec.DecodeError:
        intent = _Intent()
    key = (intent.metadata or {}).get(ATTEMPT)
    ours = (
        event.livemode == is_live
        and intent.livemode in (is_live, None)
        and event.account in (account_id, None)
        and release(event.api_version) == release(API_VERSION)
        and intent.object == _ABOUT.get(event.type)
    )
    finding = _finding(event.type, intent) if ours else None
    return ServiceEvent(
        event_id=event.id, kind=event.type, key=key if isinstance(key, str) else "", finding=finding
    )


def release(version: str | None) -> str:
    """The release that a version belongs to: versions of one release understand each other."""
    return (version or "").partition(".")[2]


def _finding(kind: str, intent: _Intent) -> Captured | Authorized | Refused | GivenBack | Contested | None:
    if intent.object != "payment_intent":
        return _about_a_payment(intent)
    if kind == "payment_intent.succeeded" and intent.status == "succeeded":
        return captured(intent.id, intent.amount_received or 0, intent.currency or "")
    if kind == "payment_intent.amount_capturable_updated" and intent.status == "requires_capture":
        return authorized(intent.id, intent.amount_capturable or 0, intent.currency or "")
    if kind == "payment_intent.canceled" and intent.status == "canceled":
        return Refused("cancelled", intent.id)
    flow = (intent.metadata or {}).get(FLOW)
    if kind == "payment_intent.payment_failed" and flow == CARD_FLOW:
        failure = intent.last_payment_error or _Failure()
        return Refused(failure.decline_code or failure.code or "card_declined", intent.id)
    return None


def _about_a_payment(thing: _Intent) -> GivenBack | Contested | None:
    if not thing.payment_intent:
        return None
    return (Contested if thing.object == "dispute" else GivenBack)(thing.payment_intent)


def captured(reference: str, amount: int, currency: str) -> Captured | None:
    """A capture in our terms; None where the sum cannot be said in them."""
    code = currency.upper()
    minor = from_stripe(amount, code) if is_currency(code) else None
    return None if minor is None else Captured(reference, minor, code)


def authorized(reference: str, amount: int, currency: str) -> Authorized | None:
    """What is held in our terms; None where the sum cannot be said in them."""
    found = captured(reference, amount, currency)
    return None if found is None else Authorized(found.reference, found.amount, found.currency)
