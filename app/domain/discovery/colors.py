"""Which variants have the colours that somebody looks for, nearest first by CIEDE2000.

An index finds the nearest in a space where straight distances are close to the formula's (kit/colors.spot_of);
the formula itself then says the order of those few.
"""
# ruff: noqa: S608 - every part is written here; values travel as parameters

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Final

from app.db.reads import Reads
from app.domain.catalogue.pieces import joined, variant_item
from app.domain.catalogue.queries import NOTHING
from app.kit.colors import ciede2000, lab_of, spot_of

# Among 30,000 colours all over sRGB the nearest 50 by the formula were among the nearest 300 of the space.
CANDIDATES: Final = 600
MOST_SHOWN: Final = 50

_NEAR: Final = """
    SELECT DISTINCT near.rgb
    FROM unnest($2::float8[], $3::float8[], $4::float8[]) AS asked (l, a, b)
    CROSS JOIN LATERAL (
        SELECT c.rgb FROM color_spots c
        WHERE c.store_id = $1 AND EXISTS (
            SELECT FROM variant_colors x
            JOIN variants v ON v.store_id = x.store_id AND v.id = x.variant_id AND v.listed
            WHERE x.store_id = $1 AND x.rgb = c.rgb
        )
        ORDER BY cube(ARRAY[c.l, c.a, c.b]) <-> cube(ARRAY[asked.l, asked.a, asked.b]) LIMIT $5
    ) near
"""


@lru_cache(maxsize=64)
def _shown_sql(expands: frozenset[str]) -> str:
    return f"""
        SELECT {joined(variant_item(expands), "ORDER BY page.place, page.id")} FROM (
            SELECT found.id, min(wanted.place) AS place
            FROM unnest($2::integer[]) WITH ORDINALITY AS wanted (rgb, place)
            CROSS JOIN LATERAL (
                SELECT v.id FROM variant_colors x
                JOIN variants v ON v.store_id = x.store_id AND v.id = x.variant_id AND v.listed
                WHERE x.store_id = $1 AND x.rgb = wanted.rgb ORDER BY x.variant_id LIMIT $3
            ) found
            GROUP BY found.id ORDER BY 2, 1 LIMIT $3
        ) page
    """


async def list_variants_by_colors(
    reads: Reads, store_id: int, colors: Sequence[int], expands: AbstractSet[str] = NOTHING
) -> bytes:
    """The 50 variants on sale that are nearest to any of these colours (0xRRGGBB), as a JSON array.

    A variant of several colours counts by its nearest. Two statements.
    """
    asked = [lab_of(rgb) for rgb in dict.fromkeys(colors)]
    axes = zip(*(spot_of(lab) for lab in asked), strict=True)
    near = [row["rgb"] for row in await reads.fetch(_NEAR, store_id, *map(list, axes), CANDIDATES)]
    apart = {rgb: min(ciede2000(lab, lab_of(rgb)) for lab in asked) for rgb in near}
    # Each of them has a variant on sale, so that no more colours than variants are needed.
    best = sorted(near, key=lambda rgb: (apart[rgb], rgb))[:MOST_SHOWN]
    found: bytes = await reads.fetchval(_shown_sql(frozenset(expands)), store_id, best, MOST_SHOWN)
    return b"[%b]" % found
