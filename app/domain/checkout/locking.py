"""How a checkout is locked together with the cart that it is a view of: in one statement, where nobody has to wait."""

from typing import Any, Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.statements import Statement, take_up
from app.domain.carts.queries import CART_COLUMNS, CartView, beside_view, cart_beside, load_cart
from app.domain.checkout.models import Checkout
from app.domain.checkout.queries import lock_checkout
from app.domain.stores.queries import StoreConfig

_COLUMNS: Final = tuple(column.name for column in Checkout.__table__.columns)
# An order's id is drawn before its row is written: what is written first names it.
_NEXT_ID: Final = "nextval('orders_id_seq') AS fresh_id"


def _lock_with_cart(*also: str) -> Statement:
    """Lock a checkout and read its cart.

    What stands beside a row that is locked was read before the lock was waited for. So nobody waits here, and
    `as_read` says whether the row is what it was when its cart was read.
    """
    wanted = (
        *(f"k.{name}" for name in _COLUMNS),
        CART_COLUMNS,
        "(SELECT r.xmin FROM checkouts r WHERE r.id = k.id) = k.xmin AS as_read",
        *also,
    )
    return Statement(
        f"""
        SELECT {", ".join(wanted)}
        FROM checkouts k {cart_beside(cart_id="k.cart_id", store_id="k.store_id")}
        WHERE k.store_id = :store_id AND k.token = :token FOR UPDATE OF k SKIP LOCKED
        """  # noqa: S608 - words of our own
    )


_LOCK: Final = _lock_with_cart()
_LOCK_TO_BUY: Final = _lock_with_cart(_NEXT_ID)
_FRESH_ID: Final = Statement(f"SELECT {_NEXT_ID}")


class ToBuy(NamedTuple):
    """A checkout, locked, with its cart; and the id of its order, which need not be there yet."""

    checkout: Checkout
    cart: CartView
    order_id: int


async def lock_with_cart(session: AsyncSession, store: StoreConfig, token: str) -> tuple[Checkout, CartView]:
    """The checkout of a token, locked until the transaction ends, and its cart as it is then.

    Raises NotFound checkout_not_found.
    """
    row = await _LOCK.row(session, store_id=store.id, token=token)
    return await _taken(session, store, token, row)


async def lock_to_buy(session: AsyncSession, store: StoreConfig, token: str) -> ToBuy:
    """As lock_with_cart, with the id of the order that the checkout has or will have."""
    row = await _LOCK_TO_BUY.row(session, store_id=store.id, token=token)
    checkout, cart = await _taken(session, store, token, row)
    if checkout.order_id is not None:
        return ToBuy(checkout, cart, checkout.order_id)
    drawn = row or await _FRESH_ID.one(session)
    return ToBuy(checkout, cart, drawn["fresh_id"])


async def _taken(
    session: AsyncSession, store: StoreConfig, token: str, row: Any
) -> tuple[Checkout, CartView]:
    if row is not None and row["as_read"]:
        checkout = take_up(session, Checkout, {name: row[name] for name in _COLUMNS})
        return checkout, beside_view(row, store)
    # Somebody has it, or has just had it: the cart is read once that is over.
    checkout = await lock_checkout(session, store.id, token)
    return checkout, await load_cart(session, store, checkout.cart_id)
