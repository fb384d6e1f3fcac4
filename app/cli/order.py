"""`storefront order`: what the shop does about an order: look, ship, book money, cancel, give money back."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import click
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.in_store import read_amount, store_option, work_in_store
from app.domain.checkout.cancelling import cancel_order, refund_order, refuse_wish
from app.domain.checkout.receipts import Receipt, book_receipt
from app.domain.orders.errors import order_not_found
from app.domain.orders.queries import OrderView, find_order_id, load_order
from app.domain.orders.refunding import list_begun
from app.domain.orders.service import lock_order
from app.domain.orders.shipping import ship_order
from app.domain.payments.authorizations import capture_later
from app.domain.payments.disputes import list_disputes
from app.domain.payments.models import PaymentDispute
from app.domain.payments.refunds import OpenRefund, ask_again, list_open_refunds
from app.domain.payments.states import MANUAL, PaymentState
from app.domain.stores.models import Store
from app.kit.clock import isoformat, utc_now
from app.kit.money import to_text

# What stands in an address beside the name, as it is shown in one row.
_PLACE: Final = (
    "company", "address_one", "address_two", "apartment_suite", "city", "region", "zip", "country", "phone",
)  # fmt: skip


class OrderNumber(click.ParamType[int]):
    """An order as people name it: 1042 or #1042."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        digits = str(value).strip().lstrip("#")
        if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
            self.fail(f"{value!r} is no order number, as 1042 or #1042.", param, ctx)
        return int(digits)


class LineUnits(click.ParamType[tuple[int, int]]):
    """Units of a line: the line's number in `show`, and how many, as 2=1."""

    name = "line=units"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        line, sign, units = str(value).partition("=")
        numbers = (line, units) if sign else (line,)
        if not all(re.fullmatch(r"[0-9]{1,6}", number) for number in numbers):
            self.fail(f"{value!r} is no line with its units, as 2=1.", param, ctx)
        return int(line), int(units or 1)


credit_option = click.option(
    "--to-credit", is_flag=True, help="All of it as store credit of the buyer's account."
)


@click.group()
def command() -> None:
    """Look after an order: show it, ship it, say that it is paid, cancel it, give money back."""


@command.command()
@click.argument("number", type=OrderNumber())
@store_option
def show(number: int, code: str) -> None:
    """Show order NUMBER: what was bought, where it goes, what was paid, and all that happened."""

    async def work(
        session: AsyncSession, store: Store
    ) -> tuple[OrderView, Sequence[PaymentDispute], list[OpenRefund], dict[int, int]]:
        order = await _load(number, session, store)
        return (
            order,
            await list_disputes(session, store.id, order.id),
            await list_open_refunds(session, store.id, order.id),
            await list_begun(session, order),
        )

    for row in _describe(*work_in_store(code, work)):
        click.echo(_printable(row))


@command.command()
@click.argument("number", type=OrderNumber())
@click.option("--carrier", required=True, help="Who carries the parcel, as the buyer is told.")
@click.option("--tracking", help="The carrier's number of the parcel.")
@click.option("--url", help="Where the buyer can follow it.")
@click.option(
    "--line", "lines", type=LineUnits(), multiple=True, help="Only so many units of a line of `show`, as 2=1."
)
@store_option
def ship(
    number: int,
    carrier: str,
    tracking: str | None,
    url: str | None,
    lines: tuple[tuple[int, int], ...],
    code: str,
) -> None:
    """Say that a parcel of order NUMBER is on its way; its buyer is mailed. Without --line, all that is left."""

    async def work(session: AsyncSession, store: Store) -> OrderView:
        order = await _load(number, session, store)
        await ship_order(
            session,
            store.id,
            order.id,
            quantities=_named(order, lines),
            carrier=carrier,
            number=tracking,
            url=url,
            now=utc_now(),
        )
        return await load_order(session, store.id, order.id)

    click.echo(f"{_name(order := work_in_store(code, work))}: {order.fulfilment_status}")


