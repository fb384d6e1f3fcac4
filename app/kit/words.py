"""What the words of a query are."""

import re
import unicodedata
from typing import Final

MOST_WORDS: Final = 8
# Phrases of a synonym are looked for up to this length.
LONGEST_PHRASE: Final = 3
_WORD: Final = re.compile(r"[^\W_]+")


def split_words(text: str) -> list[str]:
    """The words of a query in lower case, without accents, at most MOST_WORDS."""
    plain = unicodedata.normalize("NFKD", text.lower())
    return _WORD.findall("".join(char for char in plain if not unicodedata.combining(char)))[:MOST_WORDS]
