"""How gift cards are made, looked at and switched off, how credit is given, and how both take money back.

Whatever moves a balance writes the ledger in the same transaction.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.customers.models import Customer
from app.domain.giftcards.codes import (
    LONGEST_CODE,
    SHORTEST_CODE,
    code_digest,
    last_four,
    new_code,
    plain_code,
)
from app.domain.giftcards.errors import (
    GIFT_CARD_CODE,
    GIFT_CARD_NOT_FOUND,
    NO_CREDIT_ACCOUNT,
    gift_card_not_usable,
)
from app.domain.giftcards.models import CreditGrant, GiftCard, GiftCardEvent, StoreCredit
from app.domain.giftcards.split import GIFT_CARD, STORE_CREDIT
from app.domain.ledger.service import payments_account, post_entries
from app.kit.errors import Conflict, Invalid, NotFound

ISSUED: Final = "gift_cards_issued"
GIVEN: Final = "store_credit_given"
# Whoever gets money back on a card has at least so long to spend it.
TIME_TO_SPEND: Final = timedelta(days=90)


async def create_gift_card(
    session: AsyncSession,
    store_id: int,
    *,
    amount: int,
    currency: str,
    now: datetime,
    code: str | None = None,
    expires_at: datetime | None = None,
    note: str = "",
) -> tuple[GiftCard, str]:
    """Make a card with so much on it (minor units); the card, and its code, which nobody can read again later.

    Raises Invalid gift_card_code for a named code that is too easily guessed or taken.
    """
    code = code or new_code()
    if not SHORTEST_CODE <= len(plain_code(code)) <= LONGEST_CODE:
        raise Invalid.at(
            "code", GIFT_CARD_CODE, f"A code has {SHORTEST_CODE} to {LONGEST_CODE} letters and digits."
        )
    card = await session.scalar(
        upsert(GiftCard)
        .values(
            store_id=store_id,
            digest=code_digest(code),
            last_four=last_four(code),
            currency=currency,
            amount=amount,
            balance=amount,
            note=note,
            created_at=now,
            expires_at=expires_at,
        )
        .on_conflict_do_nothing(index_elements=["store_id", "digest"])
        .returning(GiftCard)
    )
    if card is None:
        raise Invalid.at("code", GIFT_CARD_CODE, "Another gift card has this code.")
    await post_entries(
        session,
        store_id,
        key=f"gift-card-{card.id}-issued",
        currency=currency,
        amounts={ISSUED: amount, payments_account(GIFT_CARD, card.id): -amount},
        order_id=None,
        now=now,
    )
    return card, code


async def find_usable_card(
    session: AsyncSession, store_id: int, code: str, *, currency: str | None, now: datetime
) -> GiftCard:
    """The card of a code, which has something to spend, in this currency (None: any).

    Raises Invalid gift_card_not_usable, whatever the reason is.
    """
    card = await session.scalar(
        select(GiftCard).where(GiftCard.store_id == store_id, GiftCard.digest == code_digest(code))
    )
    if (
        card is None
        or card.disabled_at is not None
        or (card.expires_at is not None and card.expires_at <= now)
        or card.balance <= card.held
        or currency not in (None, card.currency)
    ):
        raise gift_card_not_usable()
    return card


async def list_gift_cards(session: AsyncSession, store_id: int, *, ending: str) -> Sequence[GiftCard]:
    """The cards whose code ends so, the newest first."""
    found = await session.scalars(
        select(GiftCard)
        .where(GiftCard.store_id == store_id, GiftCard.last_four == ending.upper())
        .order_by(GiftCard.id.desc())
    )
    return found.all()


async def switch_gift_card(
    session: AsyncSession, store_id: int, card_id: int, *, on: bool, note: str = "", now: datetime
) -> GiftCard:
    """Let nobody pay with a card from now on, or let whoever has its code pay again; when and why is kept.

    Off, what is held of it goes on, and what is on it stays owed. To say it twice changes nothing. Raises NotFound
    gift_card_not_found. Locks the card.
    """
    card = await session.scalar(
        select(GiftCard)
        .where(GiftCard.store_id == store_id, GiftCard.id == card_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if card is None:
        raise NotFound(GIFT_CARD_NOT_FOUND, "There is no such gift card.")
    note_switch(session, card, on=on, note=note, now=now)
    await session.flush()
    return card


def note_switch(session: AsyncSession, card: GiftCard, *, on: bool, note: str = "", now: datetime) -> bool:
    """Switch a card whose lock the caller holds; False where it is so already."""
    if (card.disabled_at is None) == on:
        return False
    card.disabled_at = None if on else now
    session.add(
        GiftCardEvent(
            store_id=card.store_id,
            gift_card_id=card.id,
            at=now,
            event="switched_on" if on else "switched_off",
            note=note,
        )
    )
    return True


async def list_card_events(
    session: AsyncSession, store_id: int, card_ids: Iterable[int]
) -> Sequence[GiftCardEvent]:
    """When cards were switched off and on, oldest first."""
    found = await session.scalars(
        select(GiftCardEvent)
        .where(GiftCardEvent.store_id == store_id, GiftCardEvent.gift_card_id.in_(list(card_ids)))
        .order_by(GiftCardEvent.id)
    )
    return found.all()


async def give_credit(
    session: AsyncSession,
    store_id: int,
    customer_id: int,
    *,
    amount: int,
    currency: str,
    reason: str,
    now: datetime,
) -> StoreCredit:
    """Give a customer credit (minor units); what they have now. Raises Conflict no_credit_account."""
    credit = await add_credit(session, store_id, customer_id, amount=amount, currency=currency)
    grant = CreditGrant(store_id=store_id, credit_id=credit.id, amount=amount, reason=reason, created_at=now)
    session.add(grant)
    await session.flush()
    await post_entries(
        session,
        store_id,
        key=f"store-credit-{grant.id}-given",
        currency=currency,
        amounts={GIVEN: amount, payments_account(STORE_CREDIT, credit.id): -amount},
        order_id=None,
        now=now,
    )
    return credit


async def add_credit(
    session: AsyncSession, store_id: int, customer_id: int | None, *, amount: int, currency: str
) -> StoreCredit:
    """Raise a customer's credit; the caller writes the ledger. Raises Conflict no_credit_account.

    Locks the customer against being closed meanwhile, then the credit.
    """
    customer = await session.scalar(
        select(Customer.id)
        .where(Customer.store_id == store_id, Customer.id == customer_id, Customer.closed_at.is_(None))
        .with_for_update(key_share=True)
    )
    if customer is None:
        raise Conflict(NO_CREDIT_ACCOUNT, "Store credit needs an account, and there is none.")
    return (
        await session.scalars(
            upsert(StoreCredit)
            .values(store_id=store_id, customer_id=customer, currency=currency, balance=amount)
            .on_conflict_do_update(
                index_elements=["store_id", "customer_id", "currency"],
                set_={"balance": StoreCredit.balance + amount},
            )
            .returning(StoreCredit),
            execution_options={"populate_existing": True},
        )
    ).one()


async def list_credits(session: AsyncSession, store_id: int, customer_id: int) -> Sequence[StoreCredit]:
    """What a customer can spend, by currency."""
    found = await session.scalars(
        select(StoreCredit)
        .where(StoreCredit.store_id == store_id, StoreCredit.customer_id == customer_id)
        .order_by(StoreCredit.currency)
        .execution_options(populate_existing=True)
    )
    return found.all()


_TAKE_BACK: Final = {
    GIFT_CARD: text(
        """
        UPDATE gift_cards SET balance = balance + :amount,
            expires_at = CASE WHEN expires_at IS NOT NULL THEN greatest(expires_at, :least) END
        WHERE store_id = :store_id AND id = :source_id RETURNING id
        """
    ),
    STORE_CREDIT: text(
        """
        UPDATE store_credits SET balance = balance + :amount
        WHERE store_id = :store_id AND id = :source_id RETURNING id
        """
    ),
}


async def put_back(
    session: AsyncSession, store_id: int, *, kind: str, source_id: int, amount: int, now: datetime
) -> None:
    """Let a card or credit have money back that was paid with it (minor units); the caller writes the ledger.

    Also one that has expired or was switched off: what is owed stays owed. A card that expires is good for
    another 90 days at least.
    """
    values = {"store_id": store_id, "source_id": source_id, "amount": amount}
    least = {"least": now + TIME_TO_SPEND} if kind == GIFT_CARD else {}
    if (await session.execute(_TAKE_BACK[kind], {**values, **least})).first() is None:
        raise NotFound(GIFT_CARD_NOT_FOUND, "What this was paid with is gone.")


async def give_up_credits(session: AsyncSession, store_id: int, customer_id: int, *, now: datetime) -> None:
    """Book what is left of a customer's credit back to the shop: they close the account and let it go."""
    found = await session.scalars(
        select(StoreCredit)
        .where(StoreCredit.store_id == store_id, StoreCredit.customer_id == customer_id)
        .order_by(StoreCredit.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    for credit in found.all():
        left = credit.balance
        if not left:
            continue
        credit.balance = 0
        await post_entries(
            session,
            store_id,
            key=f"store-credit-given-up-{credit.id}",
            currency=credit.currency,
            amounts={payments_account(STORE_CREDIT, credit.id): left, GIVEN: -left},
            order_id=None,
            now=now,
        )
