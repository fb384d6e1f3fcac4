"""What accounts put off: their mails, whose secrets are made only when they are sent; and what is swept."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.queue import Job
from app.db.session import Sessions, transaction
from app.domain.accounts.mailing import KIND, MailName
from app.domain.customers.codes import make_code
from app.domain.customers.models import Customer, CustomerDevice, LoginCode, LoginSecret
from app.domain.customers.queries import find_customer, find_customer_by_email
from app.domain.customers.secrets import Purpose, make_secret
from app.domain.stores.directory import StoreDirectory
from app.domain.stores.mail import Mailer, MailWriter
from app.kit.places import email_key
from app.settings import Settings

Handler = Callable[[Job], Awaitable[None]]
# How long what is spent is kept, for whoever asks what became of a link.
KEPT_SPENT: Final = timedelta(days=7)
KEPT_DEVICE: Final = timedelta(days=365)


class Letter(msgspec.Struct, frozen=True):
    """A mail to be written: to whom, and the values of its template."""

    to: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Desk:
    """What writing a letter needs: the customer, locked in no way, and the job that wants it."""

    session: AsyncSession
    customer: Customer
    payload: Mapping[str, Any]
    settings: Settings
    now: datetime

    def page(self, path: str, **query: str) -> str:
        """A page of the shop. The address is the configured one, whatever the request said."""
        return f"{self.settings.shop_url}/#/{path}" + (f"?{urlencode(query)}" if query else "")

    def facts(self) -> dict[str, Any]:
        """When it happened, in the customer's own time."""
        return {
            "name": self.customer.firstname or self.customer.username,
            "at": datetime.fromisoformat(self.payload["at"]) if "at" in self.payload else self.now,
            "time_zone": self.customer.time_zone,
        }

    async def link(
        self, purpose: Purpose, path: str, *, seconds: int, to: str, word: str = "token"
    ) -> dict[str, Any]:
        """The values of a mail with a link that works once."""
        secret = await make_secret(
            self.session, self.customer, purpose, now=self.now, seconds=seconds, email_key=email_key(to)
        )
        return {
            "name": self.customer.firstname or self.customer.username,
            "link": self.page(path, **{word: secret}),
            "seconds": seconds,
        }


async def _verify(desk: _Desk) -> Letter | None:
    customer, seconds = desk.customer, desk.settings.verify_seconds
    if customer.owner_proven_at is not None or customer.new_email is not None:
        return None
    return Letter(customer.email, await desk.link("verify", "verify", seconds=seconds, to=customer.email))


async def _verify_new(desk: _Desk) -> Letter | None:
    """To the address that is to be: nothing where it has an account already, which nobody is told."""
    customer, new = desk.customer, desk.customer.new_email
    if new is None:
        return None
    other = await find_customer_by_email(desk.session, customer.store_id, email_key(new) or "")
    if other is not None and other.id != customer.id:
        return None
    return Letter(new, await desk.link("verify", "verify", seconds=desk.settings.verify_seconds, to=new))


async def _password(desk: _Desk) -> Letter | None:
    to, seconds = desk.customer.email, desk.settings.reset_token_seconds
    return Letter(to, await desk.link("reset", "password", seconds=seconds, to=to))


async def _login_link(desk: _Desk) -> Letter | None:
    to, seconds = desk.customer.email, desk.settings.login_link_seconds
    values = await desk.link("staff_link", "login", seconds=seconds, to=to, word="uuid")
    return Letter(to, {**values, **_taken_back(desk.customer)})


async def _login_code(desk: _Desk) -> Letter | None:
    customer, seconds = desk.customer, desk.settings.login_code_seconds
    code = await make_code(
        desk.session, customer, key=desk.settings.secret_key, now=desk.now, seconds=seconds
    )
    beside = await desk.link("link", "login", seconds=seconds, to=customer.email, word="uuid")
    return Letter(customer.email, {**beside, **_taken_back(customer), "code": code})


