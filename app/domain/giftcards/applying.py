"""What a shop file says of gift cards, and how they become that: made once, changed in what is no money."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.giftcards.codes import LONGEST_CODE, SHORTEST_CODE, code_digest, plain_code
from app.domain.giftcards.models import GiftCard
from app.domain.giftcards.service import create_gift_card, note_switch
from app.kit.errors import FieldError, Invalid, declare
from app.kit.money import MoneyError, to_minor, to_text

GIFT_CARD_AMOUNT = declare(
    Invalid, "gift_card_amount", "What a card was made with never changes; make another card instead."
)


class GiftCardPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of [[gift_cards]], told from others by its code. amount is a decimal string in the store's currency.

    A card that is not said to be enabled or not is left as staff switched it.
    """

    code: Annotated[str, Meta(max_length=2 * LONGEST_CODE)]
    amount: Annotated[str, Meta(pattern=r"^\d{1,12}(\.\d{1,4})?$")]
    expires_at: datetime | None = None
    note: Annotated[str, Meta(max_length=500)] = ""
    enabled: bool | UnsetType = UNSET


def find_card_faults(plans: tuple[GiftCardPlan, ...], *, currency: str) -> list[FieldError]:
    """Everything that is wrong with the section, each at its key; no message has a code in it."""
    return [
        FieldError(f"gift_cards[{index}].{key}", "invalid_shop_file", message)
        for index, plan in enumerate(plans)
        for key, message in _faults(plan, [other.code for other in plans[:index]], currency)
    ]


def _faults(plan: GiftCardPlan, earlier: list[str], currency: str) -> Iterator[tuple[str, str]]:
    plain = plain_code(plan.code)
    if not SHORTEST_CODE <= len(plain) <= LONGEST_CODE:
        yield "code", f"has {SHORTEST_CODE} to {LONGEST_CODE} letters and digits, since it opens money"
    if plain in {plain_code(code) for code in earlier}:
        yield "code", "stands there twice"
    if plan.expires_at is not None and plan.expires_at.tzinfo is None:
        yield "expires_at", "needs its offset from UTC, as 2026-12-01T00:00:00Z"
    try:
        if to_minor(plan.amount, currency) == 0:
            yield "amount", "is more than nothing"
    except MoneyError as error:
        yield "amount", str(error)


async def apply_gift_cards(
    session: AsyncSession, store_id: int, plans: tuple[GiftCardPlan, ...], *, currency: str, now: datetime
) -> list[str]:
    """Make the cards that are named and not there yet, and change what differs; a line for each change.

    A card that the file does not name stays as it is: it is somebody's money. Raises Invalid gift_card_amount at
    its key. Locks the cards in the order of their ids.
    """
    digests = {code_digest(plan.code): index for index, plan in enumerate(plans)}
    found = await session.scalars(
        select(GiftCard)
        .where(GiftCard.store_id == store_id, GiftCard.digest.in_(digests))
        .order_by(GiftCard.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    cards = {card.digest: card for card in found}
    changes = []
    for digest, index in digests.items():
        plan, card = plans[index], cards.get(digest)
        amount = to_minor(plan.amount, currency)
        if card is None:
            card, _ = await create_gift_card(
                session,
                store_id,
                amount=amount,
                currency=currency,
                code=plan.code,
                expires_at=plan.expires_at,
                note=plan.note,
                now=now,
            )
            changes.append(f"gift card …{card.last_four}: made, {plan.amount} {currency}")
        if (card.amount, card.currency) != (amount, currency):
            made_with = to_text(card.amount, card.currency)
            raise Invalid.at(
                f"gift_cards[{index}].amount", GIFT_CARD_AMOUNT, f"the card was made with {made_with}"
            )
        told = _change(session, card, plan, now=now)
        if told:
            changes.append(f"gift card …{card.last_four}: {', '.join(told)}")
    await session.flush()
    return changes


def _change(session: AsyncSession, card: GiftCard, plan: GiftCardPlan, *, now: datetime) -> list[str]:
    told = []
    # Money that came back to a card can be spent for a while longer than its file says: no date is put forward.
    ends_later = plan.expires_at is None or (
        card.expires_at is not None and plan.expires_at > card.expires_at
    )
    if card.expires_at != plan.expires_at and ends_later:
        card.expires_at = plan.expires_at
        told.append("expires_at changed")
    if card.note != plan.note:
        card.note = plan.note
        told.append("note changed")
    if plan.enabled is not UNSET and note_switch(session, card, on=plan.enabled, note="shop file", now=now):
        told.append("switched on" if plan.enabled else "switched off")
    return told
