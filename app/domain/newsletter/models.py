"""The table of newsletter subscriptions: who agreed to what, when and where."""

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, CreatedAt, OptionalRef, StoreId


class Subscription(Base):
    """A mail address and whether it wants the newsletter. One per address and store; uuid opens it.

    consent_at and consent_source prove the consent (GDPR, article 7): when it was given, and by which form.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        UniqueConstraint("store_id", "uuid"),
        UniqueConstraint("store_id", "email_key"),
        UniqueConstraint("store_id", "confirm_digest"),
        CheckConstraint("status IN ('pending', 'subscribed', 'unsubscribed')", name="status"),
        CheckConstraint("gender IN ('male', 'female', 'other')", name="gender"),
        Index("subscriptions_customer_idx", "store_id", "customer_id"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId] = mapped_column(ForeignKey("stores.id"))
    uuid: Mapped[uuid.UUID]
    email: Mapped[str]
    email_key: Mapped[str]
    customer_id: Mapped[OptionalRef]
    status: Mapped[str] = mapped_column(server_default="pending")
    name: Mapped[str | None]
    birthday: Mapped[date | None]
    gender: Mapped[str | None]
    language: Mapped[str | None]
    identity: Mapped[str | None]
    utms: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    behaviour: Mapped[str | None]
    behaviour_params: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    consent_at: Mapped[datetime | None]
    consent_source: Mapped[str | None]
    confirm_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    confirm_expires_at: Mapped[datetime | None]
    unsubscribed_at: Mapped[datetime | None]
    unsubscribe_note: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[datetime]
