"""`storefront withdrawal`: the shop's say in who is paid out what they earned by inviting others."""

from collections.abc import Sequence
from functools import partial

import click
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.in_store import store_option, work_in_store
from app.domain.accounts.withdrawals import (
    OPEN,
    approve_withdrawal,
    list_withdrawals,
    mark_withdrawal_paid,
    refuse_withdrawal,
)
from app.domain.customers.models import Withdrawal
from app.domain.stores.models import Store
from app.kit.clock import isoformat, utc_now
from app.kit.money import to_text


@click.group()
def command() -> None:
    """Decide on what customers ask to be paid out."""


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that are paid or refused.")
@store_option
def list_(everything: bool, code: str) -> None:
    """Show what waits: number, status, amount, customer and since when."""

    async def read(session: AsyncSession, store: Store) -> Sequence[Withdrawal]:
        return await list_withdrawals(session, store.id, statuses=None if everything else OPEN)

    found = work_in_store(code, read)
    for one in found:
        click.echo(f"{_told(one)}  customer {one.customer_id}  {isoformat(one.created_at)}")
    if not found:
        click.echo("Nothing waits.")


@command.command()
@click.argument("number", type=click.IntRange(min=1))
@store_option
def approve(number: int, code: str) -> None:
    """Say that withdrawal NUMBER will be paid."""
    click.echo(_told(work_in_store(code, partial(_approve, number))))


@command.command()
@click.argument("number", type=click.IntRange(min=1))
@click.option("--note", required=True, help="Why; kept with the withdrawal.")
@store_option
def refuse(number: int, note: str, code: str) -> None:
    """Refuse withdrawal NUMBER: its amount goes back to the customer's balance."""
    click.echo(_told(work_in_store(code, partial(_refuse, number, note))))


@command.command()
@click.argument("number", type=click.IntRange(min=1))
@store_option
def paid(number: int, code: str) -> None:
    """Write down that the approved withdrawal NUMBER was paid out."""
    click.echo(_told(work_in_store(code, partial(_pay, number))))


async def _approve(number: int, session: AsyncSession, store: Store) -> Withdrawal:
    return await approve_withdrawal(session, store.id, number, now=utc_now())


async def _refuse(number: int, note: str, session: AsyncSession, store: Store) -> Withdrawal:
    return await refuse_withdrawal(session, store.id, number, note=note, now=utc_now())


async def _pay(number: int, session: AsyncSession, store: Store) -> Withdrawal:
    return await mark_withdrawal_paid(session, store.id, number, now=utc_now())


def _told(withdrawal: Withdrawal) -> str:
    amount = to_text(withdrawal.amount, withdrawal.currency)
    return f"{withdrawal.id:>6}  {withdrawal.status:<9}  {amount}"
