"""Postal codes: how each country writes them, what is forgiven, and what is none."""

import pytest

from app.kit.places import list_countries
from app.kit.postal import _form, find_other_region, find_region_of_code, normalise_zip


@pytest.mark.parametrize(
    ("country", "typed", "written"),
    [
        ("US", "97201", "97201"),
        ("US", "972011234", "97201-1234"),
        ("US", "97201 1234", "97201 1234"),
        ("GB", "w1h6ll", "W1H 6LL"),
        ("GB", " ec1y  8sy ", "EC1Y 8SY"),
        ("GB", "GIR0AA", "GIR 0AA"),
        ("CA", "k1a-0b1", "K1A 0B1"),
        ("NL", "1234ab", "1234 AB"),
        ("DE", "D-10115", "10115"),
        ("DE", "1 0 1 1 5", "10115"),
        ("LV", "1010", "LV-1010"),
        ("LV", "lv 1010", "LV-1010"),
        ("SE", "SE-114 55", "114 55"),
        ("SE", "11455", "11455"),
        ("CZ", "10000", "100 00"),
        ("PL", "00950", "00-950"),
        ("PT", "2725079", "2725-079"),
        ("BR", "40301110", "40301-110"),
        ("JP", "1540023", "154-0023"),
        ("JP", "\uff11\uff15\uff14\u2010\uff10\uff10\uff12\uff13", "154-0023"),
        ("SA", "\u0661\u0662\u0663\u0664\u0665", "12345"),
        ("IE", "a65f4e2", "A65 F4E2"),
        ("SV", "1101", "CP 1101"),
        ("HK", "whatever 1", "WHATEVER 1"),
    ],
)
def test_a_code_is_written_as_its_country_does(country, typed, written):
    assert normalise_zip(typed, country) == written
    assert normalise_zip(written, country) == written


@pytest.mark.parametrize(
    ("country", "typed"),
    [
        ("US", "9720"),
        ("US", "ABCDE"),
        ("GB", "10115"),
        ("GB", "QQ1 1QQ"),
        ("DE", "1011"),
        ("DE", "101155"),
        ("DE", "W1H 6LL"),
        ("NL", "0234 AB"),
        ("CA", "D1A 0B1"),
        ("FR", "7500"),
        ("JP", "12345"),
        ("AU", "20000"),
        ("US", "-"),
    ],
)
def test_what_certainly_is_no_code_is_refused(country, typed):
    assert normalise_zip(typed, country) is None


def test_every_countrys_own_examples_are_codes():
    known = [code for code, _ in list_countries() if _form(code)]
    assert len(known) > 150
    for code in known:
        for example in (one.text for one in _form(code).examples):
            assert normalise_zip(example, code), (code, example)
            assert normalise_zip(example.replace(" ", ""), code), (code, example)


@pytest.mark.parametrize(
    ("country", "code", "region"),
    [
        ("US", "94103", "US-CA"),
        ("US", "97201-1234", "US-OR"),
        ("US", "00901", "US-PR"),
        ("US", "", None),
        ("CA", "H2X 1Y4", "CA-QC"),
        ("CA", "K1A 0B1", None),  # of the government, in two provinces
        ("JP", "154-0023", "JP-13"),
        ("AU", "2600", "AU-ACT"),
        ("DE", "10115", None),
        ("HK", "1", None),
    ],
)
def test_a_code_tells_its_region_where_it_is_in_one_alone(country, code, region):
    assert find_region_of_code(code, country) == region


def test_only_regions_that_share_no_border_contradict_a_code():
    for country, code, region, other in (
        ("US", "97201", "AK", "US-OR"),
        ("US", "99501", "OR", "US-AK"),
        ("US", "96813-1234", "CA", "US-HI"),
        ("US", "10001", "CA", "US-NY"),
        ("CA", "V6B 1A1", "ON", "CA-BC"),
        ("AU", "7000", "VIC", "AU-TAS"),
        ("US", "97201", "OR", None),
        ("US", "84536", "AZ", None),  # of Utah, and houses in Arizona
        ("US", "42223", "TN", None),  # of Kentucky, and half of it in Tennessee
        ("US", "09012", "TX", None),  # of the forces, wherever they are at home
        ("US", "06390", "NY", None),
        ("CA", "K1A 0H3", "QC", None),
        ("AU", "0872", "WA", None),
        ("JP", "154-0023", "01", None),
        ("US", "", "AK", None),
    ):
        found = find_other_region(code, country, f"{country}-{region}")
        assert found == other, (country, code, region)
