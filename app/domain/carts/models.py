"""Tables of carts. Prices stand in the catalogue; a line keeps only what was wanted."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, CreatedAt, Minor, OptionalRef, Ref, StoreId

MAX_QUANTITY = 999
MAX_LINES = 200


class Cart(Base):
    """A cart of a guest, whose uuid is its secret, or of one customer."""

    __tablename__ = "carts"
    __table_args__ = (
        UniqueConstraint("store_id", "uuid"),
        Index("carts_expires_idx", "expires_at", postgresql_where="emptied_at IS NULL"),
        Index("carts_asleep_idx", "updated_at", postgresql_where="abandoned_at IS NULL"),
        Index(
            "carts_customer_key",
            "store_id",
            "customer_id",
            unique=True,
            postgresql_where="customer_id IS NOT NULL",
        ),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    uuid: Mapped[uuid.UUID]
    customer_id: Mapped[OptionalRef]
    # What it was made in; a store that has stopped selling in it shows the cart in its own.
    currency: Mapped[str]
    note: Mapped[str | None]
    attributes: Mapped[list[Any]] = mapped_column(server_default="[]")
    coupon_code: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    # When it was noted, once, that its owner had left it.
    abandoned_at: Mapped[datetime | None]
    # When its time was over and it was emptied, since something was bought from it and it stays.
    emptied_at: Mapped[datetime | None]


class CartLine(Base):
    """A variant and how many; one line per variant.

    What was added is remembered: what a unit cost then, in which currency ('' is the cart's), and its name. Where it
    had other prices for more units or for customer groups, these and the groups of the buyer are, too.
    """

    __tablename__ = "cart_lines"
    __table_args__ = (
        UniqueConstraint("cart_id", "variant_id"),
        CheckConstraint(f"quantity BETWEEN 1 AND {MAX_QUANTITY}", name="quantity"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    cart_id: Mapped[Ref] = mapped_column(ForeignKey("carts.id", ondelete="CASCADE"))
    variant_id: Mapped[Ref]
    quantity: Mapped[int]
    added_price: Mapped[Minor]
    added_currency: Mapped[str] = mapped_column(server_default="")
    added_title: Mapped[str] = mapped_column(server_default="")
    added_prices: Mapped[list[Any]] = mapped_column(server_default="[]")
    added_groups: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    created_at: Mapped[CreatedAt]
