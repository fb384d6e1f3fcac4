"""How reviews and questions come in, and how the figures beside a product follow from them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec
from sqlalchemy import ARRAY, BigInteger, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.catalogue.models import Variant
from app.domain.catalogue.presence import find_product_ids
from app.domain.reviews.models import ProductQuestion, ProductReview, ReviewStats

# Only what differs is written; a product without any approved review or question has no row.
_REFRESH: Final = text(
    """
    WITH counted AS (
        SELECT p.id,
            coalesce((SELECT round(avg(r.rating), 2) FROM product_reviews r
                WHERE r.store_id = p.store_id AND r.product_id = p.id AND r.status = 'approved'), 0) AS rating,
            (SELECT count(*) FROM product_reviews r
                WHERE r.store_id = p.store_id AND r.product_id = p.id AND r.status = 'approved') AS reviews,
            (SELECT count(*) FROM product_questions q
                WHERE q.store_id = p.store_id AND q.product_id = p.id AND q.status = 'approved'
                  AND q.type = 'question') AS questions
        FROM products p WHERE p.store_id = :store_id AND p.id = ANY(:ids)
    ),
    gone AS (
        DELETE FROM review_stats s USING counted c
        WHERE s.store_id = :store_id AND s.product_id = c.id AND c.reviews = 0 AND c.questions = 0
    )
    INSERT INTO review_stats AS s (store_id, product_id, rating, count, questions)
    SELECT :store_id, id, rating, reviews, questions FROM counted WHERE reviews > 0 OR questions > 0
    ORDER BY id
    ON CONFLICT (store_id, product_id) DO UPDATE
        SET rating = excluded.rating, count = excluded.count, questions = excluded.questions
        WHERE (s.rating, s.count, s.questions) IS DISTINCT FROM (excluded.rating, excluded.count, excluded.questions)
    """
).bindparams(bindparam("store_id", type_=BigInteger), bindparam("ids", type_=ARRAY(BigInteger)))


class ReviewDraft(msgspec.Struct, frozen=True):
    """A review that has been looked through; rating from 1 to 5 in halves."""

    rating: Decimal
    by: str
    email: str
    at: datetime
    title: str = ""
    text: str = ""
    verified: bool = False


class QuestionDraft(msgspec.Struct, frozen=True):
    """A question, and the shop's answer where there is one."""

    text: str
    by: str
    email: str
    at: datetime
    answer: str = ""
    answered_at: datetime | None = None


class ProductVoices(msgspec.Struct, frozen=True):
    """What was said of one product, by its handle."""

    handle: str
    reviews: tuple[ReviewDraft, ...] = ()
    questions: tuple[QuestionDraft, ...] = ()


async def load_voices(session: AsyncSession, store_id: int, voices: Sequence[ProductVoices]) -> int:
    """Add approved reviews and questions to products that have none yet; answers how many came in.

    So a repeated load adds nothing. Reviews go round the product's variants, as buyers do. Handles that
    the store does not have are left out.
    """
    ids = await find_product_ids(session, store_id, [entry.handle for entry in voices])
    taken = set(
        await session.scalars(
            select(ReviewStats.product_id).where(
                ReviewStats.store_id == store_id, ReviewStats.product_id.in_(ids.values())
            )
        )
    )
    fresh = [entry for entry in voices if entry.handle in ids and ids[entry.handle] not in taken]
    variants = await _variants_of(session, store_id, [ids[entry.handle] for entry in fresh])
    added = 0
    for entry in fresh:
        product_id = ids[entry.handle]
        own = variants[product_id]
        session.add_all(
            _review(store_id, product_id, own[place % len(own)], draft)
            for place, draft in enumerate(entry.reviews)
        )
        added += len(entry.reviews) + len(entry.questions)
        await _add_questions(session, store_id, product_id, own, entry.questions)
    await session.flush()
    await refresh_review_stats(session, store_id, [ids[entry.handle] for entry in fresh])
    return added


async def refresh_review_stats(session: AsyncSession, store_id: int, product_ids: Iterable[int]) -> None:
    """Bring the figures of these products up to date, from their approved reviews and questions."""
    ids = sorted(set(product_ids))
    if ids:
        await session.execute(_REFRESH, {"store_id": store_id, "ids": ids})


async def _variants_of(
    session: AsyncSession, store_id: int, product_ids: Sequence[int]
) -> dict[int, list[int]]:
    rows = await session.execute(
        select(Variant.product_id, Variant.id)
        .where(Variant.store_id == store_id, Variant.product_id.in_(product_ids))
        .order_by(Variant.product_id, Variant.position, Variant.id)
    )
    found: dict[int, list[int]] = {}
    for product_id, variant_id in rows:
        found.setdefault(product_id, []).append(variant_id)
    return found


def _review(store_id: int, product_id: int, variant_id: int, draft: ReviewDraft) -> ProductReview:
    return ProductReview(
        store_id=store_id,
        product_id=product_id,
        variant_id=variant_id,
        rating=draft.rating,
        title=draft.title,
        description=draft.text,
        user_name=draft.by,
        user_email=draft.email,
        verified=draft.verified,
        images=[],
        reviewed_by=[],
        status="approved",
        created_at=draft.at,
        updated_at=draft.at,
    )


async def _add_questions(
    session: AsyncSession,
    store_id: int,
    product_id: int,
    variant_ids: Sequence[int],
    drafts: Sequence[QuestionDraft],
) -> None:
    asked: list[tuple[ProductQuestion, QuestionDraft]] = []
    for place, draft in enumerate(drafts):
        row = ProductQuestion(
            store_id=store_id,
            product_id=product_id,
            variant_id=variant_ids[place % len(variant_ids)],
            type="question",
            content=draft.text,
            user_name=draft.by,
            user_email=draft.email,
            reviewed_by=[],
            status="approved",
            answered_at=draft.answered_at if draft.answer else None,
            created_at=draft.at,
            updated_at=draft.at,
        )
        session.add(row)
        asked.append((row, draft))
    # An answer names its question, whose id the database gives.
    await session.flush()
    session.add_all(
        ProductQuestion(
            store_id=store_id,
            product_id=product_id,
            variant_id=row.variant_id,
            related_to=row.id,
            type="answer",
            content=draft.answer,
            reviewed_by=[],
            status="approved",
            created_at=draft.answered_at or draft.at,
            updated_at=draft.answered_at or draft.at,
        )
        for row, draft in asked
        if draft.answer
    )
