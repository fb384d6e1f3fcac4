"""How a referral balance is paid out: asked for by the customer, decided and paid by the shop.

What is asked for leaves the balance at once, so that nothing can be spent twice, and comes back where it
is refused. In the ledger it waits in the account `withdrawals` until it is paid out.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.accounts.referral import COSTS, balance_account
from app.domain.customers.models import Customer, Withdrawal
from app.domain.ledger.service import post_entries
from app.domain.stores.queries import StoreConfig
from app.kit.errors import NOT_FOUND, Conflict, Invalid, NotFound, declare

WAITING: Final = "withdrawals"
PAID_OUT: Final = "payouts"

BALANCE_TOO_SMALL: Final = declare(
    Invalid, "balance_too_small", "More is asked for than the balance holds; `balance` says what that is."
)
WITHDRAWAL_DECIDED: Final = declare(
    Conflict, "withdrawal_decided", "This withdrawal was decided otherwise before; `status` says how."
)

MOVES: Final[dict[str, frozenset[str]]] = {
    "requested": frozenset({"approved", "refused"}),
    "approved": frozenset({"paid", "refused"}),
    "paid": frozenset(),
    "refused": frozenset(),
}
# Which of them wait for somebody of the shop.
OPEN: Final = tuple(status for status, moves in MOVES.items() if moves)


class WithdrawalView(msgspec.Struct, frozen=True):
    """A withdrawal, and what is on the balance now. Minor units."""

    id: int
    amount: int
    currency: str
    status: str
    balance: int


async def request_withdrawal(
    session: AsyncSession, store: StoreConfig, customer_id: int, *, amount: int, now: datetime
) -> WithdrawalView:
    """Take an amount off the balance and ask the shop to pay it out.

    Raises Invalid balance_too_small. The UPDATE says whether there is enough, so parallel calls together
    never take more than there is.
    """
    balance = await session.scalar(
        update(Customer)
        .where(
            Customer.store_id == store.id,
            Customer.id == customer_id,
            Customer.closed_at.is_(None),
            Customer.referral_balance >= amount,
        )
        .values(referral_balance=Customer.referral_balance - amount)
        .returning(Customer.referral_balance)
    )
    if balance is None:
        left = await _read_balance(session, store.id, customer_id)
        raise Invalid.at("amount", BALANCE_TOO_SMALL, f"The balance holds {left}.", balance=left)
    withdrawal = Withdrawal(
        store_id=store.id,
        customer_id=customer_id,
        amount=amount,
        currency=store.currency,
        status="requested",
        created_at=now,
    )
    session.add(withdrawal)
    await session.flush()
    amounts = {balance_account(customer_id): amount, WAITING: -amount}
    await _post(session, withdrawal, "requested", amounts, now=now)
    return _view(withdrawal, balance)


async def get_withdrawal(
    session: AsyncSession, store_id: int, customer_id: int, withdrawal_id: int
) -> WithdrawalView:
    """A withdrawal of a customer's, as it stands. Raises NotFound."""
    found = await session.scalar(
        select(Withdrawal).where(
            Withdrawal.store_id == store_id,
            Withdrawal.customer_id == customer_id,
            Withdrawal.id == withdrawal_id,
        )
    )
    if found is None:
        raise NotFound(NOT_FOUND, "There is no such withdrawal.")
    return _view(found, await _read_balance(session, store_id, customer_id))


async def list_withdrawals(
    session: AsyncSession, store_id: int, *, statuses: Sequence[str] | None
) -> Sequence[Withdrawal]:
    """The withdrawals of a store with these statuses, the oldest first; None is all of them."""
    query = select(Withdrawal).where(Withdrawal.store_id == store_id).order_by(Withdrawal.id)
    if statuses is not None:
        query = query.where(Withdrawal.status.in_(statuses))
    return (await session.scalars(query)).all()


