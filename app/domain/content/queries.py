"""What is read of a shop's own texts: pages, posts and blog categories, as JSON that the database has joined."""
# ruff: noqa: S608 - every part is written here; values travel as parameters

from typing import Final

from app.db.reads import Reads
from app.kit.errors import NOT_FOUND, NotFound


def _times(alias: str, *names: str) -> str:
    """Each time twice, as the contract has it: in Unix seconds, and as text."""
    return ", ".join(
        f"'{name}', CAST(extract(epoch FROM {alias}.{name}) AS bigint), '{name}_atom',"
        f" to_char({alias}.{name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"+00:00\"')"
        for name in names
    )


_CATEGORY: Final = f"""json_build_object(
    'id', c.id, 'title', c.title, 'slug', c.slug, 'comments', 0, 'meta_title', c.meta_title,
    'meta_description', c.meta_description, 'meta_keywords', c.meta_keywords, 'redirect_url', c.redirect_url,
    {_times("c", "created_at", "updated_at", "published_at")}, 'visible', c.visible,
    'parent_category', c.parent_id, 'template_suffix', c.template_suffix, 'media_id', c.media,
    'additional_info', c.additional_info)"""
_POST: Final = f"""json_build_object(
    'id', t.id, 'title', t.title, 'slug', t.slug, 'excerpt', t.excerpt, 'content', t.content,
    'author', t.author, 'tags', t.tags, 'media', t.media, {_times("t", "published_at")},
    'meta_title', t.meta_title, 'meta_description', t.meta_description, 'meta_keywords', t.meta_keywords,
    'category', (
        SELECT json_build_object('id', c.id, 'title', c.title, 'slug', c.slug) FROM blog_categories c
        WHERE c.store_id = t.store_id AND c.id = t.category_id AND c.visible
    ))"""
_PAGE: Final = f"""json_build_object(
    'id', t.id, 'title', t.title, 'slug', t.slug, 'content', t.content, 'meta_title', t.meta_title,
    'meta_description', t.meta_description, 'meta_keywords', t.meta_keywords,
    'template_suffix', t.template_suffix, {_times("t", "published_at", "updated_at")})"""


def _one(item: str, table: str, alias: str) -> str:
    return f"""
        SELECT convert_to(CAST({item} AS text), 'UTF8') FROM {table} {alias}
        WHERE {alias}.store_id = $1 AND {alias}.id = $2
    """


_ONE_CATEGORY: Final = _one(_CATEGORY, "blog_categories", "c")
_ONE_POST: Final = _one(_POST, "blog_posts", "t")
_ONE_PAGE: Final = _one(_PAGE, "pages", "t")


async def get_blog_category(reads: Reads, store_id: int, category_id: int) -> bytes:
    """A category of the blog by its id, on show or not. Raises NotFound."""
    return await _get(reads, _ONE_CATEGORY, store_id, category_id)


async def get_blog_post(reads: Reads, store_id: int, post_id: int) -> bytes:
    """A post with its content by its id, on show or not. Raises NotFound."""
    return await _get(reads, _ONE_POST, store_id, post_id)


async def get_page(reads: Reads, store_id: int, page_id: int) -> bytes:
    """A page by its id, on show or not. Raises NotFound."""
    return await _get(reads, _ONE_PAGE, store_id, page_id)


async def _get(reads: Reads, sql: str, store_id: int, found_id: int) -> bytes:
    found: bytes | None = await reads.fetchval(sql, store_id, found_id)
    if found is None:
        raise NotFound(NOT_FOUND, "There is no such text.")
    return found
