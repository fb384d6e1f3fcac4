"""Which variants have the colours that somebody looks for, nearest first by CIEDE2000.

An index finds the nearest in a space where straight distances are close to the formula's (kit/colors.spot_of);
the formula itself then says the order of those few.
"""
# ruff: noqa: S608 - every part is written here; values travel as parameters

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import accumulate
from typing import Final

from app.db.reads import Reads
from app.domain.catalogue.pieces import joined, variant_item
from app.domain.catalogue.queries import NOTHING
from app.kit.colors import Lab, ciede2000, lab_of, spot_of

# Among 30,000 colours all over sRGB the nearest 50 by the formula were among the nearest 300 of the space, and the
# nearest 8 among the nearest 30, whether there were 300 colours or 30,000.
CANDIDATES: Final = 600
FEW_CANDIDATES: Final = 40
SURE: Final = 8
MOST_SHOWN: Final = 50
# Variants of a colour are counted up to here: so many of each that is sure fill the answer.
COUNTED: Final = -(-MOST_SHOWN // SURE)
# A variant of two colours is counted with each of them and shown once: so many are looked for.
MOST_COUNTED: Final = 2 * MOST_SHOWN
# PostgreSQL would join all variants of a small shop to find these few.
_ON_SALE: Final = "(SELECT v.listed FROM variants v WHERE v.store_id = $1 AND v.id = x.variant_id)"

# Colours near to any that is asked for, and how many variants on sale they have.
_NEAR: Final = f"""
    SELECT DISTINCT near.rgb, near.held
    FROM unnest($2::float8[], $3::float8[], $4::float8[]) AS asked (l, a, b)
    CROSS JOIN LATERAL (
        SELECT c.rgb, has.held FROM color_spots c
        CROSS JOIN LATERAL (
            SELECT count(*) AS held FROM (
                SELECT FROM variant_colors x
                WHERE x.store_id = $1 AND x.rgb = c.rgb AND {_ON_SALE} LIMIT {COUNTED}
            ) few
        ) has
        WHERE c.store_id = $1 AND has.held > 0
        ORDER BY cube(ARRAY[c.l, c.a, c.b]) <-> cube(ARRAY[asked.l, asked.a, asked.b]) LIMIT $5
    ) near
"""


@lru_cache(maxsize=64)
def _shown_sql(expands: frozenset[str]) -> str:
    return f"""
        SELECT {joined(variant_item(expands), "ORDER BY page.place, page.id")} AS items, count(*) AS shown FROM (
            SELECT found.variant_id AS id, min(ARRAY[wanted.step, found.turn, wanted.place]) AS place
            FROM unnest($2::integer[], $4::integer[]) WITH ORDINALITY AS wanted (rgb, step, place)
            CROSS JOIN LATERAL (
                SELECT x.variant_id, row_number() OVER (ORDER BY x.variant_id) AS turn FROM variant_colors x
                WHERE x.store_id = $1 AND x.rgb = wanted.rgb AND {_ON_SALE} ORDER BY x.variant_id LIMIT $3
            ) found
            GROUP BY found.variant_id ORDER BY 2, 1 LIMIT $3
        ) page
    """


async def list_variants_by_colors(
    reads: Reads, store_id: int, colors: Sequence[int], expands: AbstractSet[str] = NOTHING
) -> bytes:
    """The 50 variants on sale that are nearest to any of these colours (0xRRGGBB), as a JSON array.

    A variant of several colours counts by its nearest; colours as near take turns, so that of two that are asked for
    none hides the other. Two statements, three where few variants share a colour
    or many have several.
    """
    asked = [lab_of(rgb) for rgb in dict.fromkeys(colors)]
    near, held, steps = await _near(reads, store_id, asked, FEW_CANDIDATES)
    # Each of them has a variant on sale, so that no more colours than variants are needed.
    most = min(MOST_SHOWN, _enough(near, held))
    if len(near) >= FEW_CANDIDATES and sum(held[rgb] for rgb in near[:SURE]) < MOST_SHOWN:
        near, _, steps = await _near(reads, store_id, asked, CANDIDATES)
        most = MOST_SHOWN
    sql = _shown_sql(frozenset(expands))
    row = await reads.fetchrow(sql, store_id, near[:most], MOST_SHOWN, steps[:most])
    if row and row["shown"] < MOST_SHOWN and most < min(MOST_SHOWN, len(near)):
        row = await reads.fetchrow(sql, store_id, near[:MOST_SHOWN], MOST_SHOWN, steps[:MOST_SHOWN])
    assert row is not None
    items: bytes = row["items"]
    return b"[%b]" % items


def _enough(near: Sequence[int], held: Mapping[int, int]) -> int:
    """How many of these colours have variants enough to fill the answer, as far as was counted."""
    counted = accumulate(held[rgb] for rgb in near)
    return next((place for place, count in enumerate(counted, 1) if count >= MOST_COUNTED), len(near))


async def _near(
    reads: Reads, store_id: int, asked: Sequence[Lab], most: int
) -> tuple[list[int], dict[int, int], list[int]]:
    """So many colours near to each that is asked for, the nearest first by the formula; what they hold; and the place of
    each among all that are nearer, the same for colours as near.
    """
    axes = zip(*(spot_of(lab) for lab in asked), strict=True)
    held = {row["rgb"]: row["held"] for row in await reads.fetch(_NEAR, store_id, *map(list, axes), most)}
    apart = {rgb: min(ciede2000(lab, lab_of(rgb)) for lab in asked) for rgb in held}
    near = sorted(held, key=lambda rgb: (apart[rgb], rgb))
    steps: dict[float, int] = {}
    for place, rgb in enumerate(near):
        steps.setdefault(apart[rgb], place)
    return near, held, [steps[apart[rgb]] for rgb in near]
