"""What search needs of posts and pages: their words by weight in the store's language, and to mend typing errors by."""

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

# Also those of the text itself, since there is little else in a page; numbers are no words.
_WORDS: Final = """
    INSERT INTO search_words (store_id, word)
    SELECT DISTINCT t.store_id, w.word
    FROM {table} t
    CROSS JOIN LATERAL unnest(tsvector_to_array(to_tsvector('storefront_simple', concat_ws(' ', t.title, {about},
        regexp_replace(left(t.content, 100000), '<[^>]+>|&[a-z#0-9]+;', ' ', 'g'))))) AS w (word)
    WHERE t.store_id = :store_id AND (CAST(:slugs AS text[]) IS NULL OR t.slug = ANY(:slugs))
        AND length(w.word) BETWEEN 3 AND 40 AND w.word !~ '[0-9]'
    ON CONFLICT DO NOTHING
"""


async def refresh_texts(
    session: AsyncSession, store_id: int, table: type[BlogPost | Page], slugs: Collection[str] | None = None
) -> None:
    """Bring what search matches up to date for these texts, or for all. Repeating it changes nothing."""
    language = await session.scalar(text("SELECT language FROM stores WHERE id = :id"), {"id": store_id})
    some = {"store_id": store_id, "slugs": None if slugs is None else sorted(slugs)}
    for pattern, more in ((_SEARCH, {"config": search_configuration(language or "")}), (_WORDS, {})):
        statement = text(pattern.format(table=table.__tablename__, about=_ABOUT[table])).bindparams(
            bindparam("slugs", type_=ARRAY(Text))
        )
        await session.execute(statement, {**some, **more})
