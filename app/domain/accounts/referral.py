"""What inviting somebody earns: a reward for the first order that they pay, once, on the inviter's balance.

The balance is a column for quick and safe spending; the ledger has its movements, in the account
`referral:<customer id>` as what the shop owes. A reward stays where its order is refunded later: it may
have been paid out by then, and nothing is taken from a customer's balance behind their back.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Final

import msgspec
from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.queue import Job
from app.db.session import Sessions, transaction
from app.domain.customers.models import Customer, ReferralReward
from app.domain.ledger.service import post_entries
from app.domain.orders.models import Order
from app.domain.orders.service import PAID_BY_CUSTOMER
from app.domain.stores.directory import StoreDirectory
from app.domain.stores.queries import ReferralRule, StoreConfig
from app.kit.errors import LOGIN_REQUIRED, Unauthenticated
from app.kit.money import share

Handler = Callable[[Job], Awaitable[None]]

COSTS: Final = "referral_rewards"
MOST_SHOWN: Final = 100
# Paid, and not given back in full.
_COUNTS: Final = ("paid", "partially_refunded")


def balance_account(customer_id: int) -> str:
    """The ledger's account of what the shop owes a customer for inviting others."""
    return f"referral:{customer_id}"


def reward_of(store: StoreConfig, order: Order) -> int:
    """What an order earns whoever invited its buyer, in minor units of the store's own currency.

    A share is of the goods, without shipping, by the rate of the order's currency; nothing where the store has given
    that currency up.
    """
    if store.referral.amount is not None:
        return store.referral.amount
    if not store.sells_in(order.currency):
        return 0
    goods = order.items_total - order.discount_total
    worth = store.convert(goods, source=order.currency, target=store.currency)
    return share(worth, store.referral.share or 0)


def referral_jobs(
    *, sessions: Sessions, stores: StoreDirectory, clock: Callable[[], datetime]
) -> dict[str, Handler]:
    """The handlers of referral by kind of job."""
    return {PAID_BY_CUSTOMER: partial(_paid, sessions=sessions, stores=stores, clock=clock)}


async def _paid(
    job: Job, *, sessions: Sessions, stores: StoreDirectory, clock: Callable[[], datetime]
) -> None:
    store = await stores.get(job.store_id)
    if store.referral == ReferralRule():
        return  # nobody earns anything here
    async with transaction(sessions) as session:
        await reward_inviter(session, store, customer_id=job.payload["customer_id"], now=clock())


async def reward_inviter(
    session: AsyncSession, store: StoreConfig, *, customer_id: int, now: datetime
) -> int | None:
    """Reward whoever invited a customer for their first paid order; the amount, None where there is nothing to do.

    One reward for each invited customer, by constraint, so repeats and parallel calls do nothing. An inviter
    who closed the account meanwhile earns nothing.
    """
    inviter_id = await session.scalar(
        select(Customer.invited_by).where(Customer.store_id == store.id, Customer.id == customer_id)
    )
    if inviter_id is None or inviter_id == customer_id:
        return None
    order = await session.scalar(
        select(Order)
        .where(
            Order.store_id == store.id,
            Order.customer_id == customer_id,
            Order.payment_status.in_(_COUNTS),
            Order.total > 0,
        )
        .order_by(Order.paid_at, Order.id)
        .limit(1)
    )
    amount = 0 if order is None else reward_of(store, order)
    if order is None or amount <= 0:
        return None
    if not await _may_earn(session, store.id, inviter_id):
        return None
    reward_id = await session.scalar(
        upsert(ReferralReward)
        .values(
            store_id=store.id,
            customer_id=inviter_id,
            invited_id=customer_id,
            order_id=order.id,
            amount=amount,
            currency=store.currency,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["store_id", "invited_id"])
        .returning(ReferralReward.id)
    )
    if reward_id is None:
        return None
    await session.execute(
        update(Customer)
        .where(Customer.store_id == store.id, Customer.id == inviter_id)
        .values(referral_balance=Customer.referral_balance + amount)
    )
    await post_entries(
        session,
        store.id,
        key=f"referral-reward-{reward_id}",
        currency=store.currency,
        amounts={COSTS: amount, balance_account(inviter_id): -amount},
        order_id=order.id,
        now=now,
    )
    return amount


