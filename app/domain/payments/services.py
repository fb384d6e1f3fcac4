"""What a payment service is to us: it charges, says what became of a charge, and gives money back."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import msgspec


class Charge(msgspec.Struct, frozen=True):
    """One attempt as the service is told of it. key is its idempotency key; amount in minor units."""

    key: str
    amount: int
    currency: str
    token: str
    order_id: int
    checkout_token: str
    email: str
    return_url: str
    # Only hold the money, where the service can; it is captured by a call of its own.
    later: bool = False
    # The service's customer whose saved means the token is, or for whom it is to be saved with `save`.
    customer: str = ""
    save: bool = False


class Captured(msgspec.Struct, frozen=True, tag="captured"):
    """The money was taken: this much, in this currency, under this reference of the service."""

    reference: str
    amount: int
    currency: str


class Authorized(msgspec.Struct, frozen=True, tag="authorized"):
    """The money is held for us and not taken: this much, in this currency, under this reference of the service."""

    reference: str
    amount: int
    currency: str


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The service will not take the money on this attempt; another attempt may do."""

    reason: str
    reference: str | None = None


class ActionNeeded(msgspec.Struct, frozen=True, tag="action_needed"):
    """The shopper has a step to do; action is what the page needs for it."""

    reference: str
    action: dict[str, Any]


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """The service has not said. Only its answer ends this state."""

    reason: str
    reference: str | None = None


class Unheard(msgspec.Struct, frozen=True, tag="unheard"):
    """The service has never heard of this key: nothing was charged and, the attempt being over, nothing will be."""


class ServiceRefund(msgspec.Struct, frozen=True):
    """Money on its way back, or back; failed: it came to the service again, or never left it. Minor units.

    One that the service refused to make has no reference there, and bears the key that it was asked for with.
    """

    reference: str
    amount: int
    currency: str
    failed: bool = False


class DisputeMove(msgspec.Struct, frozen=True):
    """Money that a dispute moved on the account: below 0 it was taken, above it came back. Minor units.

    fee is what the service asked for it; below 0 it gave a fee back. The currency is the account's. may_be_refund: the
    service may list the same money among the payment's refunds, too.
    """

    reference: str
    amount: int
    fee: int
    currency: str
    may_be_refund: bool = False


class ServiceDispute(msgspec.Struct, frozen=True):
    """A dispute as it stands at the service: about how much of the payment, and what it moved so far."""

    reference: str
    amount: int
    currency: str
    status: str
    reason: str
    moves: tuple[DisputeMove, ...]


class GivenBack(msgspec.Struct, frozen=True, tag="given_back"):
    """Something happened to the refunds of this payment of the service; which there are, it is asked.

    said is one that it may not name then: money that a bank took back.
    """

    reference: str
    said: ServiceRefund | None = None


class Approved(msgspec.Struct, frozen=True, tag="approved"):
    """The shopper has agreed at the service, which takes the money once it is asked about the attempt."""

    reference: str


class Contested(msgspec.Struct, frozen=True, tag="contested"):
    """Something happened to the disputes of this payment of the service; how they stand, it is asked.

    said is how one stood as this was told, without what it moved.
    """

    reference: str
    said: ServiceDispute | None = None


Outcome = Captured | Authorized | Refused | ActionNeeded | Unknown
Finding = Outcome | Unheard


class ServiceEvent(msgspec.Struct, frozen=True):
    """An event whose signature was checked: which attempt it speaks of, and what became of that.

    key is empty where the service names the attempt by its own reference only. finding None is a kind of
    event that has no effect here; it is kept all the same.
    """

    event_id: str
    kind: str
    key: str
    finding: Captured | Authorized | Refused | Approved | GivenBack | Contested | None


class PaymentService(Protocol):
    """A service that takes money at once. Calls never raise for the service's own trouble: that is Unknown."""

    name: str

    def public_settings(self) -> dict[str, Any]:
        """What the page needs to know, as the public key."""
        ...

    def takes(self, amount: int, currency: str) -> bool:
        """Whether exactly so much (minor units) of a currency can be taken; of 0, whether any of it can."""
        ...

    async def charge(self, charge: Charge) -> Outcome:
        """Charge, or answer again what became of the charge with this key."""
        ...

    async def find(self, key: str, reference: str | None) -> Finding:
        """What became of a charge. One that the shopper has agreed to, and that waits for us, is taken now."""
        ...

    async def cancel(self, key: str, reference: str | None) -> Finding:
        """End an attempt that waits for the shopper; Captured where the money was taken before."""
        ...

    async def refund(self, key: str, reference: str, amount: int, currency: str) -> ServiceRefund | None:
        """Give money back once per key; the refund, `failed` where it is refused, None where the answer is not known."""
        ...

    async def list_refunds(self, reference: str) -> Sequence[ServiceRefund] | None:
        """Every refund of a payment, whoever made it, as far as the service keeps them; None where not known."""
        ...

    async def close(self) -> None:
        """Let go of connections, at the end of the process."""
        ...

    async def read_event(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> ServiceEvent:
        """Check an event's signature on its raw body; may ask the service, so never within a transaction.

        Raises Forbidden bad_signature, Invalid for nonsense, Unavailable where the service did not answer.
        """
        ...


@runtime_checkable
class HoldsMoney(Protocol):
    """A service that can hold the money first and take it later. What it says of a charge may be Authorized."""

    async def capture(self, reference: str) -> Finding:
        """Take the whole of what is held, once; what became of it, also where it is over."""
        ...

    async def void(self, reference: str) -> Finding:
        """Let go of what is held; Captured where the money was taken before."""
        ...


class ServiceMethod(msgspec.Struct, frozen=True):
    """A means of payment as the service keeps it; customer is empty where it is kept for nobody."""

    reference: str
    customer: str
    kind: str
    brand: str = ""
    last_four: str = ""
    exp_month: int | None = None
    exp_year: int | None = None


@runtime_checkable
class KeepsMethods(Protocol):
    """A service that keeps means of payment for those who want to pay with them again."""

    async def make_customer(self, key: str) -> str | None:
        """A new customer of the service, once for each key; its reference, None where the answer is not known."""
        ...

    async def find_method(self, reference: str) -> ServiceMethod | None:
        """What a charge was paid with; None where the answer is not known."""
        ...

    async def forget_method(self, reference: str) -> bool:
        """Keep a means of payment no longer; True also where it was gone before, False where that is not known."""
        ...

    async def forget_customer(self, reference: str) -> bool:
        """Forget a customer with all that is kept for them; as forget_method."""
        ...


@runtime_checkable
class TellsDisputes(Protocol):
    """A service that can be asked how the disputes of a payment stand."""

    async def list_disputes(self, reference: str) -> Sequence[ServiceDispute] | None:
        """Every dispute of a payment with what it moved; None where the answer is not known."""
        ...
