"""Which colours variants have, as an index finds the nearest of them: written with the documents of their products."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.catalogue.color_names import store_colors
from app.kit.colors import lab_of, spot_of

_DROP_COLORS: Final = text(
    """
    DELETE FROM variant_colors c WHERE c.store_id = :store_id AND c.variant_id = ANY(:ids) AND NOT EXISTS (
        SELECT FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (variant_id bigint, rgb integer)
        WHERE r.variant_id = c.variant_id AND r.rgb = c.rgb)
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))
_PUT_SPOTS: Final = text(
    """
    INSERT INTO color_spots (store_id, rgb, l, a, b)
    SELECT :store_id, r.* FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS r (rgb integer, l double precision, a double precision, b double precision) ORDER BY r.rgb
    ON CONFLICT DO NOTHING
    """
)
_PUT_COLORS: Final = text(
    """
    INSERT INTO variant_colors (store_id, variant_id, rgb)
    SELECT :store_id, r.* FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (variant_id bigint, rgb integer)
    ON CONFLICT DO NOTHING
    """
)


async def read_named_colors(session: AsyncSession, store_id: int) -> dict[str, int]:
    """What the names of colours mean in this store."""
    settings = await session.scalar(text("SELECT settings FROM stores WHERE id = :id"), {"id": store_id})
    return store_colors((settings or {}).get("colors", {}))


async def put_colors(session: AsyncSession, store_id: int, colors: Mapping[int, Sequence[int]]) -> None:
    """Make these the colours (0xRRGGBB) of the variants; none where the list is empty. Repeatable."""
    rows = [{"variant_id": variant_id, "rgb": rgb} for variant_id, own in colors.items() for rgb in own]
    values = {"store_id": store_id, "rows": _json(rows)}
    await session.execute(_DROP_COLORS, {**values, "ids": list(colors)})
    if rows:
        await session.execute(
            _PUT_SPOTS, {"store_id": store_id, "rows": _json(_spots({row["rgb"] for row in rows}))}
        )
        await session.execute(_PUT_COLORS, values)


def _spots(colors: set[int]) -> list[dict[str, float]]:
    """Where each colour stands in the space in which the nearest are looked for."""
    found = []
    for rgb in sorted(colors):
        lightness, a, b = spot_of(lab_of(rgb))
        found.append({"rgb": rgb, "l": lightness, "a": a, "b": b})
    return found


def _json(rows: Sequence[Mapping[str, float]]) -> str:
    return msgspec.json.encode(rows).decode()
