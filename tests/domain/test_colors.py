"""Colours: the published numbers of CIEDE2000, what names mean, and the index that finds the nearest."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.catalogue.color_names import colors_of, store_colors, variant_colors
from app.domain.discovery.colors import CANDIDATES, FEW_CANDIDATES, MOST_SHOWN, SURE
from app.kit.colors import ciede2000, lab_of, parse_rgb, spot_of

# L1 a1 b1, L2 a2 b2, difference: table 1 of Sharma, Wu and Dalal (2005), all 34 pairs.
PUBLISHED = """
50.0000 2.6772 -79.7751 50.0000 0.0000 -82.7485 2.0425
50.0000 3.1571 -77.2803 50.0000 0.0000 -82.7485 2.8615
50.0000 2.8361 -74.0200 50.0000 0.0000 -82.7485 3.4412
50.0000 -1.3802 -84.2814 50.0000 0.0000 -82.7485 1.0000
50.0000 -1.1848 -84.8006 50.0000 0.0000 -82.7485 1.0000
50.0000 -0.9009 -85.5211 50.0000 0.0000 -82.7485 1.0000
50.0000 0.0000 0.0000 50.0000 -1.0000 2.0000 2.3669
50.0000 -1.0000 2.0000 50.0000 0.0000 0.0000 2.3669
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0009 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0010 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0011 7.2195
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0012 7.2195
50.0000 -0.0010 2.4900 50.0000 0.0009 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0010 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0011 -2.4900 4.7461
50.0000 2.5000 0.0000 50.0000 0.0000 -2.5000 4.3065
50.0000 2.5000 0.0000 73.0000 25.0000 -18.0000 27.1492
50.0000 2.5000 0.0000 61.0000 -5.0000 29.0000 22.8977
50.0000 2.5000 0.0000 56.0000 -27.0000 -3.0000 31.9030
50.0000 2.5000 0.0000 58.0000 24.0000 15.0000 19.4535
50.0000 2.5000 0.0000 50.0000 3.1736 0.5854 1.0000
50.0000 2.5000 0.0000 50.0000 3.2972 0.0000 1.0000
50.0000 2.5000 0.0000 50.0000 1.8634 0.5757 1.0000
50.0000 2.5000 0.0000 50.0000 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""
PAIRS = [tuple(map(float, line.split())) for line in PUBLISHED.split("\n") if line]
RGB = st.integers(0, 0xFFFFFF)


def test_all_34_published_pairs_are_held_to():
    assert len(PAIRS) == 34
    for l1, a1, b1, l2, a2, b2, expected in PAIRS:
        for first, second in (((l1, a1, b1), (l2, a2, b2)), ((l2, a2, b2), (l1, a1, b1))):
            assert round(ciede2000(first, second), 4) == expected


@pytest.mark.parametrize(
    ("code", "lab"),
    [
        ("ffffff", (100.0, 0.0, 0.0)),
        ("000000", (0.0, 0.0, 0.0)),
        ("ff0000", (53.24, 80.09, 67.20)),
        ("00ff00", (87.73, -86.18, 83.18)),
        ("0000ff", (32.30, 79.19, -107.86)),
    ],
)
def test_lab_of_srgbs_corners_is_as_published(code, lab):
    rgb = parse_rgb(code)
    assert rgb is not None
    assert lab_of(rgb) == pytest.approx(lab, abs=0.02)


@given(RGB, RGB)
def test_a_difference_is_the_same_both_ways_and_nothing_for_the_same(first, second):
    one, other = lab_of(first), lab_of(second)
    assert ciede2000(one, other) == pytest.approx(ciede2000(other, one), abs=1e-9)
    assert ciede2000(one, one) == 0


@pytest.mark.parametrize(
    "code", ["", "fff", "#12345", "12345g", "0x1234", "+12345", "1_2345", "\N{ARABIC-INDIC DIGIT ONE}23456"]
)
def test_only_six_hexadecimal_digits_are_a_colour(code):
    assert parse_rgb(code) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Red", [0xFF0000]),
        ("Forest Green", [0x228B22]),
        ("Pine Green", [0x008000]),
        ("Dark heather grey", [0xB2B6B9]),
        ("Black / White", [0x000000, 0xFFFFFF]),
        ("Navy & red", [0x000080, 0xFF0000]),
        ("BLACK AND WHITE", [0x000000, 0xFFFFFF]),
        ("Rouge et Noir | Beige", [0xFF0000, 0x000000, 0xF5F5DC]),
        ("#2F5D3A", [0x2F5D3A]),
        ("Grün", [0x008000]),
        ("Moss", [0x78803F]),
        ("Large", []),
        ("", []),
    ],
)
def test_a_name_means_the_stores_colour_then_css_then_what_shops_say(name, expected):
    assert colors_of(name, store_colors({"Moss": "#78803f", "Broken": "red"})) == expected


def test_an_explicit_colour_counts_before_the_names_of_options():
    choices = [("Frame Colour", "Red"), ("Size", "Navy")]
    assert variant_colors((), choices, {}) == [0xFF0000]
    assert variant_colors(("123456", "123456"), choices, {}) == [0x123456]


def test_the_space_of_the_index_has_the_nearest_colours_among_its_first():
    chance = random.Random(11)
    colors = [chance.randrange(1 << 24) for _ in range(20_000)]
    for _ in range(4):
        asked = lab_of(chance.randrange(1 << 24))
        at = spot_of(asked)

        def straight(rgb: int, at=at) -> float:
            return sum((x - y) ** 2 for x, y in zip(at, spot_of(lab_of(rgb)), strict=True))

        def by_formula(rgb: int, asked=asked) -> float:
            return ciede2000(asked, lab_of(rgb))

        nearest = sorted(colors, key=by_formula)[:MOST_SHOWN]
        candidates = sorted(colors, key=straight)[:CANDIDATES]
        assert set(nearest) <= set(candidates)
        assert set(nearest[:SURE]) <= set(candidates[:FEW_CANDIDATES])
