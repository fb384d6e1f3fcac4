"""How words are matched with products: the text search query for what somebody typed, and for their typing."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

import msgspec

MOST_WORDS: Final = 8
_WORD: Final = re.compile(r"[^\W_]+")

# Dictionaries that PostgreSQL carries and migration 0002 has configurations for, by ISO 639-1.
LANGUAGES: Final = {
    "da": "danish", "nl": "dutch", "en": "english", "fi": "finnish", "fr": "french", "de": "german",
    "hu": "hungarian", "it": "italian", "no": "norwegian", "nb": "norwegian", "nn": "norwegian",
    "pt": "portuguese", "ro": "romanian", "ru": "russian", "es": "spanish", "sv": "swedish",
    "tr": "turkish",
}  # fmt: skip


class SearchText(msgspec.Struct, frozen=True):
    """The arguments of MATCH: stemmed, as written with the last word a beginning, and both mixed."""

    configuration: str
    stemmed: str
    written: str
    before_last: str
    last: str

    @property
    def arguments(self) -> tuple[str, str, str, str, str]:
        return (self.configuration, self.stemmed, self.written, self.before_last, self.last)


def search_configuration(language: str) -> str:
    """The text search configuration of a store's language ("en", "de-CH"); plain words for any other."""
    return f"storefront_{LANGUAGES.get(language.partition('-')[0].lower(), 'simple')}"


def match(first: int) -> str:
    """The tsquery of a SearchText whose arguments begin at $first.

    A stop word matches nothing as written, and a half-typed word has no stem: so the words count as
    stems, or as written, or as stems but for the last, which may be a beginning.
    """
    config, stemmed, written, before, last = (f"${first + place}::text" for place in range(5))
    return (
        f"(to_tsquery({config}::regconfig, {stemmed})"
        f" || to_tsquery('storefront_simple', {written})"
        f" || (to_tsquery({config}::regconfig, {before}) && to_tsquery('storefront_simple', {last})))"
    )


def split_words(text: str) -> list[str]:
    """The words of a query in lower case, without accents, at most MOST_WORDS."""
    plain = unicodedata.normalize("NFKD", text.lower())
    return _WORD.findall("".join(char for char in plain if not unicodedata.combining(char)))[:MOST_WORDS]


def search_text(words: Sequence[str], language: str, *, joined: str = " & ") -> SearchText:
    """The query for these words (at least one), all of them or, joined by " | ", any."""
    last = f"{words[-1]}:*"
    return SearchText(
        configuration=search_configuration(language),
        stemmed=joined.join(words),
        written=joined.join([*words[:-1], last]),
        before_last=joined.join(words[:-1]),
        last=last,
    )
