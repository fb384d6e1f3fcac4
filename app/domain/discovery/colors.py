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
from app.kit.colors import Lab, ciede2000, lab_of, spot_of

# Among 30,000 colours all over sRGB the nearest 50 by the formula were among the nearest 300 of the space, and the
# nearest 8 among the nearest 30, whether there were 300 colours or 30,000.
CANDIDATES: Final = 600
FEW_CANDIDATES: Final = 60
SURE: Final = 8
# Variants of a colour are counted up to here.
COUNTED: Final = 10
MOST_SHOWN: Final = 50

# Colours near to any that is asked for, and how many variants on sale they have.
_NEAR: Final = f"""
    SELECT DISTINCT near.rgb, near.held
    FROM unnest($2::float8[], $3::float8[], $4::float8[]) AS asked (l, a, b)
    CROSS JOIN LATERAL (
        SELECT c.rgb, has.held FROM color_spots c
        CROSS JOIN LATERAL (
            SELECT count(*) AS held FROM (
                SELECT FROM variant_colors x
                JOIN variants v ON v.store_id = x.store_id AND v.id = x.variant_id AND v.listed
                WHERE x.store_id = $1 AND x.rgb = c.rgb LIMIT {COUNTED}
            ) few
        ) has
        WHERE c.store_id = $1 AND has.held > 0
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

    A variant of several colours counts by its nearest. Two statements, three where few variants share a colour.
    """
    asked = [lab_of(rgb) for rgb in dict.fromkeys(colors)]
    near, held = await _near(reads, store_id, asked, FEW_CANDIDATES)
    if len(near) >= FEW_CANDIDATES and sum(held[rgb] for rgb in near[:SURE]) < MOST_SHOWN:
        near, _ = await _near(reads, store_id, asked, CANDIDATES)
    # Each of them has a variant on sale, so that no more colours than variants are needed.
    found: bytes = await reads.fetchval(
        _shown_sql(frozenset(expands)), store_id, near[:MOST_SHOWN], MOST_SHOWN
    )
    return b"[%b]" % found


async def _near(
    reads: Reads, store_id: int, asked: Sequence[Lab], most: int
) -> tuple[list[int], dict[int, int]]:
    """So many colours near to each that is asked for, the nearest first by the formula, and what they hold."""
    axes = zip(*(spot_of(lab) for lab in asked), strict=True)
    held = {row["rgb"]: row["held"] for row in await reads.fetch(_NEAR, store_id, *map(list, axes), most)}
    apart = {rgb: min(ciede2000(lab, lab_of(rgb)) for lab in asked) for rgb in held}
    return sorted(held, key=lambda rgb: (apart[rgb], rgb)), held
