"""What the words of a query are."""

import re
import unicodedata
from typing import Final

MOST_WORDS: Final = 8
# Phrases of a synonym are looked for up to this length.
LONGEST_PHRASE: Final = 3
_WORD: Final = re.compile(r"[^\W_]+")
# Of "jacket's" the s is no word; as one it would stand for all that begins with it.
_OWNER: Final = re.compile(r"(?<=\w)['\u2019]s\b")


def split_words(text: str, most: int = MOST_WORDS) -> list[str]:
    """The first words of a query in lower case, without accents."""
    plain = unicodedata.normalize("NFKD", _OWNER.sub("", text.lower()))
    return _WORD.findall("".join(char for char in plain if not unicodedata.combining(char)))[:most]