async def approve_withdrawal(
    session: AsyncSession, store_id: int, withdrawal_id: int, *, now: datetime
) -> Withdrawal:
    """Say that a withdrawal will be paid. Raises NotFound, and Conflict withdrawal_decided; twice is fine."""
    withdrawal, _ = await _move(session, store_id, withdrawal_id, "approved", now=now)
    return withdrawal


async def refuse_withdrawal(
    session: AsyncSession, store_id: int, withdrawal_id: int, *, note: str, now: datetime
) -> Withdrawal:
    """Refuse a withdrawal that was not paid yet: its amount comes back to the balance, once. Errors as approve.

    Also where the account was closed meanwhile: what is owed stays owed.
    """
    withdrawal, moved = await _move(session, store_id, withdrawal_id, "refused", now=now)
    if moved:
        withdrawal.note = note
        await session.execute(
            update(Customer)
            .where(Customer.store_id == store_id, Customer.id == withdrawal.customer_id)
            .values(referral_balance=Customer.referral_balance + withdrawal.amount)
        )
        amounts = {WAITING: withdrawal.amount, balance_account(withdrawal.customer_id): -withdrawal.amount}
        await _post(session, withdrawal, "refused", amounts, now=now)
    return withdrawal


async def mark_withdrawal_paid(
    session: AsyncSession, store_id: int, withdrawal_id: int, *, now: datetime
) -> Withdrawal:
    """Write down that an approved withdrawal was paid out. Errors as approve; twice is fine."""
    withdrawal, moved = await _move(session, store_id, withdrawal_id, "paid", now=now)
    if moved:
        amounts = {WAITING: withdrawal.amount, PAID_OUT: -withdrawal.amount}
        await _post(session, withdrawal, "paid", amounts, now=now)
    return withdrawal


async def give_up_balance(session: AsyncSession, customer: Customer, *, currency: str, now: datetime) -> None:
    """Book what is left on a balance back to the shop: its customer closes the account and lets it go."""
    left = customer.referral_balance
    if left:
        customer.referral_balance = 0
        await post_entries(
            session,
            customer.store_id,
            key=f"referral-given-up-{customer.id}",
            currency=currency,
            amounts={balance_account(customer.id): left, COSTS: -left},
            order_id=None,
            now=now,
        )


async def _move(
    session: AsyncSession, store_id: int, withdrawal_id: int, new: str, *, now: datetime
) -> tuple[Withdrawal, bool]:
    """Write a status under the row's lock; whether it is news. The only place that does."""
    withdrawal = await session.scalar(
        select(Withdrawal)
        .where(Withdrawal.store_id == store_id, Withdrawal.id == withdrawal_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if withdrawal is None:
        raise NotFound(NOT_FOUND, "There is no such withdrawal.")
    if withdrawal.status == new:
        return withdrawal, False
    if new not in MOVES[withdrawal.status]:
        raise Conflict(
            WITHDRAWAL_DECIDED, f"This withdrawal is {withdrawal.status}.", status=withdrawal.status
        )
    withdrawal.status = new
    withdrawal.decided_at = now
    return withdrawal, True


async def _post(
    session: AsyncSession, withdrawal: Withdrawal, step: str, amounts: dict[str, int], *, now: datetime
) -> None:
    await post_entries(
        session,
        withdrawal.store_id,
        key=f"withdrawal-{withdrawal.id}-{step}",
        currency=withdrawal.currency,
        amounts=amounts,
        order_id=None,
        now=now,
    )


async def _read_balance(session: AsyncSession, store_id: int, customer_id: int) -> int:
    found: int | None = await session.scalar(
        select(Customer.referral_balance).where(Customer.store_id == store_id, Customer.id == customer_id)
    )
    return found or 0


def _view(withdrawal: Withdrawal, balance: int) -> WithdrawalView:
    return WithdrawalView(withdrawal.id, withdrawal.amount, withdrawal.currency, withdrawal.status, balance)
