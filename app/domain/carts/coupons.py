"""The code on a cart: it is put there only where it counts, and stays until it is taken off or the cart is bought.

Whether it still counts is looked at with each price. Its uses are counted when an order is placed, never here.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.carts.errors import cart_not_found
from app.domain.carts.pricing import list_cart_offers, quote_cart
from app.domain.carts.queries import CartView, load_cart
from app.domain.promotions.errors import coupon_refused
from app.domain.promotions.quotes import Quote
from app.domain.stores.queries import StoreConfig

# Without a uuid the customer's cart is meant. Finding it for a change keeps it alive, and locks it.
_TOUCH: Final = text(
    """
    UPDATE carts SET updated_at = :now, expires_at = :expires_at
    WHERE store_id = :store_id AND expires_at > :now
      AND CASE WHEN CAST(:uuid AS uuid) IS NULL THEN customer_id = CAST(:customer_id AS bigint)
        ELSE uuid = CAST(:uuid AS uuid)
            AND (customer_id IS NULL OR customer_id = CAST(:customer_id AS bigint)) END
    RETURNING id
    """
).bindparams(bindparam("uuid", type_=Uuid), bindparam("customer_id", type_=BigInteger))
_SPEND: Final = text(
    """
    UPDATE carts SET coupon_code = NULL
    WHERE store_id = :store_id AND id = :cart_id AND coupon_code = :code
    """
)
_WRITE: Final = text("UPDATE carts SET coupon_code = :code WHERE store_id = :store_id AND id = :cart_id")


async def put_code(
    session: AsyncSession,
    store: StoreConfig,
    *,
    uuid: UUID | None,
    customer_id: int | None,
    code: str | None,
    now: datetime,
    keep_seconds: int,
) -> tuple[CartView, Quote]:
    """Put a code on a cart in the place of what was there, or take it off with None; the cart and its quote.

    Raises NotFound cart_not_found, and Invalid coupon_* where the code does not count: then the cart stays as it
    was. Locks the cart.
    """
    touched = await session.execute(
        _TOUCH,
        {
            "store_id": store.id,
            "uuid": uuid,
            "customer_id": customer_id,
            "now": now,
            "expires_at": now + timedelta(seconds=keep_seconds),
        },
    )
    cart_id: int | None = touched.scalar()
    if cart_id is None:
        raise cart_not_found()
    cart = with_code(await load_cart(session, store, cart_id, shown=True), code)
    offers = await list_cart_offers(session, store, cart, customer_id=customer_id, now=now)
    quote = quote_cart(store, cart, offers)
    check_coupon(quote, "code")
    await write_code(session, store.id, cart_id, quote.coupon.code if quote.coupon else None)
    return cart, quote


def with_code(cart: CartView, code: str | None) -> CartView:
    """The cart as it would be with another code."""
    return msgspec.structs.replace(cart, coupon_code=code)


def check_coupon(quote: Quote, field: str) -> None:
    """Raise Invalid coupon_* where the code of a quote does not count; field is what it was sent in."""
    if quote.coupon is not None and quote.coupon.refusal is not None:
        raise coupon_refused(field, quote.coupon.refusal)


async def write_code(session: AsyncSession, store_id: int, cart_id: int, code: str | None) -> None:
    """Keep a code that was found to count, as the merchant wrote it; None takes it off."""
    await session.execute(_WRITE, {"store_id": store_id, "cart_id": cart_id, "code": code})


async def take_off_spent(session: AsyncSession, store_id: int, cart_id: int, code: str) -> None:
    """Take a code off a cart that was bought with it; another one that came meanwhile stays."""
    await session.execute(_SPEND, {"store_id": store_id, "cart_id": cart_id, "code": code})
