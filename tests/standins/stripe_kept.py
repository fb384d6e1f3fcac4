"""What the stand-in for Stripe keeps for customers, whom it lets pay with it, what is disputed, and how it refuses."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.standins.wire import Reply

Intent = dict[str, Any]

CARDS = {
    "pm_card_visa": None,
    "pm_card_mastercard": None,
    "pm_card_authenticationRequired": None,
    "pm_card_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", None),
}


class Refusal(Exception):  # noqa: N818 - what the API answers, not an error of ours
    def __init__(self, status: int, kind: str, code: str | None, message: str, **more: Any) -> None:
        super().__init__(message)
        self.reply = Reply(status, {"error": {"type": kind, "code": code, "message": message, **more}})


def invalid(code: str, message: str, status: int = 400, **more: Any) -> Refusal:
    return Refusal(status, "invalid_request_error", code, message, **more)


@dataclass
class Kept:
    """Customers, and the PaymentMethods that were made, attached to one of them or to nobody."""

    customers: dict[str, dict[str, Any]] = field(default_factory=dict)
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)

    def make_customer(self, given: dict[str, str]) -> dict[str, Any]:
        made = {
            "id": f"cus_{secrets.token_hex(7)}",
            "object": "customer",
            "metadata": {"made_by": given["metadata[made_by]"]},
        }
        self.customers[made["id"]] = made
        return made

    def delete_customer(self, reference: str) -> dict[str, Any]:
        if self.customers.pop(reference, None) is None:
            raise invalid("resource_missing", f"No such customer: '{reference}'", 404)
        for method in self.methods.values():
            if method["customer"] == reference:
                method.update(customer=None, used=True)
        return {"id": reference, "object": "customer", "deleted": True}

    def detach(self, reference: str) -> dict[str, Any]:
        method = self.methods.get(reference)
        if method is None or method["customer"] is None:
            raise invalid("resource_missing", "It is not attached to a customer.")
        method.update(customer=None, used=True)
        return method

    def method(self, intent: Intent, named: str | None) -> dict[str, Any]:
        """A test card makes a PaymentMethod of its own; one that is kept is for its customer's payments only."""
        method = self.methods.get(named or "")
        if method is None:
            if named not in CARDS:
                raise invalid("resource_missing", f"No such PaymentMethod: '{named}'")
            method = {
                "id": f"pm_{secrets.token_hex(12)}",
                "object": "payment_method",
                "type": "card",
                "card": {"brand": "visa", "last4": "4242", "exp_month": 8, "exp_year": 2031},
                "customer": None,
                "card_of": named,
                "used": False,
            }
            self.methods[method["id"]] = method
        elif method["used"] and method["customer"] is None:
            raise invalid("invalid_request", "It was used or detached before, and may not be used again.")
        elif method["customer"] is not None and method["customer"] != intent["customer"]:
            raise invalid("resource_missing", "The customer does not have a payment method with this ID.")
        return method


@dataclass
class Disputes:
    """What shoppers' banks dispute; tell is how events come about."""

    tell: Callable[[str, dict[str, Any]], None]
    made: list[dict[str, Any]] = field(default_factory=list)

    def open(self, intent: Intent) -> dict[str, Any]:
        """The shopper's bank asks for the money back, and takes it for now, with a fee of 15.00."""
        dispute = {
            "id": f"du_{secrets.token_hex(12)}",
            "object": "dispute",
            "amount": intent["amount_received"],
            "balance_transactions": [],
            "currency": intent["currency"],
            "livemode": False,
            "metadata": {},
            "payment_intent": intent["id"],
            "reason": "fraudulent",
            "status": "needs_response",
        }
        self.made.append(dispute)
        self.tell("charge.dispute.created", dispute)
        self._move(dispute, "charge.dispute.funds_withdrawn", -dispute["amount"], fee=1500)
        return dispute

    def decide(self, dispute: dict[str, Any], status: str) -> None:
        """`won` brings the money back, without the fee; `lost` leaves it where it is."""
        assert dispute["status"] in ("needs_response", "under_review")
        dispute["status"] = status
        self.tell("charge.dispute.closed", dispute)
        if status == "won":
            self._move(dispute, "charge.dispute.funds_reinstated", dispute["amount"], fee=0)

    def stands(self, reference: str) -> bool:
        """Whether the money of a payment is with the bank, so that it cannot be given back as well."""
        return any(one["payment_intent"] == reference and one["status"] != "won" for one in self.made)

    def _move(self, dispute: dict[str, Any], kind: str, amount: int, *, fee: int) -> None:
        dispute["balance_transactions"].append(
            {
                "id": f"txn_{secrets.token_hex(12)}",
                "object": "balance_transaction",
                "amount": amount,
                "currency": dispute["currency"],
                "fee": fee,
                "net": amount - fee,
                "type": "adjustment",
            }
        )
        self.tell(kind, dispute)

    def list(self, given: dict[str, str]) -> dict[str, Any]:
        found = [one for one in self.made if one["payment_intent"] == given["payment_intent"]][::-1]
        return {"object": "list", "data": found, "has_more": False}
