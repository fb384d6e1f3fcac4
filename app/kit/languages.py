"""Languages: which one somebody is written to in (RFC 4647), and how PostgreSQL reads texts in one."""

import re
from collections.abc import Collection
from typing import Final

MOST: Final = 5
# Dictionaries that PostgreSQL carries and migration 0002 has configurations for, by ISO 639-1.
DICTIONARIES: Final = {
    "da": "danish", "nl": "dutch", "en": "english", "fi": "finnish", "fr": "french", "de": "german",
    "hu": "hungarian", "it": "italian", "no": "norwegian", "nb": "norwegian", "nn": "norwegian",
    "pt": "portuguese", "ro": "romanian", "ru": "russian", "es": "spanish", "sv": "swedish",
    "tr": "turkish",
}  # fmt: skip
_TAG: Final = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,3}", re.IGNORECASE)


def wanted_languages(header: str | None) -> str | None:
    """The tags of an Accept-Language header, best first, as "de-CH,de,en"; None where it names none.

    What is wanted is kept, not what there is today: with a new translation the next mail is in it.
    """
    ranked: list[tuple[float, str]] = []
    for part in (header or "")[:500].split(","):
        tag, _, weight = part.strip().partition(";")
        quality = _quality(weight)
        if quality > 0 and _TAG.fullmatch(tag.strip()):
            ranked.append((-quality, tag.strip()))
    tags = [tag for _, tag in sorted(ranked, key=lambda each: each[0])]
    return ",".join(dict.fromkeys(tags[:MOST])) or None


def _quality(weight: str) -> float:
    name, _, value = weight.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(float(value), 1.0)
    except ValueError:
        return 0.0


def match_language(wanted: str | None, have: Collection[str]) -> str | None:
    """The first wanted language that there is: the tag itself, else what is left when its end is cut off."""
    known = {language.lower(): language for language in have}
    for tag in (wanted or "").lower().split(","):
        parts = tag.split("-")
        while parts:
            found = known.get("-".join(parts))
            if found is not None:
                return found
            parts.pop()
    return None


def search_configuration(language: str) -> str:
    """The text search configuration of a store's language ("en", "de-CH"); plain words for any other."""
    return f"storefront_{DICTIONARIES.get(language.partition('-')[0].lower(), 'simple')}"
