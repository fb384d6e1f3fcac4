"""What Stripe says of a dispute, in our terms: its amounts follow the charge, what it moved follows the account."""

from collections.abc import Sequence

from stripe import BalanceTransaction, Dispute

from app.domain.payments.services import DisputeMove, ServiceDispute
from app.integrations.stripe_amounts import from_stripe
from app.kit.money import is_currency


def read_disputes(disputes: Sequence[Dispute]) -> list[ServiceDispute] | None:
    """All of them; None where one has a sum that cannot be said in our terms."""
    found = [_read(dispute) for dispute in disputes]
    known = [dispute for dispute in found if dispute is not None]
    return known if len(known) == len(found) else None


def _read(dispute: Dispute) -> ServiceDispute | None:
    amount = _minor(dispute.amount, dispute.currency)
    moves = [_move(one) for one in dispute.balance_transactions]
    known = tuple(move for move in moves if move is not None)
    if amount is None or len(known) != len(moves):
        return None
    return ServiceDispute(dispute.id, amount, dispute.currency.upper(), dispute.status, dispute.reason, known)


def _move(moved: BalanceTransaction) -> DisputeMove | None:
    amount, fee = _minor(moved.amount, moved.currency), _minor(moved.fee, moved.currency)
    if amount is None or fee is None:
        return None
    return DisputeMove(moved.id, amount, fee, moved.currency.upper())


def _minor(amount: int, currency: str) -> int | None:
    """Negative sums too: their size is what Stripe's units are about."""
    code = currency.upper()
    size = from_stripe(abs(amount), code) if is_currency(code) else None
    return None if size is None else (size if amount >= 0 else -size)
