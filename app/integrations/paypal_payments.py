"""Paying through PayPal: one order of PayPal's for each attempt, which the shopper approves and we capture then.

Money moves by our capture only. So an order whose making went wrong is over for certain, since nobody was
given its address, and one that was given up is never captured. Asking about an approved order captures it:
the shopper's return, PayPal's event and the reconciler all ask. An order is captured once, whoever asks.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from app.domain.payments.services import (
    ActionNeeded,
    Charge,
    Finding,
    Outcome,
    Refused,
    ServiceDispute,
    ServiceEvent,
    ServiceRefund,
    Unheard,
    Unknown,
)
from app.integrations.paypal_amounts import is_taken, to_paypal
from app.integrations.paypal_disputes import Dispute, Listed, read_dispute
from app.integrations.paypal_events import Notice, find_effect, forged, is_genuine, question, read_notice
from app.integrations.paypal_http import PayPalHttp, PayPalRefusalError, PayPalTroubleError
from app.integrations.paypal_shapes import APPROVED, Capture, Order, Refund, is_id, refunded, said, step_of
from app.kit.errors import UNAVAILABLE, Unavailable

LIVE_BASE: Final = "https://api-m.paypal.com"
OUT_OF_ORDER: Final = "service_unavailable"
UNPROCESSABLE: Final = 422
NOT_FOUND: Final = 404
MOST_DISPUTES: Final = 50  # a page; nobody disputes one payment that often
# What PayPal says of a call that is, or was, on its way beside this one.
_BUSY: Final = frozenset({"DUPLICATE_REQUEST_ID", "PREVIOUS_REQUEST_IN_PROGRESS", "ORDER_ALREADY_CAPTURED"})
# The shopper can mend these at PayPal, on the same order: another card, a proof of who they are.
_SHOPPERS_TURN: Final = frozenset({"INSTRUMENT_DECLINED", "PAYER_ACTION_REQUIRED", "ORDER_NOT_APPROVED"})
# Anybody can send what looks like an event: so many are asked about at a time, the others wait a moment.
CHECKS_AT_ONCE: Final = 4
CHECK_WAIT_SECONDS: Final = 2.0

_Shape = TypeVar("_Shape")
logger = logging.getLogger(__name__)


class PayPalPayments:
    """The `paypal` service. An attempt's reference is the id of PayPal's order."""

    name = "paypal"

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        api_base: str | None,
        webhook_id: str,
        merchant_id: str,
    ) -> None:
        self._client_id = client_id
        self._webhook_id = webhook_id
        self._merchant_id = merchant_id
        self._http = PayPalHttp(base=api_base or LIVE_BASE, client_id=client_id, client_secret=client_secret)
        self._checks = asyncio.Semaphore(CHECKS_AT_ONCE)

    def public_settings(self) -> dict[str, Any]:
        return {"public_key": self._client_id}

    def takes(self, amount: int, currency: str) -> bool:
        return is_taken(currency) and (amount == 0 or to_paypal(amount, currency) is not None)

    async def close(self) -> None:
        await self._http.close()

    async def charge(self, charge: Charge) -> Outcome:
        """Make the order that the shopper then approves at PayPal; a token says nothing here."""
        value = to_paypal(charge.amount, charge.currency)
        if value is None:
            return Refused("amount_not_supported")
        wanted = {
            "intent": "CAPTURE",
            "purchase_units": [
                {
                    "custom_id": charge.key,
                    "amount": {"currency_code": charge.currency, "value": value},
                }
            ],
            "payment_source": {
                "paypal": {
                    "experience_context": {
                        "return_url": charge.return_url,
                        "cancel_url": charge.return_url,
                        "user_action": "PAY_NOW",
                        "shipping_preference": "NO_SHIPPING",
                        "payment_method_preference": "IMMEDIATE_PAYMENT_REQUIRED",
                    }
                }
            },
        }
        try:
            made = await self._http.post(
                "/v2/checkout/orders", msgspec.json.encode(wanted), request_id=charge.key
            )
            return said(_read(made, Order))
        except PayPalRefusalError as refusal:
            if refusal.issue in _BUSY:
                return Unknown("idempotency")
            return Refused(refusal.reason)
        except PayPalTroubleError as trouble:
            # Nobody was given the address where this order can be approved: nothing can be charged.
            _note("an order could not be made", trouble)
            return Refused(OUT_OF_ORDER)

    async def find(self, key: str, reference: str | None) -> Finding:
        if reference is None:
            return Unheard()
        try:
            order = await self._get_order(key, reference)
            return await self._capture(key, order) if order.status == APPROVED else said(order)
        except PayPalRefusalError as refusal:
            return _gone(refusal, reference)
        except PayPalTroubleError as trouble:
            _note("it is not known what became of an order", trouble)
            return Unknown(trouble.reason, reference)

    async def cancel(self, key: str, reference: str | None) -> Finding:
        """Never capture it. PayPal has no call that ends an order; what is not captured, it lets go by itself."""
        if reference is None:
            return Unheard()
        try:
            order = await self._get_order(key, reference)
        except PayPalRefusalError as refusal:
            return _gone(refusal, reference)
        except PayPalTroubleError as trouble:
            _note("an order could not be given up", trouble)
            return Unknown(trouble.reason, reference)
        return said(order) if order.capture is not None else Refused("cancelled", reference)

    async def _get_order(self, key: str, reference: str) -> Order:
        """The order, which must be this attempt's and be paid to us. Raises PayPalTroubleError else."""
        order = _read(await self._http.get(f"/v2/checkout/orders/{_in_path(reference)}"), Order)
        payee = order.unit.payee.merchant_id if order.unit.payee else None
        if (order.id, order.unit.custom_id) != (reference, key):
            raise PayPalTroubleError("another_order")
        if self._merchant_id and payee not in (None, self._merchant_id):
            raise PayPalTroubleError("another_merchant")
        return order

    async def _capture(self, key: str, order: Order) -> Outcome:
        """Take the money of an approved order. Once it is taken, PayPal refuses to take it again."""
        # PayPal answers a repeat as it answered before. After another approval this is another call.
        request_id = f"{key}-capture-{order.update_time}".rstrip("-")
        try:
            made = await self._http.post(
                f"/v2/checkout/orders/{_in_path(order.id)}/capture", b"{}", request_id=request_id
            )
            return said(_read(made, Order))
        except PayPalRefusalError as refusal:
            if refusal.status != UNPROCESSABLE and refusal.issue not in _BUSY:
                _note("a capture was not allowed", refusal)
                return Unknown(refusal.reason, order.id)
            if refusal.issue in _SHOPPERS_TURN:
                address = step_of(refusal.links) or step_of(order.links)
                action = {"approval_url": address, "reason": refusal.reason}
                return ActionNeeded(order.id, action) if address else Refused(refusal.reason, order.id)
            if refusal.issue not in _BUSY:
                return Refused(refusal.reason, order.id)
        order = await self._get_order(key, order.id)
        return Unknown("idempotency", order.id) if order.status == APPROVED else said(order)

    async def refund(self, key: str, reference: str, amount: int, currency: str) -> ServiceRefund | None:
        refused = ServiceRefund(key, amount, currency, failed=True)
        value = to_paypal(amount, currency)
        if value is None:
            return refused
        wanted = {"amount": {"currency_code": currency, "value": value}, "custom_id": key}
        try:
            order = _read(await self._http.get(f"/v2/checkout/orders/{_in_path(reference)}"), Order)
            # PayPal keeps request ids for a while only, and its list of refunds for good.
            made = next((one for one in order.unit.payments.refunds if one.custom_id == key), None)
            if made is None:
                if order.capture is None:
                    return None
                made = await self._give_back(key, order.capture.id, wanted)
        except (PayPalRefusalError, PayPalTroubleError) as problem:
            _note("it is not known whether a refund was made", problem)
            return None
        return refused if made is None else refunded(made)

    async def _give_back(self, key: str, capture_id: str, wanted: dict[str, Any]) -> Refund | None:
        """Make a refund; None where PayPal refuses to for good, as it does with disputed money."""
        try:
            made = await self._http.post(
                f"/v2/payments/captures/{_in_path(capture_id)}/refund",
                msgspec.json.encode(wanted),
                request_id=key,
            )
        except PayPalRefusalError as refusal:
            if refusal.status != UNPROCESSABLE or refusal.issue in _BUSY:
                raise
            _note("a refund was refused", refusal)
            return None
        return _read(made, Refund)

    async def list_refunds(self, reference: str) -> Sequence[ServiceRefund] | None:
        try:
            order = _read(await self._http.get(f"/v2/checkout/orders/{_in_path(reference)}"), Order)
        except (PayPalRefusalError, PayPalTroubleError) as problem:
            _note("the refunds of a payment could not be listed", problem)
            return None
        found = [refunded(refund) for refund in order.unit.payments.refunds]
        known = [refund for refund in found if refund is not None]
        return known if len(known) == len(found) else None

    async def list_disputes(self, reference: str) -> Sequence[ServiceDispute] | None:
        try:
            order = _read(await self._http.get(f"/v2/checkout/orders/{_in_path(reference)}"), Order)
            if order.capture is None:
                return []
            about = f"disputed_transaction_id={_in_path(order.capture.id)}&page_size={MOST_DISPUTES}"
            listed = _read(await self._http.get(f"/v1/customer/disputes?{about}"), Listed)
            found = []
            for one in listed.items:
                # The list says which there are; what they moved stands in each one's own details.
                details = await self._http.get(f"/v1/customer/disputes/{_in_path(one.dispute_id)}")
                found.append(read_dispute(_read(details, Dispute)))
        except (PayPalRefusalError, PayPalTroubleError) as problem:
            _note("the disputes of a payment could not be listed", problem)
            return None
        known = [dispute for dispute in found if dispute is not None]
        return known if len(known) == len(found) else None

    async def read_event(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> ServiceEvent:  # noqa: ARG002 - how old one may be PayPal decides, which repeats it for days
        """Have PayPal check the signature, and look up the payment that a refund or dispute belongs to."""
        wanted = question(body, headers, self._webhook_id)
        notice = read_notice(body)
        async with self._turn():
            try:
                verdict = await self._http.post("/v1/notifications/verify-webhook-signature", wanted)
            except PayPalRefusalError as refusal:
                _note("PayPal does not look at an event's signature", refusal)
                raise forged() from None
            except PayPalTroubleError as trouble:
                raise _not_now(trouble) from None
        if not is_genuine(verdict):
            raise forged()
        capture = await self._get_capture(notice)
        key, finding = find_effect(notice, capture, merchant_id=self._merchant_id)
        return ServiceEvent(event_id=notice.id, kind=notice.event_type, key=key, finding=finding)

    async def _get_capture(self, notice: Notice) -> Capture | None:
        """What an event is about that names a capture and not its order; None where PayPal does not know it."""
        if notice.capture_id is None:
            return None
        try:
            found = await self._http.get(f"/v2/payments/captures/{notice.capture_id}")
            return _read(found, Capture)
        except PayPalRefusalError as refusal:
            _note("an event speaks of a capture that is not ours", refusal)
            return None
        except PayPalTroubleError as trouble:
            raise _not_now(trouble) from None

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(CHECK_WAIT_SECONDS):
                await self._checks.acquire()
        except TimeoutError:
            raise Unavailable(UNAVAILABLE, "Many events are being checked.", retry_after=30) from None
        try:
            yield
        finally:
            self._checks.release()


def _read(body: bytes, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise PayPalTroubleError("strange_answer") from None


def _in_path(reference: str) -> str:
    if not is_id(reference):
        raise PayPalTroubleError("strange_id")
    return reference


def _gone(refusal: PayPalRefusalError, reference: str) -> Finding:
    """An order that was never captured is forgotten by PayPal after some hours."""
    if refusal.status == NOT_FOUND:
        return Refused("expired", reference)
    _note("an order could not be looked up", refusal)
    return Unknown(refusal.reason, reference)


def _not_now(trouble: PayPalTroubleError) -> Unavailable:
    _note("an event could not be checked", trouble)
    return Unavailable(UNAVAILABLE, "The event cannot be checked right now; send it again.", retry_after=30)


def _note(what: str, problem: PayPalRefusalError | PayPalTroubleError) -> None:
    """A line for the operator. PayPal's own sentences stay out: they may repeat what a caller sent."""
    logger.warning("%s: %s", what, problem)
