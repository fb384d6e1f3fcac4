"""`storefront order`: what the shop does about an order: look, ship, cancel, give money back."""

from collections.abc import Sequence

import click
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.in_store import read_amount, store_option, work_in_store
from app.domain.checkout.cancelling import cancel_order, refund_order, refuse_wish
from app.domain.orders.errors import order_not_found
from app.domain.orders.queries import OrderView, find_order_id, load_order
from app.domain.orders.service import lock_order
from app.domain.orders.shipping import ship_order
from app.domain.payments.authorizations import capture_later
from app.domain.payments.disputes import list_disputes
from app.domain.payments.models import PaymentDispute
from app.domain.stores.models import Store
from app.kit.clock import isoformat, utc_now
from app.kit.money import to_decimal_text


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
        if not line.isdigit() or (sign and not units.isdigit()) or len(line + units) > 12:
            self.fail(f"{value!r} is no line with its units, as 2=1.", param, ctx)
        return int(line), int(units or 1)


credit_option = click.option(
    "--to-credit", is_flag=True, help="All of it as store credit of the buyer's account."
)


@click.group()
def command() -> None:
    """Look after an order: show it, ship it, cancel it, give money back."""


@command.command()
@click.argument("number", type=OrderNumber())
@store_option
def show(number: int, code: str) -> None:
    """Show order NUMBER: what was bought, what was paid, and all that happened."""

    async def work(session: AsyncSession, store: Store) -> tuple[OrderView, Sequence[PaymentDispute]]:
        order = await _load(number, session, store)
        return order, await list_disputes(session, store.id, order.id)

    click.echo("\n".join(_describe(*work_in_store(code, work))))


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
    click.echo(f"{_name(order)}: {to_decimal_text(held, order.currency)} {order.currency} is taken")


@command.command()
@click.argument("number", type=OrderNumber())
@click.option("--reason", required=True, help="Why; kept with the order.")
@click.option("--note", default="", help="More about it.")
@credit_option
@store_option
def cancel(number: int, reason: str, note: str, to_credit: bool, code: str) -> None:
    """Cancel order NUMBER while nothing of it is shipped: the money goes back, and so do stock and coupons.

    What a gift card or store credit paid goes back there. So is a buyer's wish to cancel granted.
    """

    async def work(session: AsyncSession, store: Store) -> tuple[OrderView, bool]:
        order_id = (await _load(number, session, store)).id
        done = await cancel_order(
            session, store.id, order_id, reason=reason, note=note, to_credit=to_credit, now=utc_now()
        )
        return await load_order(session, store.id, order_id), done

    order, done = work_in_store(code, work)
    click.echo(f"{_name(order)}: {'cancelled' if done else 'was cancelled before'}")


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
@click.option("--reason", required=True, help="Why; kept with the refund.")
@credit_option
@store_option
def refund(
    number: int,
    amount: str | None,
    lines: tuple[tuple[int, int], ...],
    reason: str,
    to_credit: bool,
    code: str,
) -> None:
    """Give AMOUNT of what was paid for order NUMBER back, as 12.50; without it, all that is left.

    With --line it is what these units cost, tax and discount counted; each unit is paid back once.

    What a payment service took goes back first: the worker asks it, and the buyer is mailed once it has said
    yes. Then comes what store credit paid, and what a gift card did.
    """
    if amount is not None and lines:
        raise click.UsageError("Give either an amount or lines.")

    async def work(session: AsyncSession, store: Store) -> tuple[OrderView, int]:
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
            now=utc_now(),
        )
        return order, sum(one.amount for one in made)

    order, given = work_in_store(code, work)
    click.echo(f"{_name(order)}: {to_decimal_text(given, order.currency)} {order.currency} goes back")


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


def _describe(order: OrderView, disputes: Sequence[PaymentDispute]) -> list[str]:
    def money(minor: int) -> str:
        return f"{to_decimal_text(minor, order.currency)} {order.currency}"

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
        rows.append(
            f"  {place}  {line.quantity} x {line.title}  {money(line.line_price - line.discount)}{shipped}{refunded}"
        )
    rows.append(f"  total {money(order.total)}, with {money(order.shipping_total)} for shipping")
    for payment in order.payments:
        back = f", {money(payment.refunded)} went back" if payment.refunded else ""
        rows.append(f"  payment by {payment.service}: {payment.state}, {money(payment.captured)}{back}")
    rows += [
        f"  DISPUTED at {one.reference}: {one.status}, {one.reason}, "
        f"{to_decimal_text(one.amount, one.currency)} {one.currency}"
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
