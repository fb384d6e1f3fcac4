"""How words are matched with texts: the text search query for what somebody typed, and for their typing."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from app.kit.languages import search_configuration
from app.kit.words import LONGEST_PHRASE, split_words

# "head lamp" is also looked for as "headlamp"; past this many words that would only cost.
MOST_JOINED: Final = 4
# A word of so few letters begins so many others that the index takes long to put them together.
FEW_LETTERS: Final = 2

_AMOUNT: Final = re.compile(r"([0-9]+)([a-z]{1,4})")

Phrase = tuple[str, ...]
# Groups of words and phrases that mean the same.
Synonyms = tuple[tuple[str, ...], ...]


class SearchText(msgspec.Struct, frozen=True):
    """The arguments of `match`: stemmed, as written with the last word a beginning, and both mixed.

    leading is what several words lead with, where the last is but a few letters; else empty.
    """

    configuration: str
    stemmed: str
    written: str
    before_last: str
    last: str
    leading: str = ""

    @property
    def arguments(self) -> tuple[str, str, str, str, str, str]:
        return (
            self.configuration, self.stemmed, self.written, self.before_last, self.last, self.leading,
        )  # fmt: skip


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


def match_leading(first: int) -> str:
    """The tsquery that fits whatever `match` does, where the arguments have something leading."""
    config, leading = f"${first}::text", f"${first + 5}::text"
    return f"(to_tsquery({config}::regconfig, {leading}) || to_tsquery('storefront_simple', {leading}))"


def search_text(
    words: Sequence[str], language: str, *, joined: str = " & ", synonyms: Synonyms = ()
) -> SearchText:
    """The query for these words (at least one), all of them or, joined by " | ", any.

    Each counts as what means the same, two neighbours also as one word, and 65l as 65 l.
    """
    slots = _slots(words, _same_meaning(synonyms)) if synonyms else [((word,),) for word in words]
    stems = [_any_of(slot) for slot in slots]
    last = f"{words[-1]}:*"
    compounds = list(_compounds(words)) if len(words) <= MOST_JOINED else []
    return SearchText(
        configuration=search_configuration(language),
        stemmed=" | ".join(
            [joined.join(stems), *(" & ".join(each) for each in (*compounds, *_parted(words)))]
        ),
        written=" | ".join(
            [joined.join([*words[:-1], last]), *(" & ".join(each) + ":*" for each in compounds)]
        ),
        before_last=joined.join(words[:-1]),
        last=last,
        leading=(
            _leading(words, compounds)
            if joined == " & " and not _has_more(slots) and not _parted(words)
            else ""
        ),
    )


def _has_more(slots: Iterable[tuple[Phrase, ...]]) -> bool:
    """Whether something else would do for any of the words."""
    return any(len(slot) > 1 for slot in slots)


def _leading(words: Sequence[str], compounds: Sequence[Sequence[str]]) -> str:
    """What is found of all words by those before a last one of few letters, as SKUs end with it; empty for others.

    Two words before it are selective enough that the last can be looked for in what they find.
    """
    if len(words) < 3 or len(words[-1]) > FEW_LETTERS:
        return ""
    readings = [words[:-1], *(each[:-1] for each in compounds[:-1])]
    joined_last = [" & ".join(each) + ":*" for each in compounds[-1:]]
    return " | ".join([*(" & ".join(reading) for reading in readings), *joined_last])


def _compounds(words: Sequence[str]) -> Iterable[list[str]]:
    """The words with each pair of neighbours written as one."""
    for place in range(len(words) - 1):
        yield [*words[:place], words[place] + words[place + 1], *words[place + 2 :]]


def _parted(words: Sequence[str]) -> list[list[str]]:
    """The words with amounts apart from their units, as in 65l; nothing where there are none."""
    if len(words) > MOST_JOINED:
        return []
    amounts = [_AMOUNT.fullmatch(word) for word in words]
    parts = [
        part
        for word, amount in zip(words, amounts, strict=True)
        for part in (amount.groups() if amount else (word,))
    ]
    return [parts] if len(parts) > len(words) else []


def _slots(words: Sequence[str], meanings: dict[Phrase, tuple[Phrase, ...]]) -> list[tuple[Phrase, ...]]:
    """The words in their order, the longest known phrases together, each as all that means the same."""
    slots: list[tuple[Phrase, ...]] = []
    place = 0
    while place < len(words):
        for length in range(min(LONGEST_PHRASE, len(words) - place), 0, -1):
            phrase = tuple(words[place : place + length])
            same = next((meanings[form] for form in _forms(phrase) if form in meanings), None)
            if same is not None or length == 1:
                slots.append((phrase, *(each for each in same or () if each != phrase)))
                place += length
                break
    return slots


def _forms(phrase: Phrase) -> Iterable[Phrase]:
    """The phrase, and one for many or many for one, so that a shop need not list both."""
    *before, last = phrase
    for ending in ("", "s", "es"):
        if last.endswith(ending):
            yield (*before, last.removesuffix(ending))
    yield (*before, f"{last}s")


def _any_of(phrases: Iterable[Phrase]) -> str:
    readings = [" & ".join(phrase) for phrase in phrases]
    return f"({' | '.join(readings)})" if len(readings) > 1 else readings[0]


@lru_cache(maxsize=64)
def _same_meaning(synonyms: Synonyms) -> dict[Phrase, tuple[Phrase, ...]]:
    """All that means the same, by each phrase of a group; a phrase in two groups means both."""
    found: dict[Phrase, dict[Phrase, None]] = {}
    for group in synonyms:
        phrases = [tuple(split_words(text)) for text in group]
        for phrase in phrases:
            found.setdefault(phrase, {phrase: None}).update(dict.fromkeys(phrases))
    return {phrase: tuple(same) for phrase, same in found.items()}
