"""How a checkout is read together with the cart that it is a view of, to be changed: in one statement, mostly.

A call that writes the checkout and nothing else only looks at both; what it writes is written where the checkout is
still as it was. Where more is written, the checkout is locked.
"""

from typing import Any, Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.statements import Statement, look_at, may_only_look, take_up
from app.domain.carts.queries import CART_COLUMNS, CartView, beside_view, cart_beside, load_cart
from app.domain.checkout.errors import checkout_not_found
from app.domain.checkout.models import Checkout
from app.domain.checkout.queries import lock_checkout
from app.domain.stores.queries import StoreConfig

_COLUMNS: Final = tuple(column.name for column in Checkout.__table__.columns)
# An order's id is drawn before its row is written: what is written first names it.
_NEXT_ID: Final = "nextval('orders_id_seq') AS fresh_id"


def _with_cart(*also: str) -> str:
    """A checkout of a token and its cart."""
    wanted = (*(f"k.{name}" for name in _COLUMNS), CART_COLUMNS, *also)
    return f"""
        SELECT {", ".join(wanted)}
        FROM checkouts k {cart_beside(cart_id="k.cart_id", store_id="k.store_id")}
        WHERE k.store_id = :store_id AND k.token = :token
        """  # noqa: S608 - words of our own


def _lock_with_cart(*also: str) -> Statement:
    """Lock a checkout and read its cart.

    What stands beside a row that is locked was read before the lock was waited for. So nobody waits here, and
    `as_read` says whether the row is what it was when its cart was read.
    """
    as_read = "(SELECT r.xmin FROM checkouts r WHERE r.id = k.id) = k.xmin AS as_read"
    return Statement(f"{_with_cart(as_read, *also)} FOR UPDATE OF k SKIP LOCKED")


_LOOK: Final = Statement(_with_cart("k.xmin AS version"), looks=True)
_LOOK_TO_BUY: Final = Statement(_with_cart("k.xmin AS version", _NEXT_ID), looks=True)
_LOCK: Final = _lock_with_cart()
_LOCK_TO_BUY: Final = _lock_with_cart(_NEXT_ID)
_FRESH_ID: Final = Statement(f"SELECT {_NEXT_ID}")


class ToBuy(NamedTuple):
    """A checkout with its cart; and the id of its order, which need not be there yet."""

    checkout: Checkout
    cart: CartView
    order_id: int


async def take_with_cart(session: AsyncSession, store: StoreConfig, token: str) -> tuple[Checkout, CartView]:
    """The checkout of a token, to be changed, and its cart as it is then.

    In a transaction that has begun it is locked until that ends; otherwise it is only looked at (`look_at`): the
    caller writes it and nothing else. Raises NotFound checkout_not_found.
    """
    if may_only_look(session):
        return _seen(session, store, await _LOOK.row(session, store_id=store.id, token=token))
    row = await _LOCK.row(session, store_id=store.id, token=token)
    return await _taken(session, store, token, row)


async def take_to_buy(session: AsyncSession, store: StoreConfig, token: str, *, at_once: bool) -> ToBuy:
    """As take_with_cart, with the id of the order that the checkout has or will have.

    at_once: the order may be placed by one statement; else the checkout is locked.
    """
    if at_once and may_only_look(session):
        seen: Any = await _LOOK_TO_BUY.row(session, store_id=store.id, token=token)
        checkout, cart = _seen(session, store, seen)
        return ToBuy(checkout, cart, checkout.order_id or seen["fresh_id"])
    row = await _LOCK_TO_BUY.row(session, store_id=store.id, token=token)
    checkout, cart = await _taken(session, store, token, row)
    if checkout.order_id is not None:
        return ToBuy(checkout, cart, checkout.order_id)
    drawn = row or await _FRESH_ID.one(session)
    return ToBuy(checkout, cart, drawn["fresh_id"])


def _seen(session: AsyncSession, store: StoreConfig, row: Any) -> tuple[Checkout, CartView]:
    if row is None:
        raise checkout_not_found()
    seen = look_at(session, Checkout, {name: row[name] for name in _COLUMNS}, version=row["version"])
    return seen, beside_view(row, store)


async def _taken(
    session: AsyncSession, store: StoreConfig, token: str, row: Any
) -> tuple[Checkout, CartView]:
    if row is not None and row["as_read"]:
        checkout = take_up(session, Checkout, {name: row[name] for name in _COLUMNS})
        return checkout, beside_view(row, store)
    # Somebody has it, or has just had it: the cart is read once that is over.
    checkout = await lock_checkout(session, store.id, token)
    return checkout, await load_cart(session, store, checkout.cart_id)
