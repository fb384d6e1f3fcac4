"""Colours as people see them: from sRGB to CIE Lab, and how far two are apart by CIEDE2000.

Lab under D65 (IEC 61966-2-1, CIE 15); CIEDE2000 after Sharma, Wu and Dalal, "The CIEDE2000 Color-Difference
Formula: Implementation Notes, Supplementary Test Data, and Mathematical Observations" (2005).
"""

from functools import lru_cache
from math import atan2, cos, degrees, exp, hypot, log1p, radians, sin, sqrt
from typing import Final

Lab = tuple[float, float, float]

_D65: Final = (0.95047, 1.0, 1.08883)
_25_7: Final = 25.0**7


def parse_rgb(code: str) -> int | None:
    """The number of six hexadecimal digits, with # before them or not; None for anything else."""
    digits = code.removeprefix("#")
    if len(digits) != 6 or not all(sign in "0123456789abcdefABCDEF" for sign in digits):
        return None
    return int(digits, 16)


def _linear(channel: int) -> float:
    value = channel / 255
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


def _cube_root(value: float) -> float:
    return float(value ** (1 / 3)) if value > 216 / 24389 else (24389 / 27 * value + 16) / 116


@lru_cache(maxsize=32_768)
def lab_of(rgb: int) -> Lab:
    """L* from 0 to 100, a* and b*, of an sRGB colour as 0xRRGGBB."""
    red, green, blue = _linear(rgb >> 16 & 255), _linear(rgb >> 8 & 255), _linear(rgb & 255)
    x = _cube_root((0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / _D65[0])
    y = _cube_root((0.2126729 * red + 0.7151522 * green + 0.0721750 * blue) / _D65[1])
    z = _cube_root((0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / _D65[2])
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def spot_of(lab: Lab) -> Lab:
    """Where a colour stands in a space whose straight distances are close to CIEDE2000's.

    Chroma is what it is to the eye, ln(1 + 0.045 C) / 0.045: the weight S_C of the formula, added up from
    grey. Good for finding candidates; their order is the formula's own.
    """
    lightness, a, b = lab
    chroma = hypot(a, b)
    # Near grey the formula stretches a* by up to a half.
    a *= 1 + 0.5 * (1 - sqrt(chroma**7 / (chroma**7 + _25_7)))
    chroma = hypot(a, b)
    seen = log1p(0.045 * chroma) / 0.045 / chroma if chroma else 1.0
    return lightness, a * seen, b * seen


def ciede2000(first: Lab, second: Lab) -> float:
    """The difference of two colours, 0 for the same, about 1 where an eye begins to tell them apart.

    k_L, k_C and k_H are 1. The same both ways round.
    """
    (l1, a1, b1), (l2, a2, b2) = first, second
    mean_7 = ((hypot(a1, b1) + hypot(a2, b2)) / 2) ** 7
    stretch = 1 + 0.5 * (1 - sqrt(mean_7 / (mean_7 + _25_7)))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = hypot(a1, b1), hypot(a2, b2)
    h1 = degrees(atan2(b1, a1)) % 360 if c1 else 0.0
    h2 = degrees(atan2(b2, a2)) % 360 if c2 else 0.0

    turn, mean_hue = 0.0, h1 + h2
    if c1 and c2:
        turn = h2 - h1
        if abs(turn) <= 180:
            mean_hue /= 2
        else:
            turn += 360 if turn < 0 else -360
            mean_hue = (mean_hue + 360) / 2 if mean_hue < 360 else (mean_hue - 360) / 2
    lightness, chroma = l2 - l1, c2 - c1
    hue = 2 * sqrt(c1 * c2) * sin(radians(turn / 2))

    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * cos(radians(mean_hue - 30))
        + 0.24 * cos(radians(2 * mean_hue))
        + 0.32 * cos(radians(3 * mean_hue + 6))
        - 0.20 * cos(radians(4 * mean_hue - 63))
    )
    off = (mean_l - 50) ** 2
    s_l = 1 + 0.015 * off / sqrt(20 + off)
    s_c = 1 + 0.045 * mean_c
    s_h = 1 + 0.015 * mean_c * t
    spread = 30 * exp(-(((mean_hue - 275) / 25) ** 2))
    r_t = -sin(radians(2 * spread)) * 2 * sqrt(mean_c**7 / (mean_c**7 + _25_7))
    x, y, z = lightness / s_l, chroma / s_c, hue / s_h
    # Rounding can leave a hair below nothing.
    return sqrt(max(0.0, x * x + y * y + z * z + r_t * y * z))
