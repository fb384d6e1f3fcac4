"""A strict stand-in for the part of Stripe's API that a shop uses; its own log of charges is the truth.

It keeps to what Stripe documents: keys and versions are demanded, unknown parameters refused, an
idempotency key is replayed (also a 402 or a 500) or refused for another request, a PaymentIntent moves only
as its states allow, and no more is refunded than was taken. Faults are set by call, and events are
made but not sent: tests send them, in any order and as often as they like.
"""

import asyncio
import copy
import hashlib
import hmac
import json
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.canaries import STRIPE_KEY, WEBHOOK_SECRET
from tests.standins.books import Taken
from tests.standins.stripe_kept import CARDS, Disputes, Intent, Kept, Refusal, invalid
from tests.standins.wire import Call, Reply, plain_server

PARAMETERS = {
    "create": {
        "amount",
        "currency",
        "automatic_payment_methods[enabled]",
        "capture_method",
        "automatic_payment_methods[allow_redirects]",
        "metadata[attempt]",
        "metadata[order_id]",
        "metadata[flow]",
        "customer",
        "setup_future_usage",
    },
    "confirm": {"payment_method", "use_stripe_sdk"},
    "capture": set(),
    "cancel": set(),
    "retrieve": {"expand[0]"},
    "make_customer": {"metadata[made_by]"},
    "delete_customer": set(),
    "detach": set(),
    "list": {"limit"},
    "search": {"query"},
    "refund": {"payment_intent", "amount", "metadata[refund]"},
    "list_refunds": {"payment_intent", "limit", "starting_after"},
    "list_disputes": {"payment_intent", "limit"},
}
CANCELLABLE = {"requires_payment_method", "requires_confirmation", "requires_action", "requires_capture"}


