"""A strict stand-in for the part of PayPal's API that a shop uses; its own log of captures is the truth.

It keeps to what PayPal documents: a token that ends, unknown fields refused, a request id replayed or refused
for another call, an order that goes from CREATED over APPROVED to COMPLETED and is captured once, no more
refunded than was taken, and a webhook's signature over the CRC of the body as it was sent. Faults are set by
call, and events are made but not sent: tests send them, in any order and as often as they like.
"""

import asyncio
import base64
import binascii
import copy
import hashlib
import hmac
import itertools
import json
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from app.kit.money import to_decimal_text
from tests.canaries import PAYPAL_SECRET
from tests.standins.books import Taken
from tests.standins.paypal_answers import (
    Refusal,
    Thing,
    broken,
    link,
    malformed,
    minor_of,
    new_id,
    unprocessable,
)
from tests.standins.wire import Call, Reply, plain_server

WITHOUT_DECIMALS = {"HUF", "JPY", "TWD"}
CURRENCIES = {"EUR", "GBP", "USD", *WITHOUT_DECIMALS}
# The fields that a shop of ours sends; whatever else comes is a mistake.
ORDER_FIELDS = {"intent", "purchase_units", "payment_source"}
UNIT_FIELDS = {"custom_id", "amount"}
CONTEXT_FIELDS = {
    "return_url",
    "cancel_url",
    "user_action",
    "shipping_preference",
    "payment_method_preference",
}
REFUND_FIELDS = {"amount", "custom_id"}
QUESTION_FIELDS = {
    "auth_algo",
    "cert_url",
    "transmission_id",
    "transmission_sig",
    "transmission_time",
    "webhook_id",
    "webhook_event",
}


class _Question(msgspec.Struct):
    """What is asked about a delivery; the event byte for byte as it stands in the question."""

    webhook_id: str
    transmission_id: str
    transmission_time: str
    transmission_sig: str
    webhook_event: msgspec.Raw