@command.command()
@click.argument("number", type=OrderNumber())
@store_option
def capture(number: int, code: str) -> None:
    """Take the money that is held for order NUMBER. Shipping does so by itself; the worker asks the service."""

    async def work(session: AsyncSession, store: Store) -> tuple[OrderView, int]:
        order = await _load(number, session, store)
        await lock_order(session, store.id, order.id)
        held = await capture_later(session, store.id, order.id, now=utc_now())
        return order, sum(payment.amount for payment in held)

    order, held = work_in_store(code, work)
    if not held:
        raise click.ClickException(f"no money is held for {_name(order)}")
    click.echo(f"{_name(order)}: {to_text(held, order.currency)} is taken")


@command.command()
@click.argument("number", type=OrderNumber())
@click.option("--amount", help="How much of it, as 12.50; without it, all that is owed.")
@click.option(
    "--reference", default="", help="What the payment is known by, as its number in your statement."
)
@store_option
def paid(number: int, amount: str | None, reference: str, code: str) -> None:
    """Say that order NUMBER was paid outside of any service, as by bank transfer or on delivery.

    A payment is booked once, however often it is said: it is known by its reference, one without by its amount.
    """

    async def work(session: AsyncSession, store: Store) -> tuple[OrderView, Receipt]:
        order = await _load(number, session, store)
        minor = None if amount is None else read_amount(amount, order.currency)
        booked = await book_receipt(
            session, store.id, order.id, amount=minor, reference=reference.strip(), now=utc_now()
        )
        return order, booked

    order, booked = work_in_store(code, work)
    told = "booked" if booked.is_new else "was booked before, and is not booked again"
    left = f", {_money(booked.left, order)} still owed" if booked.left else ", nothing is owed any more"
    click.echo(f"{_name(order)}: {_money(booked.amount, order)} {told}{left}")
    if not booked.is_new and booked.left and not reference:
        click.echo("If this is another payment of that amount, name its --reference.")


@command.command()
@click.argument("number", type=OrderNumber())
@click.option("--reason", required=True, help="Why; kept with the order.")
@click.option("--note", default="", help="More about it.")
@credit_option
@store_option
def cancel(number: int, reason: str, note: str, to_credit: bool, code: str) -> None:
    """Cancel order NUMBER while nothing of it is shipped: the money goes back, and so do stock and coupons.

    What a gift card or store credit paid goes back there; what was paid outside of any service is for you to pay
    out. So is a buyer's wish to cancel granted.
    """

    async def work(session: AsyncSession, store: Store) -> tuple[OrderView, OrderView, bool]:
        before = await _load(number, session, store)
        done = await cancel_order(
            session, store.id, before.id, reason=reason, note=note, to_credit=to_credit, now=utc_now()
        )
        return before, await load_order(session, store.id, before.id), done

    before, order, done = work_in_store(code, work)
    click.echo(f"{_name(order)}: {'cancelled' if done else 'was cancelled before'}")
    _say_who_pays(before, order, to_credit=to_credit)


@command.command()
@click.argument("number", type=OrderNumber())
@click.option("--note", required=True, help="Why; kept with the order.")
@store_option
def keep(number: int, note: str, code: str) -> None:
    """Refuse the buyer's wish to cancel order NUMBER."""

    async def work(session: AsyncSession, store: Store) -> tuple[OrderView, bool]:
        order = await _load(number, session, store)
        return order, await refuse_wish(session, store.id, order.id, note=note, now=utc_now())

    order, done = work_in_store(code, work)
    if not done:
        raise click.ClickException(f"nobody waits for {_name(order)} to be cancelled")
    click.echo(f"{_name(order)}: goes on")


