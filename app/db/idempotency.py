"""Repeating a request safely: a record of the key in the same transaction as the effect.

The record keeps which thing was made, never the answer: that is rendered anew, so that no secret lies
in it. A second request with the key waits for the first one's transaction and then finds its record;
where the first failed, its record was rolled back with its effect and the second goes ahead.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Index, LargeBinary
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, StoreId
from app.db.session import as_json
from app.db.statements import Statement
from app.kit.errors import Conflict, declare

MISMATCH: Final = declare(
    Conflict, "idempotency_mismatch", "This Idempotency-Key was used before with another body."
)
IN_PROGRESS: Final = declare(
    Conflict, "idempotency_in_progress", "The first request with this Idempotency-Key is still running."
)


class IdempotencyRecord(Base):
    """One key of one caller on one call; `made` says what came of it."""

    __tablename__ = "idempotency_records"
    __table_args__ = (Index(None, "expires_at"),)

    store_id: Mapped[StoreId] = mapped_column(primary_key=True)
    # SHA-256 over method, path, caller and key: the key itself is not kept.
    key_digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    body_digest: Mapped[bytes] = mapped_column(LargeBinary)
    made: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Key:
    """An Idempotency-Key as it is kept: digests of whose it is and of the body that came with it."""

    key_digest: bytes
    body_digest: bytes


_CLAIM: Final = Statement(
    """
    INSERT INTO idempotency_records AS r (store_id, key_digest, body_digest, expires_at)
    VALUES (:store_id, :key_digest, :body_digest, :expires_at)
    ON CONFLICT (store_id, key_digest) DO UPDATE
        SET body_digest = EXCLUDED.body_digest, made = '{}', expires_at = EXCLUDED.expires_at,
            created_at = now()
        WHERE r.expires_at < :now
    RETURNING true
    """
)

_FIND: Final = Statement(
    "SELECT body_digest, made FROM idempotency_records WHERE store_id = :store_id AND key_digest = :key_digest"
)

_KEEP: Final = Statement(
    "UPDATE idempotency_records SET made = :made WHERE store_id = :store_id AND key_digest = :key_digest"
)


async def claim(
    session: AsyncSession, store_id: int, key: Key | None, *, now: datetime, keep_seconds: int
) -> dict[str, Any] | None:
    """Claim a key in this transaction: None goes ahead, else what the first request made. Without a key all go ahead.

    Waits for a running first request up to the lock time limit. Raises Conflict idempotency_mismatch
    for another body and idempotency_in_progress where the first is still running.
    """
    if key is None:
        return None
    values = {
        "store_id": store_id,
        "key_digest": key.key_digest,
        "body_digest": key.body_digest,
        "now": now,
        "expires_at": now + timedelta(seconds=keep_seconds),
    }
    try:
        claimed = await _CLAIM.row(session, **values)
    except DBAPIError as problem:
        if getattr(problem.orig, "sqlstate", None) == "55P03":  # lock_not_available
            raise Conflict(IN_PROGRESS, "The first request with this key is still running.") from problem
        raise
    if claimed is not None:
        return None
    found = await _FIND.one(session, **values)
    if found["body_digest"] != key.body_digest:
        raise Conflict(MISMATCH, "This Idempotency-Key was used with another body.")
    made: dict[str, Any] = found["made"]
    return made


async def keep(session: AsyncSession, store_id: int, key: Key | None, made: dict[str, Any]) -> None:
    """Note what the claimed request made, in its transaction."""
    if key is None:
        return
    await _KEEP.rows(session, store_id=store_id, key_digest=key.key_digest, made=as_json(made))
