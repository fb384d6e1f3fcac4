"""The table of newsletter subscriptions: who asked for it, who agreed, when and where."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, CreatedAt, OptionalRef, StoreId


class Subscription(Base):
    """A mail address and whether it wants the newsletter.

    An address has at most two rows. One is what anybody who knows the address may have asked for; the other,
    with confirmed_at, is what its owner agreed to through a mail. Two uuids open a row: form_uuid stands in
    the answer to whoever asked, and never shows what is personal; uuid stands in mails only, and opens all.

    consent_at and consent_source prove the consent (GDPR, article 7): when it was given, and by which form.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        UniqueConstraint("store_id", "uuid"),
        UniqueConstraint("store_id", "form_uuid"),
        Index(
            "subscriptions_request_key",
            "store_id",
            "email_key",
            unique=True,
            postgresql_where="confirmed_at IS NULL",
        ),
        Index(
            "subscriptions_confirmed_key",
            "store_id",
            "email_key",
            unique=True,
            postgresql_where="confirmed_at IS NOT NULL",
        ),
        UniqueConstraint("store_id", "confirm_digest"),
        CheckConstraint("status IN ('pending', 'subscribed', 'unsubscribed')", name="status"),
        CheckConstraint("gender IN ('male', 'female', 'other')", name="gender"),
        Index("subscriptions_customer_idx", "store_id", "customer_id"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId] = mapped_column(ForeignKey("stores.id"))
    uuid: Mapped[UUID]
    form_uuid: Mapped[UUID]
    email: Mapped[str]
    email_key: Mapped[str]
    customer_id: Mapped[OptionalRef]
    status: Mapped[str] = mapped_column(server_default="pending")
    name: Mapped[str | None]
    birthday: Mapped[date | None]
    gender: Mapped[str | None]
    # As the browser asked for it: see kit/languages.
    language: Mapped[str | None]
    identity: Mapped[str | None]
    utms: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    behaviour: Mapped[str | None]
    behaviour_params: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    consent_at: Mapped[datetime | None]
    consent_source: Mapped[str | None]
    confirmed_at: Mapped[datetime | None]
    confirm_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    confirm_expires_at: Mapped[datetime | None]
    unsubscribed_at: Mapped[datetime | None]
    unsubscribe_note: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[datetime]
