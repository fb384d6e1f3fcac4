"""Tables of a shop's own texts: blog categories, posts and pages."""

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, OptionalRef

OwnStore = Annotated[int, mapped_column(BigInteger, ForeignKey("stores.id"), primary_key=True)]
KeyId = Annotated[int, mapped_column(BigInteger, Identity(always=False), primary_key=True)]
Words = Annotated[list[str], mapped_column(ARRAY(Text), server_default="{}")]
Extra = Annotated[dict[str, Any], mapped_column(server_default="{}")]
Blank = Annotated[str, mapped_column(server_default="")]
# Derived: the text that search matches (searching.py). Nobody reads it with the row.
Found = Annotated[Any | None, mapped_column(TSVECTOR, deferred=True)]


class BlogCategory(Base):
    """A shelf of posts."""

    __tablename__ = "blog_categories"
    __table_args__ = (
        UniqueConstraint("store_id", "slug"),
        ForeignKeyConstraint(["store_id", "parent_id"], ["blog_categories.store_id", "blog_categories.id"]),
        CheckConstraint("parent_id <> id", name="parent"),
    )

    store_id: Mapped[OwnStore]
    id: Mapped[KeyId]
    slug: Mapped[str]
    title: Mapped[str]
    parent_id: Mapped[OptionalRef]
    meta_title: Mapped[Blank]
    meta_description: Mapped[Blank]
    meta_keywords: Mapped[Blank]
    redirect_url: Mapped[Blank]
    template_suffix: Mapped[Blank]
    media: Mapped[Extra]
    additional_info: Mapped[Extra]
    visible: Mapped[bool] = mapped_column(server_default="true")
    position: Mapped[int] = mapped_column(server_default="0")
    published_at: Mapped[datetime]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]


class BlogPost(Base):
    """One post; shown once its time has come. content is HTML that was cleaned when it was written."""

    __tablename__ = "blog_posts"
    __table_args__ = (
        UniqueConstraint("store_id", "slug"),
        ForeignKeyConstraint(["store_id", "category_id"], ["blog_categories.store_id", "blog_categories.id"]),
        Index(
            "blog_posts_newest_idx",
            "store_id",
            text("published_at DESC"),
            text("id DESC"),
            postgresql_where=text("visible"),
        ),
        Index("blog_posts_category_idx", "store_id", "category_id", text("published_at DESC")),
        Index("blog_posts_tags_idx", "tags", postgresql_using="gin"),
        Index("blog_posts_search_idx", "search", postgresql_using="gin"),
    )

    store_id: Mapped[OwnStore]
    id: Mapped[KeyId]
    category_id: Mapped[OptionalRef]
    slug: Mapped[str]
    title: Mapped[str]
    excerpt: Mapped[Blank]
    content: Mapped[Blank]
    author: Mapped[Blank]
    tags: Mapped[Words]
    media: Mapped[Extra]
    meta_title: Mapped[Blank]
    meta_description: Mapped[Blank]
    meta_keywords: Mapped[Blank]
    visible: Mapped[bool] = mapped_column(server_default="true")
    # Times read, for the most read of a category.
    views: Mapped[int] = mapped_column(BigInteger, server_default="0")
    published_at: Mapped[datetime]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
    search: Mapped[Found]


class Page(Base):
    """A page that stands by itself, as Contact. content is cleaned HTML."""

    __tablename__ = "pages"
    __table_args__ = (
        UniqueConstraint("store_id", "slug"),
        Index("pages_search_idx", "search", postgresql_using="gin"),
    )

    store_id: Mapped[OwnStore]
    id: Mapped[KeyId]
    slug: Mapped[str]
    title: Mapped[str]
    content: Mapped[Blank]
    meta_title: Mapped[Blank]
    meta_description: Mapped[Blank]
    meta_keywords: Mapped[Blank]
    template_suffix: Mapped[Blank]
    visible: Mapped[bool] = mapped_column(server_default="true")
    position: Mapped[int] = mapped_column(server_default="0")
    published_at: Mapped[datetime]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
    search: Mapped[Found]