@dataclass
class PayPalStandIn:
    """Faults by call: `error` (500, nothing done), `error_after` (500 though it was done), `cut` (done, no
    answer), `hang` (done, no answer until `release`), `limit` (429).
    """

    client_id: str = "paypal-client"
    client_secret: str = PAYPAL_SECRET
    webhook_id: str = "9XL90610J3647323C"
    merchant_id: str = "MERCHANT7SHOP"
    url: str = ""
    orders: dict[str, Thing] = field(default_factory=dict)
    captures: dict[str, Thing] = field(default_factory=dict)
    refunds: list[Thing] = field(default_factory=list)
    disputes: dict[str, Thing] = field(default_factory=dict)
    log: list[Taken] = field(default_factory=list)
    events: list[Thing] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    token_seconds: int = 32_400
    _tokens: set[str] = field(default_factory=set)
    _instruments: dict[str, str] = field(default_factory=dict)
    _unlisted: dict[str, int] = field(default_factory=dict)
    _faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _answers: dict[str, tuple[object, Reply | None]] = field(default_factory=dict)
    _released: asyncio.Event = field(default_factory=asyncio.Event)
    _moments: "itertools.count[int]" = field(default_factory=itertools.count)
    _signing_key: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    # ---- what tests do

    def fail(self, call: str, *faults: str) -> None:
        """The next calls of this kind meet these faults, one each."""
        self._faults[call].extend(faults)

    def clear_faults(self) -> None:
        self._faults.clear()

    def release(self) -> None:
        """Let the calls that hang be answered."""
        self._released.set()
        self._released = asyncio.Event()

    def end_tokens(self) -> None:
        """No token that was given out so far opens anything any more."""
        self._tokens.clear()

    def approve(self, reference: str, instrument: str = "bank") -> None:
        """What the shopper does at PayPal's page. `refused` is declined in the capture, `review` waits in it,
        `failed` is captured as DECLINED.
        """
        order = self.orders[reference]
        assert order["status"] in ("CREATED", "PAYER_ACTION_REQUIRED", "APPROVED")
        order.update(status="APPROVED", update_time=self._now())
        self._instruments[reference] = instrument
        self._tell("CHECKOUT.ORDER.APPROVED", "checkout-order", order)

    def end_review(self, reference: str, *, accept: bool) -> None:
        """What becomes of a capture that waited."""
        capture = self.capture_of(reference)
        assert capture["status"] == "PENDING"
        if accept:
            self._take(reference, capture)
        else:
            capture["status"] = "DECLINED"
            self._tell("PAYMENT.CAPTURE.DENIED", "capture", capture)

    def forget(self, reference: str) -> None:
        """An order that nobody captured is gone after some hours."""
        assert not self.orders[reference]["purchase_units"][0]["payments"]["captures"]
        del self.orders[reference]

    def give_back(self, reference: str, minor: int, *, status: str = "COMPLETED") -> Thing:
        """A refund that somebody makes at the service's own pages."""
        capture = self.capture_of(reference)
        currency = capture["amount"]["currency_code"]
        amount = {"currency_code": currency, "value": to_decimal_text(minor, currency)}
        return self._refund(capture["id"], {"amount": amount}, status=status)

    def let_refund_fail(self, refund: Thing) -> None:
        """The bank does not take the money, and it comes back to the account."""
        refund["status"] = "FAILED"
        self._tell("PAYMENT.REFUND.FAILED", "refund", refund)

    def dispute(self, reference: str) -> Thing:
        """The shopper disputes the payment."""
        capture = self.capture_of(reference)
        dispute = {
            "dispute_id": f"PP-D-{next(self._moments)}",
            "disputed_transactions": [{"seller_transaction_id": capture["id"], "buyer_transaction_id": "B1"}],
            "reason": "UNAUTHORISED",
            "status": "OPEN",
            "dispute_amount": capture["amount"],
        }
        self.disputes[dispute["dispute_id"]] = dispute
        self._tell("CUSTOMER.DISPUTE.CREATED", "dispute", dispute)
        return dispute

    def move(self, dispute: Thing, kind: str, reason: str, value: str) -> None:
        """Money of the shop's account, and as much of the buyer's, moves by a dispute."""
        amount = {"currency_code": dispute["dispute_amount"]["currency_code"], "value": value}
        for party, way in (("SELLER", kind), ("BUYER", "CREDIT" if kind == "DEBIT" else "DEBIT")):
            dispute.setdefault("money_movements", []).append(
                {
                    "affected_party": party,
                    "amount": amount,
                    "initiated_time": self._now(),
                    "type": way,
                    "reason": reason,
                }
            )
        dispute["status"] = "UNDER_REVIEW"
        self._tell("CUSTOMER.DISPUTE.UPDATED", "dispute", dispute)

    def resolve(self, dispute: Thing, outcome: str) -> None:
        dispute.update(status="RESOLVED", dispute_outcome={"outcome_code": outcome})
        self._tell("CUSTOMER.DISPUTE.RESOLVED", "dispute", dispute)

    def reverse(self, reference: str, minor: int, *, listed: bool = True) -> Thing:
        """A bank takes money back; whether the order's own list of refunds says so, nobody promises."""
        refund = self.give_back(reference, minor)
        self.events[-1]["event_type"] = "PAYMENT.CAPTURE.REVERSED"
        if not listed:
            self.orders[reference]["purchase_units"][0]["payments"]["refunds"].remove(refund)
            self._unlisted[reference] = self._unlisted.get(reference, 0) + minor
        return refund

    def _list_disputes(self, about: str) -> Thing:
        found = [
            {name: dispute[name] for name in ("dispute_id", "status", "reason", "dispute_amount")}
            for dispute in self.disputes.values()
            if dispute["disputed_transactions"][0]["seller_transaction_id"] == about
        ]
        return {"items": found, "links": []}

    def capture_of(self, reference: str) -> Thing:
        (capture,) = self.orders[reference]["purchase_units"][0]["payments"]["captures"]
        found: Thing = capture
        return found

    def refunded(self, reference: str) -> int:
        """What has gone back of an order, in minor units, and stayed away."""
        made = self.orders[reference]["purchase_units"][0]["payments"]["refunds"]
        stayed = sum(minor_of(one["amount"]) for one in made if one["status"] not in ("FAILED", "CANCELLED"))
        return stayed + self._unlisted.get(reference, 0)

    def events_of(self, reference: str, *kinds: str) -> list[Thing]:
        """The events that name an order or its capture."""
        order = self.orders[reference]
        names = {reference, *(one["id"] for one in order["purchase_units"][0]["payments"]["captures"])}
        return [
            event
            for event in self.events
            if any(name in json.dumps(event["resource"]) for name in names)
            and (not kinds or event["event_type"] in kinds)
        ]

    def sign(self, body: bytes, *, webhook_id: str | None = None) -> dict[str, str]:
        """The headers of a delivery."""
        named, moment = secrets.token_hex(16), self._now()
        return {
            "PayPal-Auth-Algo": "SHA256withRSA",
            "PayPal-Cert-Url": "https://api.paypal.com/v1/notifications/certs/CERT-360caa42",
            "PayPal-Transmission-Id": named,
            "PayPal-Transmission-Time": moment,
            "PayPal-Transmission-Sig": self._signature(named, moment, webhook_id or self.webhook_id, body),
        }

    async def send(self, client: httpx.AsyncClient, event: Thing, **headers: str) -> httpx.Response:
        body = json.dumps(event).encode()
        given = {"Content-Type": "application/json", **self.sign(body), **headers}
        return await client.post("/storefront/v1/webhooks/paypal", content=body, headers=given)

    # ---- the API

    async def answer(self, call: Call) -> Reply | None:
        try:
            kind, act = self._route(call)
            self.calls.append(kind)
            fault = self._faults[kind].pop(0) if self._faults[kind] else ""
            if kind == "token":
                return await self._told(fault, self._log_in(call))
            if call.headers.get("authorization", "").removeprefix("Bearer ") not in self._tokens:
                return Reply(401, {"error": "invalid_token", "error_description": "Token is not valid."})
            if fault == "limit":
                return Refusal(429, "RATE_LIMIT_REACHED", "RATE_LIMIT_REACHED").reply
            if call.method == "GET" or kind == "verify":
                return await self._told(fault, Reply(200, act(call.body)))
            return await self._once(call, act, fault)
        except Refusal as refusal:
            return refusal.reply

    def _route(self, call: Call) -> tuple[str, Callable[[bytes], Any]]:
        act: Callable[[bytes], Any]
        match call.method, call.path.strip("/").split("/"):
            case "POST", ["v1", "oauth2", "token"]:
                kind, act = "token", json.loads
            case "POST", ["v1", "notifications", "verify-webhook-signature"]:
                kind, act = "verify", self._verify
            case "POST", ["v2", "checkout", "orders"]:
                kind, act = "create", lambda body: self._create(json.loads(body))
            case "GET", ["v2", "checkout", "orders", reference]:
                kind, act = "get", lambda _: self._get(self.orders, reference)
            case "POST", ["v2", "checkout", "orders", reference, "capture"]:
                kind, act = "capture", lambda body: self._capture(reference, json.loads(body))
            case "GET", ["v2", "payments", "captures", reference]:
                kind, act = "get_capture", lambda _: self._get(self.captures, reference)
            case "GET", ["v1", "customer", "disputes"]:
                about = dict(call.params)["disputed_transaction_id"]
                kind, act = "list_disputes", lambda _: self._list_disputes(about)
            case "GET", ["v1", "customer", "disputes", reference]:
                kind, act = "get_dispute", lambda _: self._get(self.disputes, reference)
            case "POST", ["v2", "payments", "captures", reference, "refund"]:
                kind, act = "refund", lambda body: self._refund(reference, json.loads(body))
            case _:
                raise Refusal(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")
        if call.method == "POST" and kind != "token":
            assert call.headers.get("content-type") == "application/json", call.headers
        return kind, act

    def _log_in(self, call: Call) -> Reply:
        login = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if call.headers.get("authorization") != f"Basic {login}":
            return Reply(401, {"error": "invalid_client"})
        if dict(call.params) != {"grant_type": "client_credentials"}:
            return Reply(400, {"error": "unsupported_grant_type"})
        token = f"A21AA{secrets.token_urlsafe(32)}"
        self._tokens.add(token)
        return Reply(200, {"access_token": token, "token_type": "Bearer", "expires_in": self.token_seconds})

    async def _once(self, call: Call, act: Callable[[bytes], Any], fault: str) -> Reply | None:
        """One effect for one request id. After a 5xx a repeat is told what the first call came to."""
        key, print_ = call.headers.get("paypal-request-id", ""), (call.path, call.body)
        if not key or len(key) > 108:
            raise malformed("INVALID_PARAMETER_VALUE")
        if key in self._answers:
            before, reply = self._answers[key]
            if before != print_:
                raise unprocessable("DUPLICATE_REQUEST_ID")
            if reply is None:
                raise Refusal(409, "RESOURCE_CONFLICT", "PREVIOUS_REQUEST_IN_PROGRESS")
            return await self._told(fault, reply)
        if fault == "error":
            return broken()
        try:
            reply = Reply(201, copy.deepcopy(act(call.body)))
        except Refusal as refusal:
            reply = refusal.reply
        # While an answer hangs its request id is in use.
        self._answers[key] = (print_, None)
        told = await self._told(fault, reply)
        self._answers[key] = (print_, reply)
        return told

    async def _told(self, fault: str, reply: Reply) -> Reply | None:
        if fault == "hang":
            await self._released.wait()
        if fault in ("error", "error_after"):
            return broken()
        return None if fault == "cut" else reply

    def _create(self, given: Thing) -> Thing:
        (unit,) = given["purchase_units"]
        context = given["payment_source"]["paypal"]["experience_context"]
        known = (
            set(given) <= ORDER_FIELDS and set(unit) <= UNIT_FIELDS and set(context) <= CONTEXT_FIELDS
        ) and given["intent"] == "CAPTURE"
        if not known or not all(context[name].startswith("http") for name in ("return_url", "cancel_url")):
            raise malformed("INVALID_PARAMETER_VALUE")
        self._check_amount(unit["amount"])
        reference = new_id()
        order = {
            "id": reference,
            "intent": "CAPTURE",
            "status": "PAYER_ACTION_REQUIRED",
            "create_time": self._now(),
            "payment_source": {"paypal": {}},
            "purchase_units": [
                {
                    "reference_id": "default",
                    **unit,
                    "payee": {"merchant_id": self.merchant_id},
                    "payments": {"captures": [], "refunds": []},
                }
            ],
            "links": [
                link("self", f"{self.url}/v2/checkout/orders/{reference}"),
                link("payer-action", self.page_of(reference)),
            ],
        }
        self.orders[reference] = order
        return order

    def page_of(self, reference: str) -> str:
        return f"https://www.paypal.com/checkoutnow?token={reference}"

    def _check_amount(self, amount: Thing) -> None:
        currency, value = amount["currency_code"], amount["value"]
        if currency not in CURRENCIES:
            raise unprocessable("CURRENCY_NOT_SUPPORTED")
        decimals = value.partition(".")[2]
        if currency in WITHOUT_DECIMALS and decimals:
            raise unprocessable("DECIMALS_NOT_SUPPORTED")
        if len(decimals) > 2:
            raise unprocessable("DECIMAL_PRECISION")
        if not value.replace(".", "", 1).isdigit() or not float(value):
            raise unprocessable("CANNOT_BE_ZERO_OR_NEGATIVE")

    def _get(self, things: Mapping[str, Thing], reference: str) -> Thing:
        if reference not in things:
            raise Refusal(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")
        return things[reference]

    def _capture(self, reference: str, given: Thing) -> Thing:
        assert given == {}
        order = self._get(self.orders, reference)
        if order["status"] == "COMPLETED":
            raise unprocessable("ORDER_ALREADY_CAPTURED")
        if order["status"] != "APPROVED":
            raise unprocessable("ORDER_NOT_APPROVED")
        instrument = self._instruments[reference]
        if instrument == "refused":
            # The order stays as it is, and the shopper may choose another means at the same page.
            raise unprocessable("INSTRUMENT_DECLINED", [link("redirect", self.page_of(reference))])
        if instrument == "blocked":
            raise unprocessable("PAYER_ACCOUNT_RESTRICTED")
        unit = order["purchase_units"][0]
        capture: Thing = {
            "id": new_id(),
            "status": "PENDING",
            "amount": unit["amount"],
            "custom_id": unit["custom_id"],
            "payee": unit["payee"],
            "supplementary_data": {"related_ids": {"order_id": reference}},
            "links": [link("up", f"{self.url}/v2/checkout/orders/{reference}")],
        }
        unit["payments"]["captures"].append(capture)
        self.captures[capture["id"]] = capture
        order.update(status="COMPLETED", update_time=self._now())
        if instrument == "review":
            capture["status_details"] = {"reason": "PENDING_REVIEW"}
            self._tell("PAYMENT.CAPTURE.PENDING", "capture", capture)
        elif instrument == "failed":
            capture["status"] = "DECLINED"
            self._tell("PAYMENT.CAPTURE.DENIED", "capture", capture)
        else:
            self._take(reference, capture)
        return order

    def _take(self, reference: str, capture: Thing) -> None:
        capture["status"] = "COMPLETED"
        amount = capture["amount"]
        self.log.append(Taken(reference, capture["custom_id"], minor_of(amount), amount["currency_code"]))
        self._tell("PAYMENT.CAPTURE.COMPLETED", "capture", capture)

    def _refund(self, capture_id: str, given: Thing, *, status: str = "COMPLETED") -> Thing:
        capture = self._get(self.captures, capture_id)
        if not set(given) <= REFUND_FIELDS:
            raise malformed("INVALID_PARAMETER_VALUE")
        if capture["status"] not in ("COMPLETED", "PARTIALLY_REFUNDED"):
            raise unprocessable(
                "CAPTURE_FULLY_REFUNDED" if capture["status"] == "REFUNDED" else "NOT_CAPTURED"
            )
        self._check_amount(given["amount"])
        if given["amount"]["currency_code"] != capture["amount"]["currency_code"]:
            raise unprocessable("REFUND_CAPTURE_CURRENCY_MISMATCH")
        reference = capture["supplementary_data"]["related_ids"]["order_id"]
        left = minor_of(capture["amount"]) - self.refunded(reference)
        if minor_of(given["amount"]) > left:
            raise unprocessable("REFUND_AMOUNT_EXCEEDED")
        refund = {
            **copy.deepcopy(given),
            "id": new_id(),
            "status": status,
            "links": [link("up", f"{self.url}/v2/payments/captures/{capture_id}")],
        }
        self.orders[reference]["purchase_units"][0]["payments"]["refunds"].append(refund)
        self.refunds.append(refund)
        whole = minor_of(given["amount"]) == left
        capture["status"] = "REFUNDED" if whole else "PARTIALLY_REFUNDED"
        self._tell("PAYMENT.CAPTURE.REFUNDED", "refund", refund)
        return refund

    def _verify(self, body: bytes) -> Thing:
        if set(json.loads(body)) != QUESTION_FIELDS:
            raise malformed("INVALID_PARAMETER_VALUE")
        asked = msgspec.json.decode(body, type=_Question)
        good = asked.webhook_id == self.webhook_id and hmac.compare_digest(
            asked.transmission_sig,
            self._signature(
                asked.transmission_id, asked.transmission_time, asked.webhook_id, bytes(asked.webhook_event)
            ),
        )
        return {"verification_status": "SUCCESS" if good else "FAILURE"}

    def _signature(self, named: str, moment: str, webhook_id: str, body: bytes) -> str:
        """PayPal signs this text with RSA; here only the stand-in itself checks, so that a MAC does."""
        told = f"{named}|{moment}|{webhook_id}|{binascii.crc32(body)}"
        return base64.b64encode(hmac.digest(self._signing_key, told.encode(), hashlib.sha256)).decode()

    def _tell(self, kind: str, what: str, thing: Thing) -> None:
        self.events.append(
            {
                "id": f"WH-{secrets.token_hex(10).upper()}",
                "event_version": "1.0",
                "create_time": self._now(),
                "resource_type": what,
                "resource_version": "2.0",
                "event_type": kind,
                "resource": copy.deepcopy(thing),
            }
        )

    def _now(self) -> str:
        """A time that is another one at each look, as each change of an order has its own."""
        minutes, seconds = divmod(next(self._moments), 60)
        return f"2026-11-21T{minutes // 60 % 24:02}:{minutes % 60:02}:{seconds:02}Z"


@asynccontextmanager
async def paypal_stand_in(*, port: int = 0) -> AsyncIterator[PayPalStandIn]:
    """A running stand-in on loopback."""
    stand_in = PayPalStandIn()
    async with plain_server(stand_in.answer, port=port) as stand_in.url:
        yield stand_in
