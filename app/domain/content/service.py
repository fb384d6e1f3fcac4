"""How a shop's own texts are written: as wanted, by their slugs, telling what changed."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.content.models import BlogCategory, BlogPost, Page
from app.domain.content.searching import refresh_texts
from app.kit.errors import NotFound, declare
from app.kit.html import clean_html

BLOG_CATEGORY_NOT_FOUND: Final = declare(
    NotFound, "blog_category_not_found", "There is no such blog category."
)
Text = TypeVar("Text", BlogCategory, BlogPost, Page)


class BlogCategoryDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A shelf of posts; without published_at it is there from now on.

    former_slug is what it was called before, if that has changed: it keeps its id, and the address a redirect.
    """

    slug: str
    title: str
    meta_title: str = ""
    meta_description: str = ""
    meta_keywords: str = ""
    former_slug: str = ""
    visible: bool = True
    published_at: datetime | None = None


class PostDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A post; category is a slug, content HTML, image an address, former_slug as for a shelf."""

    slug: str
    title: str
    category: str = ""
    excerpt: str = ""
    content: str = ""
    author: str = ""
    tags: tuple[str, ...] = ()
    image: str = ""
    seo_title: str = ""
    seo_description: str = ""
    former_slug: str = ""
    visible: bool = True
    published_at: datetime | None = None


class PageDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page; content is HTML, former_slug as for a shelf."""

    slug: str
    title: str
    content: str = ""
    seo_title: str = ""
    seo_description: str = ""
    former_slug: str = ""
    visible: bool = True
    published_at: datetime | None = None


class ContentFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Categories, posts and pages of one file."""

    blog_categories: tuple[BlogCategoryDraft, ...] = ()
    posts: tuple[PostDraft, ...] = ()
    pages: tuple[PageDraft, ...] = ()


async def apply_content(
    session: AsyncSession, store_id: int, file: ContentFile, *, now: datetime
) -> list[str]:
    """Make the texts of the file stand in the store; answers a line for each change, none where all stood.

    What the file does not name stays. Raises NotFound blog_category_not_found for a post's unknown category.
    """
    categories = {
        draft.slug: {
            "title": draft.title,
            "meta_title": draft.meta_title,
            "meta_description": draft.meta_description,
            "meta_keywords": draft.meta_keywords,
            "visible": draft.visible,
            "position": place,
            "published_at": draft.published_at,
        }
        for place, draft in enumerate(file.blog_categories)
    }
    changes: list[str] = []
    changes += await _rename(session, store_id, BlogCategory, _former(file.blog_categories), now)
    changes += await _rename(session, store_id, BlogPost, _former(file.posts), now)
    changes += await _rename(session, store_id, Page, _former(file.pages), now)
    changes += await _write(session, store_id, BlogCategory, categories, now)
    found = await session.execute(
        select(BlogCategory.slug, BlogCategory.id).where(BlogCategory.store_id == store_id)
    )
    ids = dict(found.all())
    changes += await _write(session, store_id, BlogPost, {d.slug: _post(d, ids) for d in file.posts}, now)
    pages = {draft.slug: {**_text(draft), "position": place} for place, draft in enumerate(file.pages)}
    return changes + await _write(session, store_id, Page, pages, now)


def _former(drafts: Iterable[BlogCategoryDraft | PostDraft | PageDraft]) -> dict[str, str]:
    return {draft.former_slug: draft.slug for draft in drafts if draft.former_slug}


def _text(draft: PostDraft | PageDraft) -> dict[str, Any]:
    return {
        "title": draft.title,
        "content": clean_html(draft.content.strip()),
        "meta_title": draft.seo_title,
        "meta_description": draft.seo_description,
        "visible": draft.visible,
        "published_at": draft.published_at,
    }


def _post(draft: PostDraft, category_ids: Mapping[str, int]) -> dict[str, Any]:
    if draft.category and draft.category not in category_ids:
        raise NotFound(BLOG_CATEGORY_NOT_FOUND, f"There is no blog category {draft.category!r}.")
    return {
        **_text(draft),
        "category_id": category_ids.get(draft.category),
        "excerpt": draft.excerpt,
        "author": draft.author,
        "tags": list(draft.tags),
        "media": {"src": draft.image} if draft.image else {},
    }


async def _rename(
    session: AsyncSession, store_id: int, table: type[Text], former: Mapping[str, str], now: datetime
) -> list[str]:
    """Give what has a former slug its new one, unless that is taken. A trigger keeps the redirect."""
    names = {*former, *former.values()}
    found = await session.scalars(
        select(table).where(table.store_id == store_id, table.slug.in_(names)).with_for_update()
    )
    standing = {row.slug: row for row in found}
    changes: list[str] = []
    for old, new in former.items():
        if old in standing and new not in standing:
            row = standing[new] = standing.pop(old)
            row.slug, row.updated_at = new, now
            changes.append(f"{table.__tablename__.replace('_', ' ')}: {old} is now {new}")
            await session.flush()
    return changes


async def _write(
    session: AsyncSession,
    store_id: int,
    table: type[Text],
    wanted: Mapping[str, dict[str, Any]],
    now: datetime,
) -> list[str]:
    """Write what differs. A published_at of None keeps the time that stands, or begins now."""
    found = await session.scalars(
        select(table).where(table.store_id == store_id, table.slug.in_(wanted)).with_for_update()
    )
    standing = {row.slug: row for row in found}
    kind = table.__tablename__.replace("_", " ")
    changes: list[str] = []
    touched: list[str] = []
    for slug, values in wanted.items():
        row = standing.get(slug)
        if row is None:
            times = {"published_at": values["published_at"] or now, "created_at": now, "updated_at": now}
            session.add(table(store_id=store_id, slug=slug, **{**values, **times}))
            changes.append(f"{kind}: {slug} created")
            touched.append(slug)
            continue
        keeps = {"published_at"} if values["published_at"] is None else set()
        changed = [key for key, value in values.items() if key not in keeps and getattr(row, key) != value]
        for name in changed:
            setattr(row, name, values[name])
        if changed:
            row.updated_at = now
            changes.append(f"{kind}: {slug}: {', '.join(changed)}")
            touched.append(slug)
    await session.flush()
    if touched and issubclass(table, BlogPost | Page):
        await refresh_texts(session, store_id, table, touched)
    return changes


async def move_media(session: AsyncSession, store_id: int, *, old: str, new: str, now: datetime) -> None:
    """Give the pictures of posts whose address begins with `old` the beginning `new`."""
    rows = await session.scalars(
        select(BlogPost).where(
            BlogPost.store_id == store_id, func.starts_with(BlogPost.media["src"].astext, old)
        )
    )
    for row in rows:
        row.media = {**row.media, "src": new + row.media["src"].removeprefix(old)}
        row.updated_at = now
    await session.flush()
