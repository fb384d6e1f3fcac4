"""Tables of stock: the count, what is held for a checkout, and every movement."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, CreatedAt, OptionalRef, Ref, StoreId


class StockItem(Base):
    """The stock of one variant.

    Untracked: never counted, never out of stock. Tracked with policy deny: sold down to its floor,
    which is 0, or an imported negative until it is restocked. Tracked with policy continue: no floor.
    What can be sold now is on_hand - reserved.
    """

    __tablename__ = "stock_items"
    __table_args__ = (
        CheckConstraint("policy IN ('deny', 'continue')", name="policy"),
        CheckConstraint("reserved >= 0", name="reserved"),
        CheckConstraint("floor IS NULL OR on_hand >= floor", name="floor"),
        CheckConstraint("(policy = 'continue') = (floor IS NULL)", name="floor_of_policy"),
        # Lists ask what is sold out, which is the smaller part; sales that leave some touch no index.
        Index("stock_items_sold_out_idx", "store_id", "variant_id", postgresql_where=text("NOT available")),
    )

    store_id: Mapped[StoreId] = mapped_column(ForeignKey("stores.id"), primary_key=True)
    variant_id: Mapped[Ref] = mapped_column(primary_key=True)
    tracked: Mapped[bool]
    policy: Mapped[str]
    on_hand: Mapped[int] = mapped_column(server_default="0")
    reserved: Mapped[int] = mapped_column(server_default="0")
    floor: Mapped[int | None] = mapped_column(server_default="0")
    # Whether one more can be sold; generated, so that lists can be filtered by an index.
    available: Mapped[bool] = mapped_column(
        Computed("NOT tracked OR floor IS NULL OR on_hand - reserved > floor", persisted=True)
    )


class Reservation(Base):
    """Units held for one checkout while it is being paid; held becomes sold or released, once."""

    __tablename__ = "reservations"
    __table_args__ = (
        UniqueConstraint("store_id", "checkout_id", "variant_id"),
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("state IN ('held', 'sold', 'released')", name="state"),
        Index("reservations_held_idx", "expires_at", postgresql_where="state = 'held'"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    checkout_id: Mapped[Ref]
    variant_id: Mapped[Ref]
    quantity: Mapped[int]
    state: Mapped[str] = mapped_column(server_default="held")
    expires_at: Mapped[datetime]


class StockMovement(Base):
    """Why on_hand changed: stocked (also corrections, by sign), sold, returned. Append-only by convention."""

    __tablename__ = "stock_movements"
    __table_args__ = (
        CheckConstraint("kind IN ('stocked', 'sold', 'returned')", name="kind"),
        Index(None, "store_id", "variant_id"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    variant_id: Mapped[Ref]
    kind: Mapped[str]
    delta: Mapped[int]
    order_id: Mapped[OptionalRef]
    at: Mapped[CreatedAt]
