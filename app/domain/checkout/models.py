"""The table of checkouts: a view of a cart until it is paid, frozen while paying."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, CreatedAt, OptionalRef, Ref, StoreId


class Checkout(Base):
    """One way through the till. A cart has at most one that is open. frozen holds lines and quote while paying."""

    __tablename__ = "checkouts"
    __table_args__ = (
        UniqueConstraint("store_id", "token"),
        CheckConstraint(
            "state IN ('open', 'priced', 'paying', 'completed', 'expired', 'cancelled')", name="state"
        ),
        CheckConstraint("state <> 'paying' OR frozen IS NOT NULL", name="frozen"),
        Index(
            "checkouts_open_key",
            "store_id",
            "cart_id",
            unique=True,
            postgresql_where="state IN ('open', 'priced', 'paying')",
        ),
        Index("checkouts_paying_idx", "held_until", postgresql_where="state = 'paying'"),
        Index("checkouts_dead_idx", "updated_at", postgresql_where="state IN ('expired', 'cancelled')"),
        Index(None, "cart_id"),
        Index(
            "checkouts_customer_idx", "store_id", "customer_id", postgresql_where="customer_id IS NOT NULL"
        ),
        Index("checkouts_expires_idx", "expires_at", postgresql_where="state IN ('open', 'priced')"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    token: Mapped[str]
    cart_id: Mapped[Ref] = mapped_column(ForeignKey("carts.id"))
    customer_id: Mapped[OptionalRef]
    state: Mapped[str] = mapped_column(server_default="open")
    currency: Mapped[str]
    email: Mapped[str | None]
    subscribe: Mapped[bool] = mapped_column(server_default="false")
    shipping_address: Mapped[dict[str, Any] | None]
    billing_address: Mapped[dict[str, Any] | None]
    billing_same_as_shipping: Mapped[bool] = mapped_column(server_default="true")
    shipping_option_id: Mapped[OptionalRef]
    # What carriers asked for the parcel last, and for which parcel that was.
    rates: Mapped[dict[str, Any] | None]
    # Units and prices as the last call that changed it showed them.
    seen: Mapped[dict[str, Any] | None]
    # What the buyer agreed to, in the words that they read, and when.
    consents: Mapped[list[Any]] = mapped_column(server_default="[]")
    identity: Mapped[str | None]
    time_zone: Mapped[str | None]
    detected_country: Mapped[str | None]
    # What pays a part of it: a card by whoever put it on, and the customer's credit where they want that.
    gift_card_id: Mapped[OptionalRef]
    use_store_credit: Mapped[bool] = mapped_column(server_default="false")
    frozen: Mapped[dict[str, Any] | None]
    held_until: Mapped[datetime | None]
    order_id: Mapped[OptionalRef]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[datetime]
    expires_at: Mapped[datetime]
