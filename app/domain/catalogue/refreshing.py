"""What follows from a change of products, written in the same transaction: documents, search, membership."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.catalogue.choices import refresh_choices
from app.domain.catalogue.documents import rebuild_documents
from app.domain.catalogue.membership import refresh_collections
from app.domain.catalogue.relating import relate_products
from app.kit.languages import search_configuration

CHUNK: Final = 500
_IDS: Final = bindparam("ids", type_=ARRAY(BigInteger))

# What a word weighs: in the title most; then in options and SKUs; in maker, type and tags; least in the body.
# Titles stand in the vector stemmed and as written, so that the beginning of a word finds it too.
_SEARCH: Final = text(
    """
    WITH said AS (
        SELECT p.id, p.title, concat_ws(' ', p.vendor, t.name, array_to_string(p.tags, ' ')) AS about,
            regexp_replace(p.body_html, '<[^>]+>|&[a-z#0-9]+;', ' ', 'g') AS body,
            (SELECT string_agg(DISTINCT concat_ws(' ', nullif(v.title, 'Default Title'), v.sku, v.barcode), ' ')
                FROM variants v WHERE v.store_id = p.store_id AND v.product_id = p.id) AS variants,
            (SELECT v.id FROM variants v WHERE v.store_id = p.store_id AND v.product_id = p.id
                ORDER BY v.position, v.id LIMIT 1) AS lead
        FROM products p LEFT JOIN product_types t ON t.store_id = p.store_id AND t.id = p.type_id
        WHERE p.store_id = :store_id AND p.id = ANY(:ids)
    )
    UPDATE products p SET lead_variant_id = made.lead, search = made.search
    FROM (
        SELECT said.id, said.lead, setweight(to_tsvector('storefront_simple', said.title), 'A')
            || setweight(to_tsvector(CAST(CAST(:config AS text) AS regconfig), said.title), 'A')
            || setweight(to_tsvector(CAST(CAST(:config AS text) AS regconfig), coalesce(said.variants, '')), 'B')
            || setweight(to_tsvector(CAST(CAST(:config AS text) AS regconfig), said.about), 'C')
            || setweight(to_tsvector(CAST(CAST(:config AS text) AS regconfig), left(said.body, 100000)), 'D')
            AS search
        FROM said
    ) made
    WHERE p.store_id = :store_id AND p.id = made.id
        AND (p.lead_variant_id, p.search) IS DISTINCT FROM (made.lead, made.search)
    """
).bindparams(_IDS)

_WORDS: Final = text(
    """
    INSERT INTO search_words (store_id, word)
    SELECT DISTINCT p.store_id, w.word
    FROM products p
    LEFT JOIN product_types t ON t.store_id = p.store_id AND t.id = p.type_id
    CROSS JOIN LATERAL unnest(tsvector_to_array(to_tsvector('storefront_simple', concat_ws(' ',
        p.title, p.vendor, t.name, array_to_string(p.tags, ' '),
        (SELECT string_agg(DISTINCT v.title, ' ') FROM variants v
            WHERE v.store_id = p.store_id AND v.product_id = p.id))))) AS w (word)
    WHERE p.store_id = :store_id AND p.id = ANY(:ids) AND p.listed AND length(w.word) BETWEEN 3 AND 40
        AND w.word !~ '[0-9]'
    ON CONFLICT DO NOTHING
    """
).bindparams(_IDS)


# By handle, as whoever saves products locks them.
_LOCK: Final = text(
    """
    SELECT id FROM products WHERE store_id = :store_id AND id = ANY(:ids) ORDER BY handle FOR NO KEY UPDATE
    """
).bindparams(_IDS)


async def refresh_products(session: AsyncSession, store_id: int, product_ids: Sequence[int]) -> None:
    """Bring up to date all that is derived from these products.

    Whoever writes a product calls this before the commit. Repeating it changes nothing.
    """
    ids = sorted(set(product_ids))
    await _refresh_search(session, store_id, ids)
    for start in range(0, len(ids), CHUNK):
        await relate_products(session, store_id, ids[start : start + CHUNK])
        await refresh_choices(session, store_id, ids[start : start + CHUNK])
    await rebuild_documents(session, store_id, ids)
    await refresh_collections(session, store_id, ids)


async def rebuild_products(session: AsyncSession, store_id: int, product_ids: Sequence[int]) -> int:
    """Make anew what is derived from these products alone; answers how many documents were not as they should be.

    Locks the products, as whoever writes one does: what is read of them afterwards is the newest.
    """
    ids = sorted(set(product_ids))
    await session.execute(_LOCK, {"store_id": store_id, "ids": ids})
    await _refresh_search(session, store_id, ids)
    changed = await rebuild_documents(session, store_id, ids)
    await refresh_collections(session, store_id, ids)
    return changed


async def refresh_search(session: AsyncSession, store_id: int) -> None:
    """Bring up to date what search matches of all products, as after a change of the store's language."""
    found = await session.scalars(
        text("SELECT id FROM products WHERE store_id = :id ORDER BY id"), {"id": store_id}
    )
    await _refresh_search(session, store_id, list(found))


async def _refresh_search(session: AsyncSession, store_id: int, ids: Sequence[int]) -> None:
    language = await session.scalar(text("SELECT language FROM stores WHERE id = :id"), {"id": store_id})
    config = search_configuration(language or "")
    for start in range(0, len(ids), CHUNK):
        chunk = {"store_id": store_id, "ids": ids[start : start + CHUNK]}
        await session.execute(_SEARCH, {**chunk, "config": config})
        await session.execute(_WORDS, chunk)