@command.command()
@click.argument("number", type=OrderNumber())
@click.argument("amount", required=False)
@click.option(
    "--line",
    "lines",
    type=LineUnits(),
    multiple=True,
    help="What so many units of a line of `show` cost, as 2=1.",
)
@click.option("--restock", is_flag=True, help="The units of --line are on stock again.")
@click.option(
    "--sent-back",
    is_flag=True,
    help="The units of --line had been shipped and came back; what is not shipped yet still goes.",
)
@click.option("--reason", help="Why; kept with the refund.")
@credit_option
@click.option(
    "--ask-again",
    "again",
    is_flag=True,
    help="Give nothing more back: ask the service about what it has not answered.",
)
@store_option
def refund(
    number: int,
    amount: str | None,
    lines: tuple[tuple[int, int], ...],
    restock: bool,
    sent_back: bool,
    reason: str | None,
    to_credit: bool,
    again: bool,
    code: str,
) -> None:
    """Give AMOUNT of what was paid for order NUMBER back, as 12.50; without it, all that is left.

    With --line it is what these units cost, tax and discount counted; each unit is paid back once. Those that are
    not shipped yet are then not shipped any more, unless `ship` names their line. Say --sent-back where they were
    shipped.

    What a payment service took goes back first: the worker asks it, and the buyer is mailed once it has said
    yes. Then comes what store credit paid, and what a gift card did. What was paid outside of any service is
    booked at once, and is for you to pay out.

    Where the service has not said for a day whether it did, `show` says so: look there, then --ask-again. It is
    asked which refunds it knows first, so that none is made twice.
    """
    if again:
        if amount is not None or lines or to_credit or restock or sent_back:
            raise click.UsageError("--ask-again gives nothing back, and takes neither an amount nor lines.")
        _ask_again(number, code)
        return
    if reason is None:
        raise click.UsageError("Missing option '--reason'.")
    if amount is not None and lines:
        raise click.UsageError("Give either an amount or lines.")
    if (restock or sent_back) and not lines:
        what = "are on stock again" if restock else "came back"
        raise click.UsageError(f"Name the units that {what} by --line.")

    async def work(session: AsyncSession, store: Store) -> tuple[OrderView, OrderView, int]:
        order = await _load(number, session, store)
        minor = None if amount is None else read_amount(amount, order.currency)
        made = await refund_order(
            session,
            store.id,
            order.id,
            amount=minor,
            reason=reason,
            to_credit=to_credit,
            units=_named(order, lines),
            restock=restock,
            sent_back=sent_back,
            now=utc_now(),
        )
        return order, await load_order(session, store.id, order.id), sum(one.amount for one in made)

    before, order, given = work_in_store(code, work)
    click.echo(f"{_name(order)}: {_money(given, order)} goes back")
    _say_who_pays(before, order, to_credit=to_credit)


def _ask_again(number: int, code: str) -> None:
    async def work(session: AsyncSession, store: Store) -> tuple[OrderView, list[OpenRefund]]:
        order = await _load(number, session, store)
        await lock_order(session, store.id, order.id)
        return order, await ask_again(session, store.id, order.id, now=utc_now())

    order, asked = work_in_store(code, work)
    if not asked:
        raise click.ClickException(f"no refund of {_name(order)} is without an answer")
    for one in asked:
        click.echo(f"{_name(order)}: {one.service} is asked again about {_money(one.amount, order)}")


async def _load(number: int, session: AsyncSession, store: Store) -> OrderView:
    order_id = await find_order_id(session, store.id, number)
    if order_id is None:
        raise order_not_found()
    return await load_order(session, store.id, order_id)


def _named(order: OrderView, lines: tuple[tuple[int, int], ...]) -> dict[int, int] | None:
    """The lines that were named by their place, as ids; None where none was."""
    wanted: dict[int, int] = {}
    for place, units in lines:
        if not 1 <= place <= len(order.lines):
            raise click.UsageError(f"{_name(order)} has {len(order.lines)} lines, and no line {place}.")
        line_id = order.lines[place - 1].id
        wanted[line_id] = wanted.get(line_id, 0) + units
    return wanted or None


def _name(order: OrderView) -> str:
    return order.name or f"order {order.id}"


def _money(minor: int, order: OrderView) -> str:
    return to_text(minor, order.currency)