async def _password_changed(desk: _Desk) -> Letter | None:
    return Letter(desk.customer.email, {**desk.facts(), "link": desk.page("password/forgot")})


async def _new_device(desk: _Desk) -> Letter | None:
    told = {"device": desk.payload["device"], "address": desk.payload["address"]}
    return Letter(desk.customer.email, {**desk.facts(), **told, "link": desk.page("password/forgot")})


async def _passkey_added(desk: _Desk) -> Letter | None:
    told = {"passkey": desk.payload["passkey"], "address": desk.payload["address"]}
    return Letter(desk.customer.email, {**desk.facts(), **told, "link": desk.page("account/passkeys")})


async def _email_changed(desk: _Desk) -> Letter | None:
    """To the address that was: what the new one is stays mostly hidden, should it be a stranger's by now."""
    shown = hide_address(desk.customer.email)
    return Letter(desk.payload["to"], {**desk.facts(), "email": shown})


_WRITERS: Final[dict[MailName, Callable[[_Desk], Awaitable[Letter | None]]]] = {
    "verify_email": _verify,
    "verify_new_email": _verify_new,
    "set_password": _password,
    "reset_password": _password,
    "login_link": _login_link,
    "login_code": _login_code,
    "password_changed": _password_changed,
    "new_device": _new_device,
    "passkey_added": _passkey_added,
    "email_changed": _email_changed,
}


def _taken_back(customer: Customer) -> dict[str, bool]:
    """Whether this mail, once used, is the first proof of the owner: then the password ends (prove_address)."""
    return {"ends_password": customer.owner_proven_at is None and customer.password_digest is not None}


def hide_address(email: str) -> str:
    """A mail address that its owner knows again: `a…@example.org`."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}…@{domain}"


def account_jobs(
    *,
    sessions: Sessions,
    stores: StoreDirectory,
    writer: MailWriter,
    mailer: Mailer,
    settings: Settings,
    clock: Callable[[], datetime],
) -> dict[str, Handler]:
    """The handlers of this feature by kind of job."""
    send = partial(
        _send,
        sessions=sessions,
        stores=stores,
        writer=writer,
        mailer=mailer,
        settings=settings,
        clock=clock,
    )
    return {KIND.format(name): partial(send, name=name) for name in _WRITERS}


async def _send(
    job: Job,
    *,
    name: MailName,
    sessions: Sessions,
    stores: StoreDirectory,
    writer: MailWriter,
    mailer: Mailer,
    settings: Settings,
    clock: Callable[[], datetime],
) -> None:
    """Mail a customer. Where there is none, or nothing to say any more, the job is done."""
    async with transaction(sessions) as session:
        customer = await _addressee(session, job)
        if customer is None:
            return
        desk = _Desk(session, customer, job.payload, settings, clock())
        letter = await _WRITERS[name](desk)
    if letter is None:
        return
    mail = writer.render(
        name,
        store=await stores.get(job.store_id),
        language=customer.language,
        to=letter.to,
        key=str(job.id),
        values=letter.values,
    )
    await mailer.send(mail)


async def _addressee(session: AsyncSession, job: Job) -> Customer | None:
    """Who the mail is for; nobody where the account was closed, which empties what waits for it."""
    if "customer_id" in job.payload:
        return await find_customer(session, job.store_id, job.payload["customer_id"])
    if "email_key" in job.payload:
        return await find_customer_by_email(session, job.store_id, job.payload["email_key"])
    return None


async def sweep_accounts(sessions: Sessions, *, now: datetime) -> None:
    """Forget secrets and codes that are long over, and devices that nobody has used for a year."""
    async with transaction(sessions) as session:
        await session.execute(delete(LoginSecret).where(LoginSecret.expires_at < now - KEPT_SPENT))
        await session.execute(delete(LoginCode).where(LoginCode.expires_at < now - KEPT_SPENT))
        await session.execute(delete(CustomerDevice).where(CustomerDevice.last_seen_at < now - KEPT_DEVICE))
