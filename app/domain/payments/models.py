"""Tables of payments: each attempt a row written before the service is called, and the events received."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, CreatedAt, Minor, OptionalRef, Ref, StoreId
from app.domain.payments.states import LIVE, PaymentState


def _in(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


class Payment(Base):
    """One attempt to be paid for an order. At most one attempt of an order at a service is alive.

    The row is committed before the service is called, and its key is the service's idempotency key:
    after a crash the same attempt is repeated, after a decline a new one is made. Minor units.

    What a gift card or store credit pays is a row of its own, captured from the first: source_id is that card's or
    credit's. So is each part in which `manual` money comes in; its reference is what people know it by. Together the captured rows of a paid order come to its total.
    """

    __tablename__ = "payments"
    __table_args__ = (
        UniqueConstraint("order_id", "attempt"),
        UniqueConstraint("store_id", "key"),
        CheckConstraint(_in("state", tuple(PaymentState)), name="state"),
        CheckConstraint("refunded >= 0 AND refunded <= captured", name="refunded"),
        CheckConstraint("captured >= 0", name="captured"),
        CheckConstraint("state <> 'captured' OR captured = amount", name="captured_whole"),
        Index(
            "payments_live_key",
            "order_id",
            unique=True,
            # Money that is paid outside may come in several parts, of which each is an attempt of its own.
            postgresql_where=f"{_in('state', LIVE)} AND source_id IS NULL "
            "AND NOT (service = 'manual' AND state = 'captured')",
        ),
        Index(
            "payments_receipt_key",
            "order_id",
            "reference",
            unique=True,
            postgresql_where="service = 'manual' AND reference IS NOT NULL",
        ),
        Index(
            "payments_part_key",
            "order_id",
            "service",
            unique=True,
            postgresql_where="source_id IS NOT NULL",
        ),
        Index(
            "payments_unfinished_idx",
            "asked_at",
            postgresql_where="state IN ('started', 'action_needed', 'unknown')",
        ),
        Index("payments_reference_idx", "service", "reference", postgresql_where="reference IS NOT NULL"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId] = mapped_column(ForeignKey("stores.id"))
    order_id: Mapped[Ref]
    checkout_id: Mapped[Ref]
    attempt: Mapped[int]
    key: Mapped[str]
    service: Mapped[str]
    source_id: Mapped[OptionalRef]
    # SHA-256 of the payment token: whether a later call means the same card. The token itself is not kept.
    means: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str]
    currency: Mapped[str]
    amount: Mapped[Minor]
    captured: Mapped[Minor] = mapped_column(server_default="0")
    refunded: Mapped[Minor] = mapped_column(server_default="0")
    reference: Mapped[str | None]
    reason: Mapped[str | None]
    # Whose saved means it is paid with, or for whom what it is paid with is to be saved.
    payer_id: Mapped[OptionalRef]
    saves: Mapped[bool] = mapped_column(server_default="false")
    # What the page needs to go on: next_step_url, client_secret, approval_url.
    action: Mapped[dict[str, Any] | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[datetime]
    # When the service was last asked about it, so that each unfinished attempt has its turn.
    asked_at: Mapped[datetime | None]


class PaymentRefund(Base):
    """Money that a service gave back, by whoever's wish: ours, or somebody's at the service's own pages.

    Its reference at the service makes it count once. `refused` counts nowhere: another currency, or more
    than was captured.
    """

    __tablename__ = "payment_refunds"
    __table_args__ = (
        UniqueConstraint("store_id", "payment_id", "reference"),
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("state IN ('made', 'failed', 'refused')", name="state"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    payment_id: Mapped[Ref] = mapped_column(ForeignKey("payments.id"))
    reference: Mapped[str]
    amount: Mapped[Minor]
    currency: Mapped[str]
    state: Mapped[str]
    noted_at: Mapped[datetime]


class PaymentDispute(Base):
    """A payment that the shopper's bank disputes, as its service says. What it moved stands in the ledger."""

    __tablename__ = "payment_disputes"
    __table_args__ = (UniqueConstraint("store_id", "payment_id", "reference"),)

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    payment_id: Mapped[Ref] = mapped_column(ForeignKey("payments.id"))
    reference: Mapped[str]
    amount: Mapped[Minor]
    currency: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str]
    noted_at: Mapped[datetime]


class RefundOrder(Base):
    """Money that we mean to give back: written before the service is called, made or failed once it has said so.

    called_at is when the service was first asked: from then on only its answer ends it. Minor units.
    """

    __tablename__ = "refund_orders"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("state IN ('wanted', 'made', 'failed')", name="state"),
        Index(None, "payment_id"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    payment_id: Mapped[Ref] = mapped_column(ForeignKey("payments.id"))
    amount: Mapped[Minor]
    reason: Mapped[str]
    # Which units of the order's lines it is for, as the order's feature wrote them; empty for a sum of any kind.
    lines: Mapped[list[Any]] = mapped_column(server_default="[]")
    # What the service calls it, once it was made.
    reference: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default="wanted")
    created_at: Mapped[CreatedAt]
    called_at: Mapped[datetime | None]


class PaymentCustomer(Base):
    """Who a customer is at a service that keeps means of payment for them."""

    __tablename__ = "payment_customers"

    store_id: Mapped[StoreId] = mapped_column(primary_key=True)
    customer_id: Mapped[Ref] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"), primary_key=True)
    service: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str]
    created_at: Mapped[CreatedAt]


class SavedMethod(Base):
    """A means of payment that a service keeps for a customer: its name there, and what its owner knows it by."""

    __tablename__ = "saved_methods"
    __table_args__ = (
        UniqueConstraint("store_id", "customer_id", "service", "reference"),
        Index(None, "customer_id"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    customer_id: Mapped[Ref] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"))
    service: Mapped[str]
    reference: Mapped[str]
    kind: Mapped[str]
    brand: Mapped[str]
    last_four: Mapped[str]
    exp_month: Mapped[int | None]
    exp_year: Mapped[int | None]
    created_at: Mapped[CreatedAt]


class PaymentEvent(Base):
    """A webhook as it was received, once per event id of its service."""

    __tablename__ = "payment_events"
    __table_args__ = (
        UniqueConstraint("service", "event_id"),
        Index("payment_events_received_idx", "received_at"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    service: Mapped[str]
    event_id: Mapped[str]
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]]
    outcome: Mapped[str]
    received_at: Mapped[CreatedAt]
