"""How a movement of money is written: once per key, all its entries in one statement."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.statements import Statement
from app.domain.ledger.models import LedgerTransaction


def payments_account(service: str, source_id: int | None = None) -> str:
    """The account of what is paid by a service, or with one gift card or credit.

    What is on such a card or credit is a debt of the shop: the account's sum, with its sign turned.
    """
    return f"payments:{service}" if source_id is None else f"payments:{service}:{source_id}"


def posted(*, once: str = "") -> str:
    """How a movement is written, as a part of any statement: nothing without entries, or where the key was posted
    before. `once` names what has a row where it is to be written.
    """
    return f"""
    made AS (
        INSERT INTO ledger_transactions (store_id, key, order_id, at)
        SELECT :store_id, :key, CAST(:order_id AS bigint), CAST(:now AS timestamptz)
        {once and f"FROM {once}"} WHERE cardinality(CAST(:accounts AS text[])) > 0
        ON CONFLICT (store_id, key) DO NOTHING
        RETURNING id
    ),
    posted AS (
        INSERT INTO ledger_entries (store_id, transaction_id, account, currency, amount, order_id)
        SELECT :store_id, made.id, e.account, :currency, e.amount, CAST(:order_id AS bigint)
        FROM made, unnest(CAST(:accounts AS text[]), CAST(:amounts AS bigint[])) AS e (account, amount)
    )
    """  # noqa: S608 - names of our own


_POST: Final = Statement(f"WITH {posted()} SELECT id FROM made")  # noqa: S608 - words of our own


def posted_values(key: str, currency: str, amounts: Mapping[str, int]) -> dict[str, Any]:
    """The values of `posted` beside store, order and time, for {account: minor units}.

    Raises ValueError where the amounts do not sum to zero; the database would refuse them too.
    """
    entries = {account: amount for account, amount in amounts.items() if amount}
    if sum(entries.values()) != 0:
        raise ValueError(f"ledger transaction {key} does not sum to zero")
    return {
        "key": key,
        "currency": currency,
        "accounts": list(entries),
        "amounts": list(entries.values()),
    }


async def post_entries(
    session: AsyncSession,
    store_id: int,
    *,
    key: str,
    currency: str,
    amounts: Mapping[str, int],
    order_id: int | None,
    now: datetime,
) -> bool:
    """Write a balanced transaction, {account: minor units}; False where this key was posted before.

    Raises as posted_values does.
    """
    values = posted_values(key, currency, amounts)
    if not values["accounts"]:
        return False
    made = await _POST.row(session, store_id=store_id, order_id=order_id, now=now, **values)
    return made is not None


async def is_posted(session: AsyncSession, store_id: int, key: str) -> bool:
    """Whether a transaction of this key was ever written."""
    found = await session.scalar(
        select(LedgerTransaction.id).where(
            LedgerTransaction.store_id == store_id, LedgerTransaction.key == key
        )
    )
    return found is not None
