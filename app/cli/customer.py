"""`storefront customer`: what staff do for one customer from the command line."""

import click
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.in_store import store_option, work_in_store
from app.domain.accounts.mailing import mail_login_link
from app.domain.customers.queries import find_customer_by_email
from app.domain.stores.models import Store
from app.kit.clock import utc_now
from app.kit.places import email_key


@click.group()
def command() -> None:
    """Help a customer."""


@command.command("login-link")
@click.argument("email")
@store_option
def login_link(email: str, code: str) -> None:
    """Mail a link to EMAIL that logs its customer in once.

    The link itself is shown nowhere: it is made when the worker sends the mail. A newer one makes it void.
    """
    key = email_key(email)
    if key is None:
        raise click.ClickException(f"{email!r} is no mail address")

    async def queue(session: AsyncSession, store: Store) -> None:
        await mail_login_link(session, store.id, email_key=key, now=utc_now())

    work_in_store(code, queue)
    click.echo("Queued. The worker mails it within seconds.")


@command.command()
@click.argument("email")
@click.argument("names", nargs=-1)
@store_option
def groups(email: str, names: tuple[str, ...], code: str) -> None:
    """Put EMAIL's customer into the groups of these NAMES and no others; without names into none.

    Prices and promotions can be for the members of a group.
    """
    key = email_key(email)
    wanted = sorted({name.strip() for name in names} - {""})

    async def put(session: AsyncSession, store: Store) -> None:
        customer = await find_customer_by_email(session, store.id, key) if key else None
        if customer is None:
            raise click.ClickException(f"There is no customer {email!r}.")
        customer.groups = wanted

    work_in_store(code, put)
    click.echo(", ".join(wanted) or "In no group.")
