"""What PayPal says of a dispute, in our terms: how it stands, and what it moved on the shop's account.

A movement has no number of its own, so it is known by what it says and by how many of its like came before it.
What settles a dispute PayPal may list among the refunds of the payment as well: it is one money, said so here and
booked once.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from app.domain.payments.services import DisputeMove, ServiceDispute
from app.integrations.paypal_amounts import from_paypal
from app.integrations.paypal_shapes import Money

RESOLVED: Final = "RESOLVED"
_NOTHING: Final = re.compile(r"0{1,15}(\.0{1,4})?")


class _Transaction(msgspec.Struct, frozen=True):
    seller_transaction_id: str | None = None


class _Outcome(msgspec.Struct, frozen=True):
    outcome_code: str = ""


class _Movement(msgspec.Struct, frozen=True):
    """One of `money_movements`, or of `fund_movements`, which are to take their place and name the party otherwise."""

    affected_party: str = ""
    party: str = ""
    amount: Money = Money()
    type: str = ""
    reason: str = ""


class Dispute(msgspec.Struct, frozen=True):
    """A dispute as an event brings it, and as it is shown when it is asked for."""

    dispute_id: str = ""
    status: str = ""
    reason: str = ""
    dispute_amount: Money = Money()
    dispute_outcome: _Outcome | None = None
    disputed_transactions: tuple[_Transaction, ...] = ()
    money_movements: tuple[_Movement, ...] = ()
    fund_movements: tuple[_Movement, ...] = ()

    @property
    def capture_id(self) -> str | None:
        """The payment that it is about."""
        return self.disputed_transactions[0].seller_transaction_id if self.disputed_transactions else None


class Listed(msgspec.Struct, frozen=True):
    """What the list of disputes says: which there are."""

    items: tuple[Dispute, ...] = ()


def read_dispute(dispute: Dispute) -> ServiceDispute | None:
    """A dispute in our terms; None where a sum of it cannot be said in them."""
    amount = _minor(dispute.dispute_amount)
    moves = list(_moves(dispute))
    known = tuple(move for move in moves if move is not None)
    if not dispute.dispute_id or amount is None or len(known) != len(moves):
        return None
    return ServiceDispute(
        dispute.dispute_id,
        amount,
        dispute.dispute_amount.currency_code,
        _stands(dispute),
        dispute.reason.lower(),
        known,
    )


def _minor(money: Money) -> int | None:
    """Minor units, of nothing too; None where they cannot say it."""
    return from_paypal(money.value, money.currency_code) or (0 if _NOTHING.fullmatch(money.value) else None)


def _stands(dispute: Dispute) -> str:
    """PayPal's word for it: of one that is over, how it ended."""
    outcome = dispute.dispute_outcome.outcome_code if dispute.dispute_outcome else ""
    ended = dispute.status == RESOLVED and outcome not in ("", "NONE")
    return (outcome if ended else dispute.status).lower()


def _moves(dispute: Dispute) -> Iterator[DisputeMove | None]:
    seen: Counter[str] = Counter()
    movements: Sequence[_Movement] = dispute.money_movements or dispute.fund_movements
    for one in movements:
        if "SELLER" not in (one.affected_party, one.party):
            continue
        currency = one.amount.currency_code
        amount = _minor(one.amount)
        if amount == 0:
            continue
        if amount is None or one.type not in ("DEBIT", "CREDIT"):
            yield None
            continue
        is_fee = one.reason.endswith("_FEE")
        name = f"{dispute.dispute_id}-{one.type}-{'fee' if is_fee else 'sum'}-{amount}{currency}".lower()
        seen[name] += 1
        taken = amount if one.type == "DEBIT" else -amount
        yield DisputeMove(
            reference=f"{name}-{seen[name]}",
            amount=0 if is_fee else -taken,
            fee=taken if is_fee else 0,
            currency=currency,
            may_be_refund=not is_fee and taken > 0,
        )