@dataclass
class StripeStandIn:
    """Faults by call: `error` (500, nothing done), `error_after` (500 though it was done), `cut` (done, no
    answer), `hang` (done, no answer until `release`), `limit` (429), `decline` (of a confirmation).
    """

    secret_key: str = STRIPE_KEY
    version: str = "2026-10-28.endive"
    webhook_secret: str = WEBHOOK_SECRET
    url: str = ""
    intents: dict[str, Intent] = field(default_factory=dict)
    refunds: list[dict[str, Any]] = field(default_factory=list)
    kept: Kept = field(default_factory=Kept)
    log: list[Taken] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    hidden_from_lists: bool = False  # as when the index of a search lags behind
    page_size: int = 100
    _faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _answers: dict[str, tuple[object, Reply | None]] = field(default_factory=dict)
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.disputes = Disputes(self._tell)

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

    def forget_keys(self) -> None:
        """A day has gone by: no idempotency key is known any more, and no failure repeated under it."""
        self._answers.clear()

    def authenticate(self, reference: str, *, success: bool = True) -> None:
        """What the shopper's bank does in the page."""
        intent = self.intents[reference]
        assert intent["status"] == "requires_action"
        if success:
            self._agree(intent)
        else:
            self._decline(intent, "payment_intent_authentication_failure", None)

    def pay_on_page(self, client_secret: str, card: str) -> str:
        """What Stripe's script in the page does with a client secret; the status."""
        intent = next(one for one in self.intents.values() if one["client_secret"] == client_secret)
        try:
            self._confirm(intent, {"payment_method": card})
        except Refusal:
            assert intent["last_payment_error"]
        status: str = intent["status"]
        return status

    def let_go(self, reference: str) -> None:
        """What happens to money that was held for seven days, or at somebody's wish at the service's own pages."""
        self._cancel(self._get(reference))

    def take_held(self, reference: str, amount: int | None = None) -> None:
        """Somebody captures a payment, or a part of it, at the service's own pages."""
        self._capture(self._get(reference), amount)

    def give_back(self, reference: str, amount: int, *, status: str = "succeeded") -> dict[str, Any]:
        """A refund that somebody makes at the service's own pages."""
        return self._refund({"payment_intent": reference, "amount": str(amount)}, status=status)

    def let_refund_fail(self, refund: dict[str, Any]) -> None:
        """The shopper's bank does not take the money, and it comes back to the account."""
        refund["status"] = "failed"
        self._tell("refund.updated", refund)
        self._tell("refund.failed", refund)

    def dispute(self, reference: str) -> dict[str, Any]:
        return self.disputes.open(self._get(reference))

    def events_about(self, reference: str) -> list[dict[str, Any]]:
        """The events of refunds and disputes of a payment."""
        return [event for event in self.events if event["data"]["object"].get("payment_intent") == reference]

    def events_of(self, reference: str, *kinds: str) -> list[dict[str, Any]]:
        return [
            event
            for event in self.events
            if event["data"]["object"]["id"] == reference and (not kinds or event["type"] in kinds)
        ]

    def sign(self, body: bytes, *, secret: str | None = None, at: int | None = None) -> str:
        stamp = int(time.time()) if at is None else at
        key = (secret or self.webhook_secret).encode()
        return f"t={stamp},v1={hmac.new(key, f'{stamp}.'.encode() + body, hashlib.sha256).hexdigest()}"

    async def send(self, client: httpx.AsyncClient, event: dict[str, Any], **signing: Any) -> httpx.Response:
        body = json.dumps(event).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": self.sign(body, **signing),
        }
        return await client.post("/storefront/v1/webhooks/stripe", content=body, headers=headers)

    # ---- the API

    async def answer(self, call: Call) -> Reply | None:
        try:
            self._check(call)
            kind, act = self._route(call)
            self.calls.append(kind)
            fault = self._faults[kind].pop(0) if self._faults[kind] else ""
            if fault == "limit":
                return invalid("rate_limit", "Too many requests.", 429).reply
            if call.method in ("GET", "DELETE"):
                return await self._told(fault, Reply(200, act(dict(call.params))))
            return await self._once(call, act, fault)
        except Refusal as refusal:
            return refusal.reply

    def _check(self, call: Call) -> None:
        if call.headers.get("authorization") != f"Bearer {self.secret_key}":
            raise invalid("api_key_invalid", "Invalid API Key provided.", 401)
        if call.headers.get("stripe-version") != self.version:
            raise invalid("version", "This request does not name the version that it was written for.")
        if call.method == "POST" and not call.headers.get("idempotency-key"):
            raise invalid("idempotency_key_missing", "A shop that may repeat itself sends a key.")

    def _route(self, call: Call) -> tuple[str, Callable[[dict[str, str]], Any]]:
        act: Callable[[dict[str, str]], Any]
        match call.method, call.path.strip("/").split("/"):
            case "POST", ["v1", "payment_intents"]:
                kind, act = "create", self._create
            case "GET", ["v1", "payment_intents"]:
                kind, act = "list", self._list
            case "GET", ["v1", "payment_intents", "search"]:
                kind, act = "search", self._search
            case "GET", ["v1", "payment_intents", reference]:
                kind, act = "retrieve", lambda given: self._retrieve(reference, given)
            case "POST", ["v1", "payment_intents", reference, "confirm"]:
                kind, act = "confirm", lambda given: self._confirm(self._get(reference), given)
            case "POST", ["v1", "payment_intents", reference, "capture"]:
                kind, act = "capture", lambda _: self._capture(self._get(reference))
            case "POST", ["v1", "payment_intents", reference, "cancel"]:
                kind, act = "cancel", lambda _: self._cancel(self._get(reference))
            case "POST", ["v1", "customers"]:
                kind, act = "make_customer", self.kept.make_customer
            case "DELETE", ["v1", "customers", reference]:
                kind, act = "delete_customer", lambda _: self.kept.delete_customer(reference)
            case "POST", ["v1", "payment_methods", reference, "detach"]:
                kind, act = "detach", lambda _: self.kept.detach(reference)
            case "POST", ["v1", "refunds"]:
                kind, act = "refund", self._refund
            case "GET", ["v1", "refunds"]:
                kind, act = "list_refunds", self._list_refunds
            case "GET", ["v1", "disputes"]:
                kind, act = "list_disputes", self.disputes.list
            case _:
                raise invalid("url_invalid", f"Unrecognized request URL ({call.method}: {call.path}).", 404)
        unknown = {name for name, _ in call.params} - PARAMETERS[kind]
        if unknown:
            raise invalid("parameter_unknown", f"Received unknown parameters: {sorted(unknown)}")
        return kind, act

    async def _once(self, call: Call, act: Callable[[dict[str, str]], Any], fault: str) -> Reply | None:
        """One effect for one key; what it answered is answered again, also a refused card or a failure."""
        key, print_ = call.headers["idempotency-key"], (call.path, call.params)
        if key in self._answers:
            before, reply = self._answers[key]
            if before != print_:
                raise Refusal(400, "idempotency_error", None, "Keys can only be used with the same request.")
            if reply is None:
                raise invalid("idempotency_key_in_use", "There is such a request in progress.", 409)
            return await self._told(fault, reply)
        broken = Reply(500, {"error": {"type": "api_error", "message": "Something went wrong."}})
        if fault == "error":
            self._answers[key] = (print_, broken)
            return broken
        given = dict(call.params)
        if fault == "decline":
            given["payment_method"] = "pm_card_chargeDeclined"
        try:
            reply = Reply(200, copy.deepcopy(act(given)))
        except Refusal as refusal:
            reply = refusal.reply
            if reply.status != 402:
                raise
        if fault == "error_after":
            reply = broken
        # While an answer hangs its key is in use.
        self._answers[key] = (print_, None)
        told = await self._told(fault, reply)
        self._answers[key] = (print_, reply)
        return told

    async def _told(self, fault: str, reply: Reply) -> Reply | None:
        if fault == "hang":
            await self._released.wait()
        if fault == "error":
            return Reply(500, {"error": {"type": "api_error", "message": "Something went wrong."}})
        return None if fault == "cut" else reply

    def _create(self, given: dict[str, str]) -> Intent:
        if not given.get("amount", "").isdigit() or int(given["amount"]) < 50:
            raise invalid("amount_too_small", "Amount must be at least 50 cents.")
        if given.get("capture_method", "automatic") not in ("automatic", "manual"):
            raise invalid("parameter_invalid", "Invalid capture_method.")
        if len(given.get("currency", "")) != 3 or given["currency"] != given["currency"].lower():
            raise invalid("parameter_invalid", "Invalid currency.")
        if "customer" in given and given["customer"] not in self.kept.customers:
            raise invalid("resource_missing", f"No such customer: '{given['customer']}'")
        if given.get("setup_future_usage", "on_session") not in ("on_session", "off_session"):
            raise invalid("parameter_invalid", "Invalid setup_future_usage.")
        reference = f"pi_{secrets.token_hex(12)}"
        intent: Intent = {
            "id": reference,
            "object": "payment_intent",
            "amount": int(given["amount"]),
            "amount_capturable": 0,
            "amount_received": 0,
            "capture_method": given.get("capture_method", "automatic"),
            "currency": given["currency"],
            "customer": given.get("customer"),
            "setup_future_usage": given.get("setup_future_usage"),
            "client_secret": f"{reference}_secret_{secrets.token_hex(12)}",
            "created": int(time.time()),
            "last_payment_error": None,
            "livemode": False,
            "metadata": {name[9:-1]: value for name, value in given.items() if name.startswith("metadata[")},
            "next_action": None,
            "payment_method": None,
            "status": "requires_payment_method",
        }
        self.intents[reference] = intent
        self._tell("payment_intent.created", intent)
        return intent

    def _get(self, reference: str) -> Intent:
        if reference not in self.intents:
            raise invalid("resource_missing", f"No such payment_intent: '{reference}'", 404)
        return self.intents[reference]

    def _retrieve(self, reference: str, given: dict[str, str]) -> Intent:
        intent = self._get(reference)
        if given.get("expand[0]", "payment_method") != "payment_method":
            raise invalid("parameter_invalid", "This property cannot be expanded.")
        if "expand[0]" not in given or intent["payment_method"] is None:
            return intent
        return {**intent, "payment_method": self.kept.methods[intent["payment_method"]]}

    def _list(self, given: dict[str, str]) -> dict[str, Any]:
        shown = [] if self.hidden_from_lists else list(self.intents.values())[::-1]
        most = int(given.get("limit", "10"))
        return {"object": "list", "data": shown[:most], "has_more": len(shown) > most}

    def _search(self, given: dict[str, str]) -> dict[str, Any]:
        name, _, value = given["query"].removeprefix("metadata['").partition("']:'")
        value = value.removesuffix("'")
        found = [one for one in self.intents.values() if one["metadata"].get(name) == value]
        return {
            "object": "search_result",
            "data": [] if self.hidden_from_lists else found,
            "has_more": False,
            "next_page": None,
        }

    def _confirm(self, intent: Intent, given: dict[str, str]) -> Intent:
        method = self.kept.method(intent, given.get("payment_method"))
        card = method["card_of"]
        if intent["status"] not in {"requires_payment_method", "requires_confirmation"}:
            raise invalid(
                "payment_intent_unexpected_state", "It cannot be confirmed now.", payment_intent=intent
            )
        intent["payment_method"] = method["id"]
        if (why := CARDS[card]) is not None:
            self._decline(intent, *why)
            error = intent["last_payment_error"]
            more = {name: value for name, value in error.items() if name == "decline_code"}
            raise Refusal(
                402,
                "card_error",
                error["code"],
                "Your card was declined.",
                payment_intent=copy.deepcopy(intent),
                **more,
            )
        if card == "pm_card_authenticationRequired":
            intent["status"] = "requires_action"
            intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
            self._tell("payment_intent.requires_action", intent)
        else:
            self._agree(intent)
        return intent

    def _capture(self, intent: Intent, amount: int | None = None) -> Intent:
        if intent["status"] != "requires_capture":
            raise invalid("payment_intent_unexpected_state", "It cannot be captured now.")
        self._take(intent, amount)
        return intent

    def _cancel(self, intent: Intent) -> Intent:
        if intent["status"] not in CANCELLABLE:
            raise invalid("payment_intent_unexpected_state", "It cannot be canceled now.")
        held = intent["amount_capturable"]
        intent.update(status="canceled", next_action=None, amount_capturable=0)
        self._tell("payment_intent.canceled", intent)
        if held:
            # What was only held is let go by a refund of its charge, which took nothing.
            self._tell(
                "charge.refunded", {**self._charge_of(intent), "amount": held, "amount_refunded": held}
            )
        return intent

    def _refund(self, given: dict[str, str], *, status: str = "succeeded") -> dict[str, Any]:
        intent = self._get(given["payment_intent"])
        if intent["status"] != "succeeded":
            raise invalid("charge_not_captured", "This payment took no money.")
        if self.disputes.stands(intent["id"]):
            raise invalid("charge_disputed", "This payment is disputed.")
        left = intent["amount_received"] - self.refunded(intent["id"])
        amount = int(given["amount"])
        if not left:
            raise invalid("charge_already_refunded", "It has already been refunded.")
        if not 0 < amount <= left:
            raise invalid("amount_too_large", f"Refund amount is greater than what is left ({left}).")
        refund = {
            "id": f"re_{secrets.token_hex(12)}",
            "object": "refund",
            "amount": amount,
            "currency": intent["currency"],
            "metadata": {"refund": given["metadata[refund]"]} if "metadata[refund]" in given else {},
            "payment_intent": intent["id"],
            "status": status,
        }
        self.refunds.append(refund)
        self._tell("refund.created", refund)
        self._tell("charge.refunded", self._charge_of(intent))
        return refund

    def _charge_of(self, intent: Intent) -> dict[str, Any]:
        return {
            "id": f"ch_{intent['id'].removeprefix('pi_')}",
            "object": "charge",
            "amount": intent["amount_received"],
            "amount_refunded": self.refunded(intent["id"]),
            "currency": intent["currency"],
            "livemode": False,
            "metadata": intent["metadata"],
            "payment_intent": intent["id"],
            "status": "succeeded",
        }

    def _list_refunds(self, given: dict[str, str]) -> dict[str, Any]:
        reference = self._get(given["payment_intent"])["id"]
        found = [one for one in self.refunds if one["payment_intent"] == reference][::-1]
        if "starting_after" in given:
            ids = [one["id"] for one in found]
            found = found[ids.index(given["starting_after"]) + 1 :]
        most = min(int(given.get("limit", "10")), self.page_size)
        return {"object": "list", "data": found[:most], "has_more": len(found) > most}

    def refunded(self, reference: str) -> int:
        """What has gone back of a payment, and stayed away."""
        return sum(
            one["amount"]
            for one in self.refunds
            if one["payment_intent"] == reference and one["status"] not in ("failed", "canceled")
        )

    def _agree(self, intent: Intent) -> None:
        """The shopper's bank says yes: the money is taken, or held where somebody captures it later."""
        method = self.kept.methods[intent["payment_method"]]
        method["used"] = True
        if intent["setup_future_usage"] and intent["customer"]:
            method["customer"] = intent["customer"]
        if intent["capture_method"] == "automatic":
            self._take(intent)
            return
        intent.update(
            status="requires_capture",
            amount_capturable=intent["amount"],
            next_action=None,
            last_payment_error=None,
        )
        self._tell("payment_intent.amount_capturable_updated", intent)

    def _take(self, intent: Intent, amount: int | None = None) -> None:
        intent.update(
            status="succeeded",
            amount_capturable=0,
            amount_received=amount or intent["amount"],
            next_action=None,
            last_payment_error=None,
        )
        self.log.append(
            Taken(intent["id"], intent["metadata"]["attempt"], intent["amount_received"], intent["currency"])
        )
        self._tell("payment_intent.succeeded", intent)

    def _decline(self, intent: Intent, code: str, decline_code: str | None) -> None:
        # What there is nothing to say of is not null in a failure: it is not there.
        said = {"decline_code": decline_code} if decline_code else {}
        intent.update(
            status="requires_payment_method",
            payment_method=None,
            next_action=None,
            last_payment_error={"type": "card_error", "code": code, **said},
        )
        self._tell("payment_intent.payment_failed", intent)

    def _tell(self, kind: str, thing: dict[str, Any]) -> None:
        self.events.append(
            {
                "id": f"evt_{secrets.token_hex(12)}",
                "object": "event",
                "api_version": self.version,
                "created": int(time.time()),
                "data": {"object": copy.deepcopy(thing)},
                "livemode": False,
                "pending_webhooks": 1,
                "request": {"id": None, "idempotency_key": None},
                "type": kind,
            }
        )


@asynccontextmanager
async def stripe_stand_in(*, port: int = 0) -> AsyncIterator[StripeStandIn]:
    """A running stand-in on loopback."""
    stand_in = StripeStandIn()
    async with plain_server(stand_in.answer, port=port) as stand_in.url:
        yield stand_in
