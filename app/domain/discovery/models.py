"""Tables of finding things: what was searched for, counted by day, and where former handles lead to."""

from datetime import date
from typing import Annotated

from sqlalchemy import BigInteger, CheckConstraint, Date, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, Ref

OwnStore = Annotated[int, mapped_column(BigInteger, ForeignKey("stores.id"), primary_key=True)]
KeyText = Annotated[str, mapped_column(Text, primary_key=True)]


class SearchQuery(Base):
    """How often a query with results was asked on a day (UTC)."""

    __tablename__ = "search_queries"
    __table_args__ = (
        CheckConstraint("count > 0", name="count"),
        Index("search_queries_day_idx", "day"),
    )

    store_id: Mapped[OwnStore]
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    query: Mapped[KeyText]
    count: Mapped[int] = mapped_column(BigInteger)


class Redirect(Base):
    """A handle that something had once. It names the thing, not its next handle, so that no chain grows.

    A trigger (keep_redirect) writes it with whatever changes a handle. It is kept for good; something else
    that takes the handle hides it for as long as it has it.
    """

    __tablename__ = "redirects"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('product', 'collection', 'category', 'page', 'blog_post', 'blog_category')", name="kind"
        ),
    )

    store_id: Mapped[OwnStore]
    kind: Mapped[KeyText]
    handle: Mapped[KeyText]
    target_id: Mapped[Ref]
    created_at: Mapped[CreatedAt]
