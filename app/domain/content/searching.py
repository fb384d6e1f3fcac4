"""The text that search matches of posts and pages: their words by weight, in the language of the store."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.content.models import BlogPost, Page
from app.kit.languages import search_configuration

# Tags and opening of a text, where it has them. As for products, titles stand stemmed and as written.
_ABOUT: Final[dict[type[BlogPost | Page], str]] = {
    BlogPost: "concat_ws(' ', array_to_string(t.tags, ' '), t.excerpt)",
    Page: "''",
}
_SEARCH: Final = """
    UPDATE {table} t SET search = setweight(to_tsvector('storefront_simple', t.title), 'A')
        || setweight(to_tsvector(CAST(CAST(:config AS text) AS regconfig), t.title), 'A')
        || setweight(to_tsvector(CAST(CAST(:config AS text) AS regconfig), {about}), 'B')
        || setweight(to_tsvector(CAST(CAST(:config AS text) AS regconfig),
            regexp_replace(left(t.content, 100000), '<[^>]+>|&[a-z#0-9]+;', ' ', 'g')), 'D')
    WHERE t.store_id = :store_id AND (CAST(:slugs AS text[]) IS NULL OR t.slug = ANY(:slugs))
"""


async def refresh_texts(
    session: AsyncSession, store_id: int, table: type[BlogPost | Page], slugs: Collection[str] | None = None
) -> None:
    """Bring what search matches up to date for these texts, or for all. Repeating it changes nothing."""
    language = await session.scalar(text("SELECT language FROM stores WHERE id = :id"), {"id": store_id})
    statement = text(_SEARCH.format(table=table.__tablename__, about=_ABOUT[table])).bindparams(
        bindparam("slugs", type_=ARRAY(Text))
    )
    values = {"store_id": store_id, "config": search_configuration(language or "")}
    await session.execute(statement, {**values, "slugs": None if slugs is None else sorted(slugs)})
