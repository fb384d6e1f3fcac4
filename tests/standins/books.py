"""Two sets of books about the same money: ours, and the log of the company that took it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import text

from app.db.session import Sessions

_PAYMENTS = text("SELECT key, reference, captured, currency, refunded FROM payments WHERE store_id = :store")


@dataclass(frozen=True)
class Taken:
    """Money that was taken, once; minor units."""

    reference: str
    attempt: str
    amount: int
    currency: str


class Books(Protocol):
    """What a stand-in writes down by itself, and nobody else can."""

    @property
    def log(self) -> Sequence[Taken]: ...

    def refunded(self, reference: str) -> int:
        """What has gone back of a payment, and stayed away."""
        ...


async def check_money(sessions: Sessions, store_id: int, service: Books) -> None:
    """Charge by charge: what was taken for a store's attempts, and given back, is what the store wrote down."""
    async with sessions() as session:
        payments = [tuple(row) for row in await session.execute(_PAYMENTS, {"store": store_id})]
    keys = {row[0] for row in payments}
    log = [
        (one.attempt, one.reference, one.amount, one.currency.upper(), service.refunded(one.reference))
        for one in service.log
        if one.attempt in keys
    ]
    assert sorted(log) == sorted(row for row in payments if row[2])
