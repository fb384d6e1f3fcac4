"""Tables of orders: frozen lines and totals, and a timeline of everything that happened."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, CreatedAt, Minor, OptionalRef, Ref, StoreId


class Order(Base):
    """One order of one checkout. Until it is placed it is pending: no number, in no list, no mail.

    total = items - discount + shipping + tax, where tax is 0 in it for stores whose prices include tax
    (tax_included): then `tax` says how much of the total is tax. Minor units.
    """

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("store_id", "checkout_id"),
        UniqueConstraint("store_id", "number"),
        CheckConstraint("status IN ('pending', 'open', 'completed', 'cancelled')", name="status"),
        CheckConstraint(
            "payment_status IN ('pending', 'authorized', 'paid', 'partially_paid', "
            "'partially_refunded', 'refunded', 'failed')",
            name="payment_status",
        ),
        CheckConstraint(
            "fulfilment_status IN ('unfulfilled', 'partial', 'fulfilled', 'returned')",
            name="fulfilment_status",
        ),
        CheckConstraint(
            "total = items_total - discount_total + shipping_total "
            "+ CASE WHEN tax_included THEN 0 ELSE tax_total END",
            name="total",
        ),
        CheckConstraint("total >= 0", name="total_sign"),
        CheckConstraint("(status = 'pending') = (number IS NULL) OR status = 'cancelled'", name="number"),
        Index(
            "orders_customer_idx",
            "store_id",
            "customer_id",
            "id",
            postgresql_where="customer_id IS NOT NULL",
        ),
        Index("orders_email_idx", "store_id", text("lower(email)")),
        Index(
            "orders_placed_idx",
            "store_id",
            "placed_at",
            postgresql_where="status IN ('open', 'completed')",
        ),
        Index("orders_pending_idx", "created_at", postgresql_where="status = 'pending'"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId] = mapped_column(ForeignKey("stores.id"))
    checkout_id: Mapped[Ref]
    checkout_token: Mapped[str]
    number: Mapped[int | None]
    name: Mapped[str | None]
    customer_id: Mapped[OptionalRef]
    email: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="pending")
    payment_status: Mapped[str] = mapped_column(server_default="pending")
    fulfilment_status: Mapped[str] = mapped_column(server_default="unfulfilled")
    currency: Mapped[str]
    tax_included: Mapped[bool]
    items_total: Mapped[Minor]
    discount_total: Mapped[Minor]
    shipping_total: Mapped[Minor]
    tax_total: Mapped[Minor]
    total: Mapped[Minor]
    shipping_address: Mapped[dict[str, Any] | None]
    billing_address: Mapped[dict[str, Any] | None]
    shipping_option: Mapped[dict[str, Any] | None]
    coupon_code: Mapped[str | None]
    # The promotions that it was bought with, as they stood then.
    discounts: Mapped[list[Any]] = mapped_column(server_default="[]")
    # What the buyer wrote beside the goods, and agreed to.
    note: Mapped[str | None]
    attributes: Mapped[list[Any]] = mapped_column(server_default="[]")
    consents: Mapped[list[Any]] = mapped_column(server_default="[]")
    additional_fields: Mapped[Any] = mapped_column(JSONB, nullable=True)
    created_at: Mapped[CreatedAt]
    placed_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]


class OrderLine(Base):
    """A line as it was bought. line_price is price times quantity, before its discount. Minor units."""

    __tablename__ = "order_lines"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("line_price = price * quantity", name="line_price"),
        CheckConstraint("shipped BETWEEN 0 AND quantity", name="shipped"),
        CheckConstraint("refunded BETWEEN 0 AND quantity", name="refunded"),
        CheckConstraint("dropped BETWEEN 0 AND quantity - shipped", name="dropped"),
        CheckConstraint("came_back BETWEEN 0 AND shipped", name="came_back"),
        Index(None, "order_id"),
        Index(None, "store_id", "variant_id"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    order_id: Mapped[Ref] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    position: Mapped[int]
    variant_id: Mapped[Ref]
    product_id: Mapped[Ref]
    title: Mapped[str]
    variant_title: Mapped[str]
    sku: Mapped[str | None]
    image: Mapped[str | None]
    quantity: Mapped[int]
    price: Mapped[Minor]
    line_price: Mapped[Minor]
    discount: Mapped[Minor]
    tax: Mapped[Minor]
    # In parts per million.
    tax_rate: Mapped[int]
    grams: Mapped[int]
    requires_shipping: Mapped[bool]
    # What each promotion took off it; a gift is a line of its own, at a price of 0.
    discounts: Mapped[list[Any]] = mapped_column(server_default="[]")
    gift: Mapped[bool] = mapped_column(server_default="false")
    # How many of it are in parcels.
    shipped: Mapped[int] = mapped_column(server_default="0")
    # How many of it were paid back, line by line; sums that are paid back name no line.
    refunded: Mapped[int] = mapped_column(server_default="0")
    # How many of these were in no parcel then, and are not to be shipped any more.
    dropped: Mapped[int] = mapped_column(server_default="0")
    # How many of these had been shipped, and were sent back.
    came_back: Mapped[int] = mapped_column(server_default="0")


class OrderEvent(Base):
    """A row of an order's timeline."""

    __tablename__ = "order_events"
    __table_args__ = (Index(None, "order_id"),)

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    order_id: Mapped[Ref] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    event: Mapped[str]
    detail: Mapped[str] = mapped_column(Text, server_default="")


class OrderLink(Base):
    """A mailed secret that opens one order once; kept as its SHA-256."""

    __tablename__ = "order_links"
    __table_args__ = (Index(None, "expires_at"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    store_id: Mapped[StoreId]
    order_id: Mapped[Ref] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class OrderCancellation(Base):
    """What a buyer or the shop said about cancelling an order; one row an order, decided once."""

    __tablename__ = "order_cancellations"
    __table_args__ = (
        UniqueConstraint("order_id"),
        CheckConstraint("status IN ('requested', 'accepted', 'refused')", name="status"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    order_id: Mapped[Ref] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    status: Mapped[str] = mapped_column(server_default="requested")
    reason: Mapped[str]
    note: Mapped[str] = mapped_column(server_default="")
    requested_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]


class Parcel(Base):
    """Lines of an order on their way; number and url are the carrier's, where it has any."""

    __tablename__ = "parcels"
    __table_args__ = (
        CheckConstraint("status IN ('shipped', 'delivered', 'returned')", name="status"),
        Index(None, "order_id"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    order_id: Mapped[Ref] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    carrier: Mapped[str]
    number: Mapped[str | None]
    url: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default="shipped")
    created_at: Mapped[CreatedAt]


class ParcelLine(Base):
    """How many units of an order's line are in a parcel."""

    __tablename__ = "parcel_lines"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity"),
        Index(None, "order_line_id"),
    )

    parcel_id: Mapped[Ref] = mapped_column(ForeignKey("parcels.id", ondelete="CASCADE"), primary_key=True)
    order_line_id: Mapped[Ref] = mapped_column(
        ForeignKey("order_lines.id", ondelete="CASCADE"), primary_key=True
    )
    store_id: Mapped[StoreId]
    quantity: Mapped[int]


class ParcelEvent(Base):
    """Where a parcel was, as its buyer is told."""

    __tablename__ = "parcel_events"
    __table_args__ = (Index(None, "parcel_id"),)

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    parcel_id: Mapped[Ref] = mapped_column(ForeignKey("parcels.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    text: Mapped[str]
    place: Mapped[str] = mapped_column(server_default="")
