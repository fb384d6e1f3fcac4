"""Tables of customers: who they are, how they prove it, where they live, and what they earned by inviting."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, CreatedAt, Minor, OptionalRef, Ref, StoreId

LIVE = "closed_at IS NULL"


class Customer(Base):
    """An account. email_key is the address as compared: one live account of a store has it.

    A closed account keeps its row, so that orders and ledger have something to point at, and nothing personal.
    """

    __tablename__ = "customers"
    __table_args__ = (
        Index("customers_email_key", "store_id", "email_key", unique=True, postgresql_where=LIVE),
        UniqueConstraint("store_id", "invite_token"),
        UniqueConstraint("store_id", "passkey_handle"),
        Index("customers_invited_by_idx", "store_id", "invited_by"),
        CheckConstraint("gender IN ('male', 'female', 'other')", name="gender"),
        CheckConstraint("referral_balance >= 0", name="referral_balance"),
        CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),
        CheckConstraint("owner_proven_at IS NULL OR email_verified_at IS NOT NULL", name="owner_proven"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId] = mapped_column(ForeignKey("stores.id"))
    email: Mapped[str]
    email_key: Mapped[str]
    # Somebody opened the link that was mailed there, whoever that was.
    email_verified_at: Mapped[datetime | None]
    # Whoever uses the account has shown to read that address's mail: until then a stranger may have made it.
    owner_proven_at: Mapped[datetime | None]
    # An address that takes effect once its mailed link is opened.
    new_email: Mapped[str | None]
    password_digest: Mapped[str | None]
    password_changed_at: Mapped[datetime | None]
    username: Mapped[str]
    firstname: Mapped[str] = mapped_column(server_default="")
    lastname: Mapped[str] = mapped_column(server_default="")
    birthday: Mapped[date | None]
    gender: Mapped[str | None]
    relationship: Mapped[str | None]
    # ISO 3166-1 alpha-2.
    country: Mapped[str | None]
    time_zone: Mapped[str | None]
    # The language of mails, as the browser asked for it at sign-up; NULL is the store's.
    language: Mapped[str | None]
    identity: Mapped[str | None]
    passkey_handle: Mapped[bytes | None] = mapped_column(LargeBinary)
    # Groups that have prices and promotions of their own, by the names that the merchant gave them.
    groups: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    invite_token: Mapped[str]
    invited_by: Mapped[OptionalRef]
    # Minor units of the store's currency; the ledger has the movements.
    referral_balance: Mapped[Minor] = mapped_column(server_default="0")
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class CustomerAddress(Base):
    """An address in a customer's book. address holds what was checked: codes for places, phone in E.164."""

    __tablename__ = "customer_addresses"
    __table_args__ = (
        Index(None, "store_id", "customer_id", "id"),
        Index(
            "customer_addresses_default_key",
            "store_id",
            "customer_id",
            unique=True,
            postgresql_where="is_default",
        ),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    customer_id: Mapped[Ref] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"))
    address: Mapped[dict[str, Any]]
    is_default: Mapped[bool] = mapped_column(server_default="false")
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[datetime]


class LoginSecret(Base):
    """A mailed secret that is good once, kept as its SHA-256.

    purpose: `verify` (a mail address), `reset` (a password), `link` (a login), `staff_link` (a login that staff
    had mailed). email_key is the address that it was sent to: another address makes it void.
    session_id: a reset secret that logged in works from then on in that session only.
    """

    __tablename__ = "login_secrets"
    __table_args__ = (
        CheckConstraint("purpose IN ('verify', 'reset', 'link', 'staff_link')", name="purpose"),
        Index(None, "store_id", "customer_id", "purpose"),
        Index(None, "expires_at"),
    )

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    store_id: Mapped[StoreId]
    customer_id: Mapped[Ref] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"))
    purpose: Mapped[str]
    email_key: Mapped[str]
    session_id: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class LoginCode(Base):
    """The six digits that were mailed last, as a keyed digest, and how often they were guessed at."""

    __tablename__ = "login_codes"
    __table_args__ = (Index(None, "expires_at"),)

    store_id: Mapped[StoreId] = mapped_column(primary_key=True)
    customer_id: Mapped[Ref] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    tries: Mapped[int] = mapped_column(server_default="0")
    expires_at: Mapped[datetime]


class CustomerIdentity(Base):
    """Who a customer is at another provider: issuer and subject, which never change, unlike mail addresses."""

    __tablename__ = "customer_identities"
    __table_args__ = (
        UniqueConstraint("store_id", "issuer", "subject"),
        Index(None, "store_id", "customer_id"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    customer_id: Mapped[Ref] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"))
    issuer: Mapped[str]
    subject: Mapped[str]
    email: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class Passkey(Base):
    """A WebAuthn credential: its id and public key, and the counter that betrays a copy."""

    __tablename__ = "passkeys"
    __table_args__ = (
        UniqueConstraint("store_id", "credential_id"),
        Index(None, "store_id", "customer_id"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    customer_id: Mapped[Ref] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[Minor]
    transports: Mapped[list[str]] = mapped_column(server_default="[]")
    backed_up: Mapped[bool]
    name: Mapped[str]
    created_at: Mapped[CreatedAt]
    last_used_at: Mapped[datetime | None]


class CustomerDevice(Base):
    """A browser or app that a customer has logged in from, as a digest: a login from a new one is mailed."""

    __tablename__ = "customer_devices"

    store_id: Mapped[StoreId] = mapped_column(primary_key=True)
    customer_id: Mapped[Ref] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    first_seen_at: Mapped[CreatedAt]
    last_seen_at: Mapped[datetime]


class ReferralReward(Base):
    """What an inviter earned with the first paid order of whom they invited: one per invited customer."""

    __tablename__ = "referral_rewards"
    __table_args__ = (
        UniqueConstraint("store_id", "invited_id"),
        UniqueConstraint("store_id", "order_id"),
        CheckConstraint("amount > 0", name="amount"),
        Index(None, "store_id", "customer_id"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    customer_id: Mapped[Ref] = mapped_column(ForeignKey("customers.id"))
    invited_id: Mapped[Ref] = mapped_column(ForeignKey("customers.id"))
    order_id: Mapped[Ref]
    amount: Mapped[Minor]
    currency: Mapped[str]
    created_at: Mapped[CreatedAt]


class Withdrawal(Base):
    """A wish to be paid out; its amount has left the balance, and comes back where it is refused."""

    __tablename__ = "withdrawals"
    __table_args__ = (
        CheckConstraint("status IN ('requested', 'approved', 'paid', 'refused')", name="status"),
        CheckConstraint("amount > 0", name="amount"),
        Index(None, "store_id", "customer_id", "id"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    customer_id: Mapped[Ref] = mapped_column(ForeignKey("customers.id"))
    amount: Mapped[Minor]
    currency: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="requested")
    note: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    decided_at: Mapped[datetime | None]
