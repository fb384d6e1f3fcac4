"""What was searched for, counted by day."""

from datetime import date
from typing import Annotated

from sqlalchemy import BigInteger, CheckConstraint, Date, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base

OwnStore = Annotated[int, mapped_column(BigInteger, ForeignKey("stores.id"), primary_key=True)]


class SearchQuery(Base):
    """How often a query with results was asked on a day (UTC)."""

    __tablename__ = "search_queries"
    __table_args__ = (
        CheckConstraint("count > 0", name="count"),
        Index("search_queries_day_idx", "day"),
    )

    store_id: Mapped[OwnStore]
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    query: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
