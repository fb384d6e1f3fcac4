"""How two carts become one: what adds up, where it stops, and that nothing is lost without a word."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Integer, bindparam, delete, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.statements import Statement
from app.domain.carts.errors import CART_FULL, QUANTITY_TOO_LARGE
from app.domain.carts.models import MAX_LINES, MAX_QUANTITY, Cart, CartLine
from app.domain.catalogue.sale_items import SaleItem, list_sale_items
from app.domain.inventory.errors import NOT_ENOUGH_STOCK


class Capped(msgspec.Struct, frozen=True):
    """A variant of which fewer are kept than the two carts held together; `reason` is an error's code.

    With cart_full nothing of the guest's line was taken over: it stays in the guest's cart.
    """

    variant_id: int
    wanted: int
    kept: int
    reason: str


class Pair(msgspec.Struct, frozen=True):
    """A customer's cart and the guest's that is to join it; None where there is none."""

    own: Cart | None
    guest: Cart | None


class Joined(msgspec.Struct, frozen=True):
    """What two carts become: quantities by line id, of lines that stay and of lines that move over.

    absorbed are the guest's lines whose units one of the customer's has taken up.
    """

    stays: dict[int, int]
    moves: dict[int, int]
    absorbed: tuple[int, ...]
    capped: tuple[Capped, ...]


# A guest's line counts as added by the customer whose cart takes it up: a login alone is no other price.
_THEIR_GROUPS: Final = """coalesce((
        SELECT b.groups FROM customers b WHERE b.store_id = :store_id AND b.id = :customer_id
    ), '{}')"""
_MOVE: Final = text(
    f"""
    UPDATE cart_lines l SET cart_id = :cart_id, quantity = wanted.quantity,
        added_groups = CASE WHEN l.cart_id <> :cart_id AND l.added_groups = '{{}}' AND l.added_prices <> '[]'
            THEN {_THEIR_GROUPS} ELSE l.added_groups END
    FROM unnest(:ids, :quantities) AS wanted (id, quantity)
    WHERE l.id = wanted.id
    """  # noqa: S608 - words of our own
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)), bindparam("quantities", type_=ARRAY(Integer)))
_KEEP: Final = Statement(
    f"""
    UPDATE cart_lines l SET added_groups = {_THEIR_GROUPS}
    WHERE l.cart_id = :cart_id AND l.added_groups = '{{}}' AND l.added_prices <> '[]'
    """  # noqa: S608 - words of our own
)


def _either(store_id: int, customer_id: int, uuid: UUID) -> ColumnElement[bool]:
    # A cart bound to a customer answers to that customer only: another's uuid names nothing here.
    own = Cart.customer_id == customer_id
    guests = Cart.customer_id.is_(None) & (Cart.uuid == uuid)
    return (Cart.store_id == store_id) & (own | guests)


async def list_pair_ids(session: AsyncSession, store_id: int, *, customer_id: int, uuid: UUID) -> list[int]:
    """The ids of the two carts without a lock, for whoever has to lock their checkouts before them."""
    found = await session.scalars(select(Cart.id).where(_either(store_id, customer_id, uuid)))
    return list(found)


async def lock_pair(
    session: AsyncSession, store_id: int, *, customer_id: int, uuid: UUID, now: datetime
) -> Pair:
    """Both carts, locked in the order of their ids. A guest's cart that has expired is none."""
    found = await session.scalars(
        select(Cart)
        .where(_either(store_id, customer_id, uuid))
        .order_by(Cart.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    carts = list(found)
    return Pair(
        own=next((cart for cart in carts if cart.customer_id == customer_id), None),
        guest=next((cart for cart in carts if cart.customer_id is None and cart.expires_at > now), None),
    )


def join_lines(own: Sequence[CartLine], guest: Sequence[CartLine], items: Mapping[int, SaleItem]) -> Joined:
    """Add a guest's lines to a customer's: up to stock, 999 a line and 200 lines.

    What the customer's own line held is never lowered, and a line of which nothing is left in stock is
    kept with one unit, for the shopper to see that it is sold out.
    """
    mine = {line.variant_id: line for line in own}
    stays: dict[int, int] = {}
    moves: dict[int, int] = {}
    absorbed: list[int] = []
    capped: list[Capped] = []
    for line in guest:
        there = mine.get(line.variant_id)
        held = there.quantity if there else 0
        wanted = held + line.quantity
        most, reason = _most(items.get(line.variant_id))
        kept = max(held, min(wanted, most), 1)
        if there is not None:
            stays[there.id] = kept
            absorbed.append(line.id)
        elif len(own) + len(moves) < MAX_LINES:
            moves[line.id] = kept
        else:
            kept, reason = 0, CART_FULL
        if kept < wanted:
            capped.append(Capped(line.variant_id, wanted, kept, reason))
    return Joined(stays, moves, tuple(absorbed), tuple(capped))


def _most(item: SaleItem | None) -> tuple[int, str]:
    """How many a line can hold, and what bounds it. What is no longer on sale has no stock to bound it."""
    available = item.available_units if item is not None else None
    if available is None or available >= MAX_QUANTITY:
        return MAX_QUANTITY, QUANTITY_TOO_LARGE
    return available, NOT_ENOUGH_STOCK


async def keep_lines(session: AsyncSession, store_id: int, cart: Cart) -> None:
    """Let the lines of a guest's cart that has become a customer's count as added by them. Locks the lines."""
    await _KEEP.rows(session, store_id=store_id, cart_id=cart.id, customer_id=cart.customer_id)


async def merge_lines(
    session: AsyncSession, store_id: int, *, own: Cart, guest: Cart, replace: bool
) -> tuple[Capped, ...]:
    """Move the guest's lines into the customer's cart, and tell what did not fit.

    With `replace` the customer's own lines go first, unless the guest's cart has none to take their place.
    Repeating it changes nothing, since a moved line is gone from the guest's cart. The caller holds the
    locks of both carts and of their checkouts.
    """
    found = await session.scalars(
        select(CartLine)
        .where(CartLine.store_id == store_id, CartLine.cart_id.in_((own.id, guest.id)))
        .order_by(CartLine.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    lines = list(found)
    theirs = [line for line in lines if line.cart_id == guest.id]
    mine = [line for line in lines if line.cart_id == own.id]
    if not theirs:
        return ()
    held = bool(mine)
    gone = [line.id for line in mine] if replace else []
    mine = [] if replace else mine
    items = await list_sale_items(session, store_id, [line.variant_id for line in theirs])
    joined = join_lines(mine, theirs, {item.variant_id: item for item in items})
    # Lines that go make room for those that come: a cart has one line per variant, by constraint.
    gone += joined.absorbed
    if gone:
        await session.execute(delete(CartLine).where(CartLine.id.in_(gone)))
    quantities = joined.stays | joined.moves
    await session.execute(
        _MOVE,
        {
            "store_id": store_id,
            "customer_id": own.customer_id,
            "cart_id": own.id,
            "ids": list(quantities),
            "quantities": list(quantities.values()),
        },
    )
    for line in lines:
        session.expunge(line)
    _take_over_words(own, guest, replace=replace, held=held)
    return joined.capped


def _take_over_words(own: Cart, guest: Cart, *, replace: bool, held: bool) -> None:
    """Note, attributes and coupon of the guest's cart where the customer's has none, or is replaced.

    A cart has one currency: the customer's, unless the guest's lines are all that is left in it.
    """
    if replace or not held:
        own.currency = guest.currency
    if replace or own.note is None:
        own.note = guest.note
    if replace or not own.attributes:
        own.attributes = guest.attributes
    if replace or own.coupon_code is None:
        own.coupon_code = guest.coupon_code
