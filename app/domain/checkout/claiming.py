"""What becomes a customer's at a login: the guest's cart, and the checkout that is open."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import exists, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.statements import Statement
from app.domain.carts.merging import Capped, keep_lines, list_pair_ids, lock_pair, merge_lines
from app.domain.carts.models import Cart
from app.domain.checkout.models import Checkout
from app.domain.checkout.service import move_checkout
from app.domain.checkout.states import EDITABLE, LIVE, CheckoutState
from app.kit.errors import AppError

logger = logging.getLogger(__name__)


class Taken(msgspec.Struct, frozen=True):
    """What became of a guest's cart.

    cart_id is the customer's cart, None where there is none yet. found says whether there was a cart of
    that uuid for this customer at all. waits: its checkout is being paid, so it was left as it is.
    """

    cart_id: int | None
    found: bool
    waits: bool = False
    capped: tuple[Capped, ...] = ()


class Claimed(msgspec.Struct, frozen=True):
    """What a login brought along: the customer's cart, what did not fit into it, and the open checkout."""

    cart_uuid: UUID | None
    checkout_token: str | None
    capped: tuple[Capped, ...] = ()


async def claim_at_login(
    session: AsyncSession,
    store_id: int,
    *,
    customer_id: int,
    cart_uuid: UUID | None,
    checkout_token: str | None,
    skip_cart_merge: bool,
    now: datetime,
    keep_seconds: int,
) -> Claimed:
    """Make the guest's cart and open checkout the customer's, as far as that goes.

    Never in the way of a login: an unknown cart or a wrong token is ignored, and where something else goes
    wrong, all of it stays the guest's, who can still merge later. Locks checkouts, then carts.
    """
    try:
        async with session.begin_nested():
            return await _claim(
                session,
                store_id,
                customer_id=customer_id,
                cart_uuid=cart_uuid,
                checkout_token=checkout_token,
                skip_cart_merge=skip_cart_merge,
                now=now,
                keep_seconds=keep_seconds,
            )
    except Exception as problem:
        # A mistake of ours is no reason either to keep somebody out.
        if isinstance(problem, DBAPIError) and problem.connection_invalidated:
            raise
        expected = isinstance(problem, (AppError, DBAPIError))
        logger.log(
            logging.WARNING if expected else logging.ERROR,
            "a cart was not merged at login: %r",
            problem,
            exc_info=None if expected else problem,
        )
        return Claimed(None, None)


async def _claim(
    session: AsyncSession,
    store_id: int,
    *,
    customer_id: int,
    cart_uuid: UUID | None,
    checkout_token: str | None,
    skip_cart_merge: bool,
    now: datetime,
    keep_seconds: int,
) -> Claimed:
    taken = Taken(None, found=False)
    capped: list[Capped] = []
    if not skip_cart_merge:
        # The cart that the checkout is a view of comes last: its checkout is the one that stays open.
        uuids = [cart_uuid, await _find_cart_of(session, store_id, checkout_token)]
        for uuid in dict.fromkeys(uuid for uuid in uuids if uuid is not None):
            taken = await take_cart(
                session,
                store_id,
                customer_id=customer_id,
                uuid=uuid,
                replace=False,
                keep_checkout=checkout_token,
                now=now,
                keep_seconds=keep_seconds,
            )
            capped += taken.capped
    claimed = await claim_checkout(session, store_id, token=checkout_token, customer_id=customer_id, now=now)
    own_uuid = await _find_own_cart(session, store_id, customer_id, now=now)
    return Claimed(own_uuid, checkout_token if claimed else None, tuple(capped))


_OWN_CART: Final = Statement(
    "SELECT uuid FROM carts WHERE store_id = :store_id AND customer_id = :customer_id AND expires_at > :now"
)


async def _find_own_cart(
    session: AsyncSession, store_id: int, customer_id: int, *, now: datetime
) -> UUID | None:
    found = await _OWN_CART.row(session, store_id=store_id, customer_id=customer_id, now=now)
    uuid: UUID | None = None if found is None else found["uuid"]
    return uuid


async def _find_cart_of(session: AsyncSession, store_id: int, token: str | None) -> UUID | None:
    """The cart of a checkout that is open; None for a wrong token."""
    if not token:
        return None
    found: UUID | None = await session.scalar(
        select(Cart.uuid)
        .join(Checkout, Checkout.cart_id == Cart.id)
        .where(Checkout.store_id == store_id, Checkout.token == token, Checkout.state.in_(EDITABLE))
    )
    return found


async def take_cart(
    session: AsyncSession,
    store_id: int,
    *,
    customer_id: int,
    uuid: UUID,
    replace: bool,
    now: datetime,
    keep_seconds: int,
    keep_checkout: str | None = None,
) -> Taken:
    """Let a guest's cart join the customer's, or become it where there is none: then it keeps its uuid.

    With `replace` it takes the place of what the customer's held. A cart has one open checkout: where both
    carts have one, that of the customer's cart stays, unless `keep_checkout` is the token of the guest's.
    A guest's cart whose checkout is being paid is left alone. Repeating it changes nothing; parallel calls
    follow each other. Locks checkouts, then carts, each in the order of their ids.
    """
    try:
        async with session.begin_nested():
            return await _take(
                session,
                store_id,
                customer_id=customer_id,
                uuid=uuid,
                replace=replace,
                keep_checkout=keep_checkout,
                now=now,
                keep_seconds=keep_seconds,
            )
    except IntegrityError:
        # Meanwhile another call gave the customer a cart; by now it can be seen and joined.
        return await _take(
            session,
            store_id,
            customer_id=customer_id,
            uuid=uuid,
            replace=replace,
            keep_checkout=keep_checkout,
            now=now,
            keep_seconds=keep_seconds,
        )


