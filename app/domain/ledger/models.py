"""Tables of the ledger. A trigger refuses UPDATE and DELETE, another one an unbalanced transaction."""

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, CreatedAt, Minor, OptionalRef, Ref, StoreId


class LedgerTransaction(Base):
    """A group of entries that sums to zero per currency; its key makes it happen once."""

    __tablename__ = "ledger_transactions"
    __table_args__ = (UniqueConstraint("store_id", "key"),)

    id: Mapped[BigId]
    store_id: Mapped[StoreId] = mapped_column(ForeignKey("stores.id"))
    key: Mapped[str]
    order_id: Mapped[OptionalRef]
    at: Mapped[CreatedAt]


class LedgerEntry(Base):
    """One side of a transaction: positive amounts are debits, negative ones credits; minor units."""

    __tablename__ = "ledger_entries"
    __table_args__ = (Index(None, "transaction_id"), Index(None, "store_id", "order_id"))

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    transaction_id: Mapped[Ref] = mapped_column(ForeignKey("ledger_transactions.id"))
    account: Mapped[str]
    currency: Mapped[str]
    amount: Mapped[Minor]
    order_id: Mapped[OptionalRef]
