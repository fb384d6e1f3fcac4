"""Tables of gift cards and store credit: what is on them, and what open payments hold of that."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, CreatedAt, Minor, Ref, StoreId


class GiftCard(Base):
    """Money for whoever has the code, which is kept as its SHA-256. Minor units.

    balance is what is on it, held what of that is being paid with right now. The ledger has its movements, in the
    account `payments:gift_card:<id>`.
    """

    __tablename__ = "gift_cards"
    __table_args__ = (
        UniqueConstraint("store_id", "digest"),
        CheckConstraint("amount > 0 AND balance <= amount", name="amount"),
        CheckConstraint("held >= 0 AND held <= balance", name="balance"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId] = mapped_column(ForeignKey("stores.id"))
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    last_four: Mapped[str]
    currency: Mapped[str]
    # What it was made with.
    amount: Mapped[Minor]
    balance: Mapped[Minor]
    held: Mapped[Minor] = mapped_column(server_default="0")
    note: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]


class GiftCardEvent(Base):
    """When a card was switched off or on again, and why, as staff said it."""

    __tablename__ = "gift_card_events"
    __table_args__ = (
        CheckConstraint("event IN ('switched_off', 'switched_on')", name="event"),
        Index(None, "gift_card_id"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    gift_card_id: Mapped[Ref] = mapped_column(ForeignKey("gift_cards.id"))
    at: Mapped[datetime]
    event: Mapped[str]
    note: Mapped[str] = mapped_column(server_default="")


class StoreCredit(Base):
    """What a customer can spend in the shop, by currency; balance and held as of a card. Minor units.

    The ledger has its movements, in the account `payments:store_credit:<id>`.
    """

    __tablename__ = "store_credits"
    __table_args__ = (
        UniqueConstraint("store_id", "customer_id", "currency"),
        CheckConstraint("held >= 0 AND held <= balance", name="balance"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId] = mapped_column(ForeignKey("stores.id"))
    customer_id: Mapped[Ref] = mapped_column(ForeignKey("customers.id"))
    currency: Mapped[str]
    balance: Mapped[Minor] = mapped_column(server_default="0")
    held: Mapped[Minor] = mapped_column(server_default="0")


class CreditGrant(Base):
    """Store credit that the shop gave somebody, and why."""

    __tablename__ = "credit_grants"
    __table_args__ = (CheckConstraint("amount > 0", name="amount"), Index(None, "credit_id"))

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    credit_id: Mapped[Ref] = mapped_column(ForeignKey("store_credits.id"))
    amount: Mapped[Minor]
    reason: Mapped[str]
    created_at: Mapped[CreatedAt]


class BalanceHold(Base):
    """What a checkout that is being paid takes of a card or credit. It ends as a payment, or is given back.

    source_id is the card's or the credit's, by kind. The row going away is what makes either happen once.
    """

    __tablename__ = "balance_holds"
    __table_args__ = (
        UniqueConstraint("store_id", "checkout_id", "kind"),
        CheckConstraint("kind IN ('gift_card', 'store_credit')", name="kind"),
        CheckConstraint("amount > 0", name="amount"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    checkout_id: Mapped[Ref]
    kind: Mapped[str]
    source_id: Mapped[Ref]
    amount: Mapped[Minor]
    created_at: Mapped[CreatedAt]
