"""`storefront credit`: what customers can spend in the shop without paying."""

import click
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.in_store import read_amount, store_option, work_in_store
from app.domain.customers.queries import find_customer_by_email
from app.domain.giftcards.service import give_credit
from app.domain.stores.models import Store
from app.kit.clock import utc_now
from app.kit.money import to_text
from app.kit.places import email_key


@click.group()
def command() -> None:
    """Store credit of customers."""


@command.command()
@click.argument("email")
@click.argument("amount")
@click.option("--reason", required=True, help="Why; kept with it, and in what the customer can export.")
@store_option
def give(email: str, amount: str, reason: str, code: str) -> None:
    """Give EMAIL's customer AMOUNT of store credit, as 12.50, and say what they have now."""
    key = email_key(email)

    async def work(session: AsyncSession, store: Store) -> str:
        minor = read_amount(amount, store.currency)
        customer = await find_customer_by_email(session, store.id, key) if key else None
        if customer is None:
            raise click.ClickException(f"There is no customer {email!r}.")
        credit = await give_credit(
            session,
            store.id,
            customer.id,
            amount=minor,
            currency=store.currency,
            reason=reason,
            now=utc_now(),
        )
        return to_text(credit.balance, credit.currency)

    click.echo(work_in_store(code, work))
