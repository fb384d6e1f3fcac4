"""Tables of reviews, of questions with their answers, and of the figures that lists show."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Numeric,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, OptionalRef, Ref

OwnStore = Annotated[int, mapped_column(BigInteger, ForeignKey("stores.id"), primary_key=True)]
KeyId = Annotated[int, mapped_column(BigInteger, Identity(always=False), primary_key=True)]
Blank = Annotated[str, mapped_column(server_default="")]
Entries = Annotated[list[Any], mapped_column(server_default="[]")]

_STATUS = "status IN ('pending', 'approved', 'rejected')"


def _of_product() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["store_id", "product_id"], ["products.store_id", "products.id"], ondelete="CASCADE"
    )


class ProductReview(Base):
    """What somebody says of a product. variant_id is what they had, kept also when it is no longer sold.

    user_email is for the shop only and stands in no list.
    """

    __tablename__ = "product_reviews"
    __table_args__ = (
        _of_product(),
        CheckConstraint("rating BETWEEN 1 AND 5 AND rating * 2 = trunc(rating * 2)", name="rating"),
        CheckConstraint(_STATUS, name="status"),
        Index(
            "product_reviews_shown_idx",
            "store_id",
            "product_id",
            text("created_at DESC"),
            postgresql_where=text("status = 'approved'"),
        ),
        Index("product_reviews_waiting_idx", "store_id", "id", postgresql_where=text("status = 'pending'")),
    )

    store_id: Mapped[OwnStore]
    id: Mapped[KeyId]
    product_id: Mapped[Ref]
    variant_id: Mapped[Ref]
    customer_id: Mapped[OptionalRef]
    rating: Mapped[Decimal] = mapped_column(Numeric(2, 1))
    title: Mapped[Blank]
    description: Mapped[Blank]
    user_name: Mapped[Blank]
    user_email: Mapped[Blank]
    verified: Mapped[bool] = mapped_column(server_default="false")
    images: Mapped[Entries]
    reviewed_by: Mapped[Entries]
    status: Mapped[str] = mapped_column(server_default="pending")
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]


class ProductQuestion(Base):
    """A question about a product, or an answer to one: then related_to is the question."""

    __tablename__ = "product_questions"
    __table_args__ = (
        _of_product(),
        ForeignKeyConstraint(
            ["store_id", "related_to"],
            ["product_questions.store_id", "product_questions.id"],
            ondelete="CASCADE",
        ),
        CheckConstraint("type IN ('question', 'answer')", name="type"),
        CheckConstraint("(type = 'answer') = (related_to IS NOT NULL)", name="related_to"),
        CheckConstraint(_STATUS, name="status"),
        Index(
            "product_questions_shown_idx",
            "store_id",
            "product_id",
            text("created_at DESC"),
            postgresql_where=text("status = 'approved'"),
        ),
        Index("product_questions_related_idx", "store_id", "related_to"),
    )

    store_id: Mapped[OwnStore]
    id: Mapped[KeyId]
    product_id: Mapped[Ref]
    variant_id: Mapped[Ref]
    customer_id: Mapped[OptionalRef]
    related_to: Mapped[OptionalRef]
    type: Mapped[str] = mapped_column(server_default="question")
    content: Mapped[str]
    user_name: Mapped[Blank]
    user_email: Mapped[Blank]
    reviewed_by: Mapped[Entries]
    status: Mapped[str] = mapped_column(server_default="pending")
    answered_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]


class ReviewStats(Base):
    """Figures of a product's approved reviews and questions, the same for each of its variants.

    No row means none. Written by whoever changes a review or question, in the same transaction.
    """

    __tablename__ = "review_stats"
    __table_args__ = (_of_product(),)

    store_id: Mapped[OwnStore]
    product_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    rating: Mapped[Decimal] = mapped_column(Numeric(3, 2), server_default="0")
    count: Mapped[int] = mapped_column(server_default="0")
    questions: Mapped[int] = mapped_column(server_default="0")
