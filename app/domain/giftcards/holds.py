"""How a part of a card or credit is held while a checkout is paid, and then spent or given back, exactly once.

`held` is raised by one conditional UPDATE whose WHERE says there is enough, with CHECKs behind it, so no number of
parallel checkouts gets below zero. Whoever calls holds the checkout's lock. A card's row is locked before a
credit's, and both after the order and before promotions and stock.
"""

from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.giftcards.split import GIFT_CARD, KINDS, STORE_CREDIT, Balances, Kind, Split

_USABLE: Final = "g.disabled_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > :now)"

_READ: Final = text(
    f"""
    SELECT g.last_four, c.balance - c.held AS credit,
        CASE WHEN g.currency = :currency AND {_USABLE} THEN g.balance - g.held ELSE 0 END AS card
    FROM (SELECT) one
    LEFT JOIN gift_cards g ON g.store_id = :store_id AND g.id = CAST(:card_id AS bigint)
    LEFT JOIN store_credits c ON c.store_id = :store_id AND c.customer_id = CAST(:customer_id AS bigint)
        AND c.currency = :currency
    """  # noqa: S608 - words of our own
)

_KEEP_HOLD: Final = """
    INSERT INTO balance_holds (store_id, checkout_id, kind, source_id, amount, created_at)
    SELECT :store_id, :checkout_id, :kind, taken.id, :amount, :now FROM taken
    RETURNING source_id
"""
_HOLD: Final = {
    GIFT_CARD: text(
        f"""
        WITH taken AS (
            UPDATE gift_cards g SET held = g.held + :amount
            WHERE g.store_id = :store_id AND g.id = :card_id AND g.currency = :currency AND {_USABLE}
              AND g.balance - g.held >= :amount
            RETURNING g.id
        ) {_KEEP_HOLD}
        """  # noqa: S608 - words of our own
    ),
    STORE_CREDIT: text(
        f"""
        WITH taken AS (
            UPDATE store_credits c SET held = c.held + :amount
            WHERE c.store_id = :store_id AND c.customer_id = :customer_id AND c.currency = :currency
              AND c.balance - c.held >= :amount
            RETURNING c.id
        ) {_KEEP_HOLD}
        """  # noqa: S608 - words of our own
    ),
}

_TABLES: Final[dict[Kind, str]] = {GIFT_CARD: "gift_cards", STORE_CREDIT: "store_credits"}
_END: Final = """
    WITH ended AS (
        DELETE FROM balance_holds
        WHERE store_id = :store_id AND checkout_id = :checkout_id AND kind = '{kind}'
        RETURNING source_id, amount
    )
    UPDATE {table} t SET {change} FROM ended
    WHERE t.store_id = :store_id AND t.id = ended.source_id
    RETURNING t.id AS source_id, ended.amount
"""
_SPEND: Final = {
    kind: text(
        _END.format(
            kind=kind, table=table, change="balance = t.balance - ended.amount, held = t.held - ended.amount"
        )
    )
    for kind, table in _TABLES.items()
}
_RELEASE: Final = {
    kind: text(_END.format(kind=kind, table=table, change="held = t.held - ended.amount"))
    for kind, table in _TABLES.items()
}


class Source(msgspec.Struct, frozen=True):
    """Which card and whose credit a checkout draws on; None for what it does not."""

    card_id: int | None
    customer_id: int | None

    def __bool__(self) -> bool:
        return self.card_id is not None or self.customer_id is not None


class Spent(msgspec.Struct, frozen=True):
    """What was taken off a card or credit for good. Minor units."""

    kind: Kind
    source_id: int
    amount: int


async def read_balances(
    session: AsyncSession, store_id: int, source: Source, *, currency: str, now: datetime
) -> Balances:
    """What can be spent of them now; one statement, and none where nothing is drawn on."""
    if not source:
        return Balances()
    values = {"store_id": store_id, "currency": currency, "now": now, **msgspec.structs.asdict(source)}
    row = (await session.execute(_READ, values)).one()
    return Balances(
        card=None if row.last_four is None else row.card,
        credit=None if source.customer_id is None else row.credit or 0,
        last_four=row.last_four or "",
    )


async def hold_parts(
    session: AsyncSession,
    store_id: int,
    source: Source,
    split: Split,
    *,
    checkout_id: int,
    currency: str,
    now: datetime,
) -> bool:
    """Hold what a card and credit pay of a checkout; False, and nothing held, where there is not enough any more."""
    for kind, amount in split.parts().items():
        values: dict[str, Any] = {
            "store_id": store_id,
            "checkout_id": checkout_id,
            "kind": kind,
            "amount": amount,
            "currency": currency,
            "now": now,
            **({"card_id": source.card_id} if kind == GIFT_CARD else {"customer_id": source.customer_id}),
        }
        if (await session.execute(_HOLD[kind], values)).first() is None:
            await release_parts(session, store_id, checkout_id=checkout_id)
            return False
    return True


async def spend_parts(session: AsyncSession, store_id: int, *, checkout_id: int) -> list[Spent]:
    """Take what a checkout holds off card and credit for good; empty where it holds nothing, as the second time."""
    return await _end(session, _SPEND, store_id, checkout_id)


async def release_parts(session: AsyncSession, store_id: int, *, checkout_id: int) -> None:
    """Let card and credit have back what a checkout holds; the second time nothing happens."""
    await _end(session, _RELEASE, store_id, checkout_id)


async def _end(session: AsyncSession, statements: Any, store_id: int, checkout_id: int) -> list[Spent]:
    values = {"store_id": store_id, "checkout_id": checkout_id}
    ended: list[Spent] = []
    for kind in KINDS:
        rows = await session.execute(statements[kind], values)
        ended += [Spent(kind, row.source_id, row.amount) for row in rows]
    return ended