def _say_who_pays(before: OrderView, after: OrderView, *, to_credit: bool) -> None:
    """Name what people have to pay out themselves, since no service took it."""
    back = [sum(one.refunded for one in order.payments if one.service == MANUAL) for order in (before, after)]
    if back[0] < back[1] and not to_credit:
        click.echo(f"To be paid out by you: {_money(back[1] - back[0], after)}, which no service took.")


def _describe_delivery(order: OrderView) -> list[str]:
    """How and where the order goes, and what its buyer wrote about it."""
    way = order.shipping_option or {}
    rows = [f"  ships by {way['title']}"] if way.get("title") else []
    if way.get("pickup"):
        rows = [f"  fetched at {way['title']}, {way['location']}"]
    for told, place in (("goes to", order.shipping_address), ("invoice to", order.billing_address)):
        if place and not (told == "invoice to" and place == order.shipping_address):
            whole = [f"{place['first_name']} {place['last_name']}", *(place.get(name) for name in _PLACE)]
            rows.append(f"  {told} {', '.join(filter(None, whole))}")
    if order.note:
        rows.append(f"  note: {order.note}")
    return rows + [f"  {one['name']}: {one['value']}" for one in order.attributes]


def _printable(row: str) -> str:
    """A row without what would move on a terminal: buyers write parts of it."""
    return "".join(sign if sign.isprintable() else " " for sign in row).rstrip()


def _describe(
    order: OrderView,
    disputes: Sequence[PaymentDispute],
    refunds: Sequence[OpenRefund],
    begun: Mapping[int, int],
) -> list[str]:
    def money(minor: int) -> str:
        return _money(minor, order)

    packed: dict[int, int] = {}
    for parcel in order.parcels:
        for one in parcel.lines:
            packed[one.line_id] = packed.get(one.line_id, 0) + one.quantity
    rows = [
        f"{_name(order)}  {order.status}, {order.payment_status}, {order.fulfilment_status}  {order.email}"
    ]
    for place, line in enumerate(order.lines, 1):
        shipped = f", {packed[line.id]} shipped" if line.id in packed else ""
        refunded = f", {line.refunded} paid back" if line.refunded else ""
        part = f", {money(begun[line.id])} of one more paid back" if line.id in begun else ""
        stays = f", {line.dropped} not to be shipped" if line.dropped else ""
        what = f"{line.quantity} x {line.title}  {money(line.line_price - line.discount)}"
        rows.append(f"  {place}  {what}{shipped}{refunded}{part}{stays}")
    rows.append(f"  total {money(order.total)}, with {money(order.shipping_total)} for shipping")
    rows += _describe_delivery(order)
    for payment in order.payments:
        back = f", {money(payment.refunded)} went back" if payment.refunded else ""
        known = f" ({payment.reference})" if payment.service == MANUAL and payment.reference else ""
        waits = f", {money(payment.amount)} owed" if payment.state == PaymentState.PENDING else ""
        rows.append(
            f"  payment by {payment.service}{known}: {payment.state}, {money(payment.captured)}{waits}{back}"
        )
    for wanted in refunds:
        state = (
            "NOBODY KNOWS whether it went back; look there, then --ask-again"
            if wanted.parked
            else "on its way"
        )
        rows.append(f"  refund by {wanted.service}: {money(wanted.amount)}, {state}")
    rows += [
        f"  DISPUTED at {one.reference}: {one.status}, {one.reason}, {to_text(one.amount, one.currency)}"
        for one in disputes
    ]
    rows += [
        f"  parcel by {' '.join(filter(None, (parcel.carrier, parcel.number)))}: {parcel.status}"
        for parcel in order.parcels
    ]
    if order.cancellation is not None:
        wish = order.cancellation
        rows.append(f"  cancellation {wish.status}: {wish.reason}{f', {wish.note}' if wish.note else ''}")
    rows += [f"  {isoformat(one.at)}  {one.event}  {one.detail}".rstrip() for one in order.events]
    return rows
