"""Two sets of books about the same money: ours, and the log of the company that took it."""

from sqlalchemy import text

from app.db.session import Sessions
from tests.standins.stripe import StripeStandIn

_PAYMENTS = text("SELECT key, reference, captured, currency, refunded FROM payments WHERE store_id = :store")


async def check_money(sessions: Sessions, store_id: int, stripe: StripeStandIn) -> None:
    """Charge by charge: what was taken for a store's attempts, and given back, is what the store wrote down."""
    async with sessions() as session:
        payments = [tuple(row) for row in await session.execute(_PAYMENTS, {"store": store_id})]
    keys = {row[0] for row in payments}
    log = [
        (one.attempt, one.reference, one.amount, one.currency.upper(), stripe.refunded(one.reference))
        for one in stripe.log
        if one.attempt in keys
    ]
    assert sorted(log) == sorted(row for row in payments if row[2])
