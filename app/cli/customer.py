"""`storefront customer`: what staff do for one customer from the command line."""

import click
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.in_store import store_option, work_in_store
from app.domain.accounts.mailing import mail_login_link
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
