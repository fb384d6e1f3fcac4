"""The table of former handles: where what had another address before is to be found now."""

from typing import Annotated

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, Ref

OwnStore = Annotated[int, mapped_column(BigInteger, ForeignKey("stores.id"), primary_key=True)]
KeyText = Annotated[str, mapped_column(Text, primary_key=True)]


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