async def _take(
    session: AsyncSession,
    store_id: int,
    *,
    customer_id: int,
    uuid: UUID,
    replace: bool,
    keep_checkout: str | None,
    now: datetime,
    keep_seconds: int,
) -> Taken:
    ids = await list_pair_ids(session, store_id, customer_id=customer_id, uuid=uuid)
    await _lock_live(session, store_id, ids)
    pair = await lock_pair(session, store_id, customer_id=customer_id, uuid=uuid, now=now)
    own, guest = pair.own, pair.guest
    if guest is None:
        return Taken(own.id if own else None, found=own is not None and own.uuid == uuid)
    # Nobody can open a checkout of a locked cart: these are all, also those made since the first look.
    carts = [cart.id for cart in (own, guest) if cart is not None]
    live = {checkout.cart_id: checkout for checkout in await _lock_live(session, store_id, carts)}
    theirs = live.get(guest.id)
    if theirs is not None and theirs.customer_id not in (None, customer_id):
        return Taken(own.id if own else None, found=False)
    if own is None:
        guest.customer_id = customer_id
        _touch(guest, now=now, keep_seconds=keep_seconds)
        if theirs is not None and theirs.state in EDITABLE:
            theirs.customer_id = customer_id
        await session.flush()
        await keep_lines(session, store_id, guest)
        return Taken(guest.id, found=True)
    if theirs is not None and theirs.state == CheckoutState.PAYING:
        # What is being paid leaves its cart when the order is made; moved, it would be bought and stay.
        return Taken(own.id, found=True, waits=True)
    capped = await merge_lines(session, store_id, own=own, guest=guest, replace=replace)
    _touch(own, now=now, keep_seconds=keep_seconds)
    if theirs is not None:
        await _follow(session, theirs, own, live.get(own.id), keep_checkout=keep_checkout, now=now)
    await session.flush()
    return Taken(own.id, found=True, capped=capped)


async def _follow(
    session: AsyncSession,
    theirs: Checkout,
    own: Cart,
    mine: Checkout | None,
    *,
    keep_checkout: str | None,
    now: datetime,
) -> None:
    """Let the guest's open checkout go where its lines went, or end it where another one is open there."""
    if theirs.expires_at <= now:
        return
    stale = mine is not None and mine.state in EDITABLE and mine.expires_at <= now
    if mine is not None and not stale and (mine.state not in EDITABLE or theirs.token != keep_checkout):
        move_checkout(theirs, CheckoutState.CANCELLED, now=now)
        return
    if mine is not None:
        move_checkout(mine, CheckoutState.EXPIRED if stale else CheckoutState.CANCELLED, now=now)
        await session.flush()  # one open checkout a cart, by constraint
    theirs.cart_id = own.id
    theirs.customer_id = own.customer_id


def _touch(cart: Cart, *, now: datetime, keep_seconds: int) -> None:
    cart.updated_at = now
    cart.expires_at = now + timedelta(seconds=keep_seconds)


async def _lock_live(session: AsyncSession, store_id: int, cart_ids: Iterable[int]) -> list[Checkout]:
    """The checkouts of carts that have not ended, locked in the order of their ids."""
    found = await session.scalars(
        select(Checkout)
        .where(Checkout.store_id == store_id, Checkout.cart_id.in_(list(cart_ids)), Checkout.state.in_(LIVE))
        .order_by(Checkout.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(found)


async def claim_checkout(
    session: AsyncSession, store_id: int, *, token: str | None, customer_id: int, now: datetime
) -> bool:
    """Make an open checkout the customer's; whether it now is.

    A wrong token is ignored, and so is the checkout of another customer or of their cart. One that is being
    paid stays what it is: its order is written already. Locks the checkout.
    """
    if not token:
        return False
    found = (
        await session.execute(
            select(Checkout, Cart.customer_id)
            .join(Cart, Cart.id == Checkout.cart_id)
            .where(Checkout.store_id == store_id, Checkout.token == token)
            .with_for_update(of=Checkout)
            .execution_options(populate_existing=True)
        )
    ).first()
    if found is None:
        return False
    checkout, owner = found
    free = {checkout.customer_id, owner} <= {None, customer_id}
    if not free or checkout.state not in EDITABLE or checkout.expires_at <= now:
        return False
    checkout.customer_id = customer_id
    await session.flush()
    return True


async def has_open_checkout(session: AsyncSession, store_id: int, *, customer_id: int, now: datetime) -> bool:
    """Whether a checkout of this customer is open, which a page must not go on with after a logout."""
    found = await session.scalar(
        select(
            exists().where(
                Checkout.store_id == store_id,
                Checkout.customer_id == customer_id,
                Checkout.state.in_(LIVE),
                (Checkout.expires_at > now) | (Checkout.state == CheckoutState.PAYING),
            )
        )
    )
    return bool(found)
