"""`storefront giftcard`: what staff do with gift cards. A code is shown once, when its card is made."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from functools import partial
from zoneinfo import ZoneInfo

import click
import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.in_store import read_amount, store_option, work_in_store
from app.domain.giftcards.models import GiftCard, GiftCardEvent
from app.domain.giftcards.service import (
    create_gift_card,
    list_card_events,
    list_gift_cards,
    switch_gift_card,
)
from app.domain.stores.delivery import DeliveryRules
from app.domain.stores.models import Store
from app.kit.clock import isoformat, utc_now
from app.kit.money import to_text

MOST_CARDS = 10_000
_END_OF_DAY = time(23, 59, 59)

note_option = click.option("--note", default="", help="Why; kept with when it was.")


@click.group()
def command() -> None:
    """Make gift cards, look one up, switch one off and on."""


@command.command()
@click.argument("amount")
@click.option("--count", type=click.IntRange(1, MOST_CARDS), default=1, help="How many of them.")
@click.option(
    "--expires",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The last day on which it can be used, where the store is, as 2027-12-31.",
)
@click.option("--note", default="", help="What it is for; kept with the card.")
@store_option
def create(amount: str, count: int, expires: datetime | None, note: str, code: str) -> None:
    """Make a gift card with AMOUNT on it, as 50.00, and print its number and its code.

    Nobody can read the code again later: the shop keeps its digest only.
    """

    async def work(session: AsyncSession, store: Store) -> list[tuple[GiftCard, str]]:
        minor = read_amount(amount, store.currency)
        end = None if expires is None else _end_of(expires.date(), store)
        if end is not None and end <= utc_now():
            raise click.BadParameter("is over already", param_hint="'--expires'")
        return [
            await create_gift_card(
                session,
                store.id,
                amount=minor,
                currency=store.currency,
                expires_at=end,
                note=note,
                now=utc_now(),
            )
            for _ in range(count)
        ]

    for card, made in work_in_store(code, work):
        click.echo(f"{card.id:>6}  {made}")


@command.command()
@click.argument("ending")
@store_option
def show(ending: str, code: str) -> None:
    """Show the cards whose code ends with the four letters or digits ENDING, and when they were switched off or on."""
    found, events = work_in_store(code, partial(_list, ending))
    if not found:
        raise click.ClickException(f"no gift card ends with {ending!r}")
    for card in found:
        click.echo(_told(card))
        for one in events:
            if one.gift_card_id == card.id:
                click.echo(f"        {isoformat(one.at)}  {one.event.replace('_', ' ')}  {one.note}".rstrip())


@command.command()
@click.argument("number", type=click.IntRange(min=1))
@note_option
@store_option
def disable(number: int, note: str, code: str) -> None:
    """Let nobody pay with the card NUMBER any more. What is on it stays written down."""
    click.echo(_told(work_in_store(code, partial(_switch, number, on=False, note=note))))


@command.command()
@click.argument("number", type=click.IntRange(min=1))
@note_option
@store_option
def enable(number: int, note: str, code: str) -> None:
    """Let whoever has the code of the card NUMBER pay with it again, until it expires."""
    click.echo(_told(work_in_store(code, partial(_switch, number, on=True, note=note))))


def _end_of(day: date, store: Store) -> datetime:
    """The last second of a day in the time zone of the store's deliveries."""
    rules = msgspec.convert(store.settings.get("delivery", {}), DeliveryRules)
    return datetime.combine(day, _END_OF_DAY, ZoneInfo(rules.time_zone)).astimezone(UTC)


async def _list(
    ending: str, session: AsyncSession, store: Store
) -> tuple[Sequence[GiftCard], Sequence[GiftCardEvent]]:
    cards = await list_gift_cards(session, store.id, ending=ending)
    return cards, await list_card_events(session, store.id, [card.id for card in cards])


async def _switch(number: int, session: AsyncSession, store: Store, *, on: bool, note: str) -> GiftCard:
    return await switch_gift_card(session, store.id, number, on=on, note=note, now=utc_now())


def _told(card: GiftCard) -> str:
    def money(minor: int) -> str:
        return to_text(minor, card.currency)

    facts = [f"{card.id:>6}  …{card.last_four}", f"{money(card.balance)} of {money(card.amount)}"]
    if card.held:
        facts.append(f"{money(card.held)} held by open payments")
    if card.expires_at is not None:
        facts.append(f"until {isoformat(card.expires_at)}")
    if card.disabled_at is not None:
        facts.append(f"switched off at {isoformat(card.disabled_at)}")
    return "  ".join(filter(None, [*facts, card.note]))
