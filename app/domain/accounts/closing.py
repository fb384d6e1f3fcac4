"""What closing an account leaves: orders without a name, the ledger as it is, and nothing else that is personal.

The customer's row stays, emptied, for orders and ledger to point at. Of addresses in orders country and
region stay, which taxes were reckoned by. Orders that somebody placed as a guest are no part of an account.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.db.queue import Job
from app.db.session import Sessions, transaction
from app.domain.accounts.mailing import KIND
from app.domain.accounts.withdrawals import give_up_balance
from app.domain.carts.models import Cart
from app.domain.catalogue.back_in_stock import forget_wisher
from app.domain.checkout.models import Checkout
from app.domain.checkout.service import move_checkout
from app.domain.checkout.states import EDITABLE, LIVE, CheckoutState
from app.domain.customers.models import (
    Customer,
    CustomerAddress,
    CustomerDevice,
    CustomerIdentity,
    LoginCode,
    LoginSecret,
    Passkey,
)
from app.domain.customers.queries import lock_customer
from app.domain.giftcards.service import give_up_credits, list_credits
from app.domain.newsletter.service import forget_customer
from app.domain.orders.jobs import ORDER_MAILS
from app.domain.payments.saved import forget_payer
from app.domain.stores.directory import StoreDirectory
from app.domain.stores.mail import Mailer, MailWriter
from app.domain.stores.queries import StoreConfig
from app.kit.errors import Conflict, declare
from app.kit.ids import new_name
from app.kit.places import NOBODYS_DOMAIN

Handler = Callable[[Job], Awaitable[None]]

BALANCE_LEFT: Final = declare(
    Conflict,
    "balance_left",
    "There is a balance or store credit left; withdraw or spend it, or send `give_up_balance`.",
)
PAYMENT_UNDERWAY: Final = declare(
    Conflict, "payment_underway", "A payment is on its way; close the account once it is done."
)
GOODBYE: Final = KIND.format("account_closed")
_OWNED: Final = (CustomerAddress, CustomerDevice, CustomerIdentity, LoginCode, LoginSecret, Passkey)

_NO_ADDRESS: Final = """CASE WHEN {0} IS NOT NULL THEN jsonb_build_object(
        'id', NULL, 'first_name', '', 'last_name', '', 'company', NULL, 'address_one', '',
        'address_two', NULL, 'apartment_suite', NULL, 'city', '', 'zip', NULL, 'phone', '', 'is_default', false,
        'country', {0}->'country', 'country_code', {0}->'country_code', 'region', {0}->'region',
        'province', {0}->'province') END"""
_ADDRESSES: Final = (
    f"shipping_address = {_NO_ADDRESS.format('shipping_address')}, "
    f"billing_address = {_NO_ADDRESS.format('billing_address')}"
)
# Nobody can guess it and ask for a link to it.
_NOBODY: Final = f"gen_random_uuid() || '@{NOBODYS_DOMAIN}'"
_THEIR_ORDERS: Final = (
    "SELECT o.id FROM orders o WHERE o.store_id = :store_id AND o.customer_id = :customer_id"
)

_FORGET: Final = tuple(
    text(statement)
    for statement in (
        f"""
        UPDATE checkouts SET email = NULL, identity = NULL, time_zone = NULL, detected_country = NULL,
            subscribe = false, {_ADDRESSES}
        WHERE store_id = :store_id AND (
            customer_id = :customer_id
            OR cart_id IN (SELECT id FROM carts WHERE store_id = :store_id AND customer_id = :customer_id)
            OR id IN (SELECT checkout_id FROM orders WHERE store_id = :store_id AND customer_id = :customer_id)
        )
        """,  # noqa: S608 - columns of our own
        f"""
        UPDATE orders SET email = {_NOBODY}, additional_fields = NULL, note = NULL,
            attributes = '[]', {_ADDRESSES}
        WHERE store_id = :store_id AND customer_id = :customer_id
        """,  # noqa: S608 - columns of our own
        f"DELETE FROM order_links WHERE order_id IN ({_THEIR_ORDERS})",  # noqa: S608 - columns of our own
        # By its number the carrier says who was sent a parcel, and to where.
        f"""
        UPDATE parcels SET number = NULL, url = NULL WHERE order_id IN ({_THEIR_ORDERS})
        """,  # noqa: S608 - columns of our own
        f"""
        UPDATE order_events SET detail = ''
        WHERE order_id IN ({_THEIR_ORDERS}) AND event IN ('shipped', 'cancellation_refused')
        """,  # noqa: S608 - columns of our own
        f"""
        UPDATE order_cancellations SET note = '' WHERE order_id IN ({_THEIR_ORDERS})
        """,  # noqa: S608 - columns of our own
        """
        DELETE FROM cart_lines l USING carts c
        WHERE c.store_id = :store_id AND c.customer_id = :customer_id AND l.cart_id = c.id
        """,
        """
        UPDATE carts SET customer_id = NULL, note = NULL, attributes = '[]', coupon_code = NULL, expires_at = :now
        WHERE store_id = :store_id AND customer_id = :customer_id
        """,
        """
        UPDATE credit_grants g SET reason = '' FROM store_credits s
        WHERE s.store_id = :store_id AND s.customer_id = :customer_id AND g.credit_id = s.id
        """,
        """
        UPDATE coupon_uses SET email_digest = NULL WHERE store_id = :store_id AND customer_id = :customer_id
        """,
        """
        UPDATE product_reviews SET user_name = '', user_email = ''
        WHERE store_id = :store_id AND customer_id = :customer_id
        """,
        """
        UPDATE product_questions SET user_name = '', user_email = ''
        WHERE store_id = :store_id AND customer_id = :customer_id
        """,
        # Mails to them: none is sent any more, and none says any more to whom it was.
        f"""
        UPDATE jobs j SET payload = '{{}}', dedupe_key = 'forgotten-' || j.id,
            state = CASE WHEN j.state = 'running' THEN j.state ELSE 'done' END,
            finished_at = coalesce(j.finished_at, :now), reason = NULL
        WHERE j.store_id = :store_id AND (
            (j.kind LIKE 'accounts.%' AND j.kind <> 'accounts.order_paid' AND (
                j.payload->'customer_id' = to_jsonb(CAST(:customer_id AS bigint)) OR j.payload->>'email_key' = :email_key
            ))
            OR (j.kind = ANY (:order_mails) AND CAST(j.payload->>'order_id' AS bigint) IN ({_THEIR_ORDERS}))
        )
        """,  # noqa: S608 - columns of our own
    )
)


async def close_account(
    session: AsyncSession, store: StoreConfig, customer_id: int, *, give_up: bool, now: datetime
) -> None:
    """Forget a customer, all but orders and ledger. The caller has checked who asks, and ends the sessions.

    Raises Conflict payment_underway, and balance_left unless `give_up`. What was asked to be paid out before
    is still owed. Locks the customer, then open checkouts in the order of their ids.
    """
    customer = await lock_customer(session, store.id, customer_id)
    credits_left = [one for one in await list_credits(session, store.id, customer_id) if one.balance]
    if (customer.referral_balance or credits_left) and not give_up:
        raise Conflict(
            BALANCE_LEFT,
            "There is a balance or store credit left. Withdraw or spend it, or give it up.",
            balance=customer.referral_balance,
            currency=store.currency,
            store_credit=[{"balance": one.balance, "currency": one.currency} for one in credits_left],
        )
    await _end_checkouts(session, store.id, customer_id, now=now)
    await give_up_balance(session, customer, currency=store.currency, now=now)
    await give_up_credits(session, store.id, customer_id, now=now)
    await session.flush()
    values: dict[str, Any] = {
        "store_id": store.id,
        "customer_id": customer_id,
        "email_key": customer.email_key,
        "now": now,
        "order_mails": list(ORDER_MAILS),
    }
    for statement in _FORGET:
        known = {name: value for name, value in values.items() if name in statement.compile().params}
        await session.execute(statement, known)
    # What belongs to an address is its owner's, and nobody has to have proven to be that to close an account.
    proven = customer.owner_proven_at is not None
    await forget_customer(
        session, store.id, customer_id=customer_id, email_key=customer.email_key, proven=proven
    )
    if proven:
        await forget_wisher(session, store.id, email_key=customer.email_key)
    await forget_payer(session, store.id, customer_id, now=now)
    for table in _OWNED:
        await session.execute(
            delete(table).where(table.store_id == store.id, table.customer_id == customer_id)
        )
    await queue.enqueue(
        session,
        store_id=store.id,
        kind=GOODBYE,
        dedupe_key=f"{store.id}:{customer_id}",
        payload={
            "to": customer.email,
            "name": customer.firstname or customer.username,
            "language": customer.language,
        },
        run_at=now,
    )
    _empty(customer, now=now)
    await session.flush()


async def _end_checkouts(session: AsyncSession, store_id: int, customer_id: int, *, now: datetime) -> None:
    """Cancel what is open at the till. What is being paid is not left half done."""
    carts = select(Cart.id).where(Cart.store_id == store_id, Cart.customer_id == customer_id)
    live = list(
        await session.scalars(
            select(Checkout)
            .where(
                Checkout.store_id == store_id,
                Checkout.state.in_(LIVE),
                (Checkout.customer_id == customer_id) | Checkout.cart_id.in_(carts),
            )
            .order_by(Checkout.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )
    if any(checkout.state not in EDITABLE for checkout in live):
        raise Conflict(PAYMENT_UNDERWAY, "A payment is on its way. Close the account once it is done.")
    for checkout in live:
        move_checkout(checkout, CheckoutState.CANCELLED, now=now)


def _empty(customer: Customer, *, now: datetime) -> None:
    nobody = f"{new_name()}@{NOBODYS_DOMAIN}"
    customer.email = customer.email_key = nobody
    customer.email_verified_at = customer.owner_proven_at = customer.new_email = None
    customer.password_digest = customer.password_changed_at = None
    customer.username = customer.firstname = customer.lastname = ""
    customer.birthday = customer.gender = customer.relationship = None
    customer.country = customer.time_zone = customer.language = customer.identity = None
    customer.passkey_handle = None
    customer.invite_token = new_name()  # nobody is invited by it any more
    customer.updated_at = customer.closed_at = now


def closing_jobs(
    *, sessions: Sessions, stores: StoreDirectory, writer: MailWriter, mailer: Mailer
) -> dict[str, Handler]:
    """The handlers of closing by kind of job."""
    return {GOODBYE: partial(_say_goodbye, sessions=sessions, stores=stores, writer=writer, mailer=mailer)}


async def _say_goodbye(
    job: Job, *, sessions: Sessions, stores: StoreDirectory, writer: MailWriter, mailer: Mailer
) -> None:
    """Confirm the end to the address that was, and forget it: the job's row is the last that knows it."""
    if "to" not in job.payload:
        return
    mail = writer.render(
        "account_closed",
        store=await stores.get(job.store_id),
        language=job.payload["language"],
        to=job.payload["to"],
        key=str(job.id),
        values={"name": job.payload["name"]},
    )
    await mailer.send(mail)
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE jobs SET payload = '{}' WHERE id = :id"), {"id": job.id})
