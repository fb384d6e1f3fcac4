"""The ledger: balanced, append-only, each movement once."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.db.session import transaction
from app.domain.ledger.service import post_entries
from app.kit.clock import utc_now


async def post(sessions, store, key="sale", **amounts):
    async with transaction(sessions) as session:
        return await post_entries(
            session,
            store.id,
            key=key,
            currency="USD",
            amounts=amounts,
            order_id=None,
            now=utc_now(),
        )


async def test_a_movement_is_written_once(sessions, store):
    assert await post(sessions, store, cash=100, sales=-100)
    assert not await post(sessions, store, cash=100, sales=-100)
    async with sessions() as session:
        total = await session.scalar(
            text("SELECT sum(amount) FROM ledger_entries WHERE store_id = :id AND account = 'cash'"),
            {"id": store.id},
        )
    assert total == 100


async def test_an_unbalanced_movement_is_refused_by_code_and_by_the_database(sessions, store):
    with pytest.raises(ValueError, match="sum to zero"):
        await post(sessions, store, cash=100, sales=-99)
    async with sessions() as session:
        made = await session.scalar(
            text("INSERT INTO ledger_transactions (store_id, key) VALUES (:id, 'x') RETURNING id"),
            {"id": store.id},
        )
        with pytest.raises(DBAPIError, match="sum to zero"):
            await session.execute(
                text(
                    "INSERT INTO ledger_entries (store_id, transaction_id, account, currency, amount) "
                    "VALUES (:id, :made, 'cash', 'USD', 5)"
                ),
                {"id": store.id, "made": made},
            )


@pytest.mark.parametrize("statement", ["UPDATE ledger_entries SET amount = 0", "DELETE FROM ledger_entries"])
async def test_the_ledger_cannot_be_changed(sessions, store, statement):
    await post(sessions, store, cash=100, sales=-100)
    async with sessions() as session:
        with pytest.raises(DBAPIError, match="append-only"):
            await session.execute(text(statement))
