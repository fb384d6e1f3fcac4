"""What a mail's colours are: the store's own one, and what can be read on it and beside it."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

USUAL: Final = "#1f5f4a"
PAPER, NIGHT, INK, CHALK = "#ffffff", "#1d1f1e", "#23262a", "#ecece8"
# WCAG 2.2, success criterion 1.4.3: text that is no headline.
ENOUGH: Final = 4.5


@dataclass(frozen=True, slots=True)
class Colors:
    """The band and button are in `brand` with `on_brand` on it; links are in `link`, at night in `link_dark`."""

    brand: str
    on_brand: str
    link: str
    link_dark: str


def _parts(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _luminance(color: str) -> float:
    def linear(part: int) -> float:
        share = part / 255
        return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)

    red, green, blue = (linear(part) for part in _parts(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast of two colours by WCAG, from 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _towards(color: str, goal: str, paper: str) -> str:
    """The colour, moved towards another one just as far as reading it on this paper takes."""
    for step in range(11):
        mixed = [round(a + (b - a) * step / 10) for a, b in zip(_parts(color), _parts(goal), strict=True)]
        found = "#" + "".join(f"{part:02x}" for part in mixed)
        if contrast(found, paper) >= ENOUGH:
            return found
    return goal


@cache
def colors_of(color: str | None) -> Colors:
    """The colours of a store's mails; what is no colour is the usual one."""
    brand = color.lower() if color and re.fullmatch(r"#[0-9a-fA-F]{6}", color) else USUAL
    return Colors(
        brand=brand,
        on_brand=max("#ffffff", "#000000", key=lambda ink: contrast(ink, brand)),
        link=_towards(brand, INK, PAPER),
        link_dark=_towards(brand, CHALK, NIGHT),
    )
