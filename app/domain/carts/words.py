"""What a cart says beside its lines: a note, attributes under names of the page's own, and its currency."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.carts.errors import cart_not_found
from app.domain.carts.models import Cart
from app.domain.stores.currencies import check_currency
from app.domain.stores.queries import StoreConfig

_WRITE_NOTE: Final = text(
    "UPDATE carts SET note = CAST(:note AS text) WHERE store_id = :store_id AND id = :cart_id"
)


class CartWords(msgspec.Struct, frozen=True):
    """What else a cart says. What is UNSET stays as it is."""

    note: str | UnsetType | None = UNSET
    attributes: list[dict[str, str]] | UnsetType = UNSET
    currency: str | UnsetType = UNSET


async def write_words(
    session: AsyncSession,
    store: StoreConfig,
    words: CartWords,
    *,
    uuid: UUID | None,
    customer_id: int | None,
    now: datetime,
    keep_seconds: int,
) -> int:
    """Write a cart's note, attributes and currency; which cart it is. Without a uuid the customer's is meant.

    Prices follow the currency with the next look at the cart. Raises NotFound cart_not_found and Invalid
    currency_not_offered. Locks the cart.
    """
    wanted = msgspec.to_builtins(words)  # what is unset is left out
    check_currency(store, wanted.get("currency"))
    which = Cart.customer_id == customer_id
    if uuid is not None:
        which = (Cart.uuid == uuid) & (Cart.customer_id.is_(None) | which)
    elif customer_id is None:
        raise cart_not_found()
    cart_id = await session.scalar(
        update(Cart)
        .where(Cart.store_id == store.id, Cart.expires_at > now, which)
        .values(updated_at=now, expires_at=now + timedelta(seconds=keep_seconds), **wanted)
        .returning(Cart.id)
        .execution_options(synchronize_session=False)
    )
    if cart_id is None:
        raise cart_not_found()
    return cart_id


async def write_note(session: AsyncSession, store_id: int, cart_id: int, note: str | None) -> None:
    """Write the note of a cart that is being bought. Locks the cart."""
    await session.execute(_WRITE_NOTE, {"store_id": store_id, "cart_id": cart_id, "note": note})