async def _may_earn(session: AsyncSession, store_id: int, inviter_id: int) -> bool:
    """Whether the inviter's account is live, locked so that it is not closed meanwhile."""
    found = await session.scalar(
        select(Customer.id)
        .where(Customer.store_id == store_id, Customer.id == inviter_id, Customer.closed_at.is_(None))
        .with_for_update(key_share=True)
    )
    return found is not None


class Invited(msgspec.Struct, frozen=True):
    """Somebody who signed up by an invitation, by first name; reward is null until their first paid order."""

    name: str
    joined_at: datetime
    reward: int | None


class Movement(msgspec.Struct, frozen=True):
    """What changed the balance, newest first. kind is reward, withdrawal or refused; amount by its sign."""

    at: datetime
    kind: str
    amount: int
    status: str | None


class Referral(msgspec.Struct, frozen=True):
    """A customer's invitations and what they earned. Minor units; the lists hold the newest."""

    invite_token: str
    balance: int
    invited_count: int
    invited: tuple[Invited, ...]
    movements: tuple[Movement, ...]


_REFERRAL: Final = text(
    f"""
    SELECT json_build_object(
        'invite_token', c.invite_token, 'balance', c.referral_balance,
        'invited_count', (
            SELECT count(*) FROM customers i WHERE i.store_id = c.store_id AND i.invited_by = c.id
        ),
        'invited', (
            SELECT coalesce(json_agg(one ORDER BY one.joined_at DESC), '[]') FROM (
                SELECT CASE WHEN i.closed_at IS NULL
                        THEN coalesce(nullif(i.firstname, ''), split_part(i.username, ' ', 1)) ELSE '' END AS name,
                    i.created_at AS joined_at, r.amount AS reward
                FROM customers i
                LEFT JOIN referral_rewards r ON r.store_id = i.store_id AND r.invited_id = i.id
                WHERE i.store_id = c.store_id AND i.invited_by = c.id
                ORDER BY i.created_at DESC LIMIT {MOST_SHOWN}
            ) one
        ),
        'movements', (
            SELECT coalesce(json_agg(json_build_object('at', one.at, 'kind', one.kind, 'amount', one.amount,
                'status', one.status) ORDER BY one.at DESC, one.kind), '[]')
            FROM (
                SELECT r.created_at AS at, 'reward' AS kind, r.amount, NULL AS status
                FROM referral_rewards r WHERE r.store_id = c.store_id AND r.customer_id = c.id
                UNION ALL
                SELECT w.created_at, 'withdrawal', -w.amount, w.status
                FROM withdrawals w WHERE w.store_id = c.store_id AND w.customer_id = c.id
                UNION ALL
                SELECT w.decided_at, 'refused', w.amount, NULL
                FROM withdrawals w
                WHERE w.store_id = c.store_id AND w.customer_id = c.id AND w.status = 'refused'
                ORDER BY at DESC LIMIT {MOST_SHOWN}
            ) one
        )
    )::text
    FROM customers c WHERE c.store_id = :store_id AND c.id = :customer_id AND c.closed_at IS NULL
    """  # noqa: S608 - a number of our own
)


async def get_referral(session: AsyncSession, store_id: int, customer_id: int) -> Referral:
    """A customer's invitations, balance and movements. Raises Unauthenticated where the account was closed."""
    found = await session.scalar(_REFERRAL, {"store_id": store_id, "customer_id": customer_id})
    if found is None:
        raise Unauthenticated(LOGIN_REQUIRED, "This call needs a login.")
    return msgspec.json.decode(found, type=Referral)
