"""Which languages mails speak: English as written in the templates, others from locales/<language>.po."""

import gettext
import io
from functools import cache
from pathlib import Path
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from app.kit.languages import match_language

FOLDER: Final = Path(__file__).parent / "locales"
SOURCE: Final = "en"


@cache
def list_languages() -> tuple[str, ...]:
    return (SOURCE, *sorted(path.stem for path in FOLDER.glob("*.po")))


@cache
def load_translations(language: str) -> gettext.NullTranslations:
    """The messages of a language, compiled from its .po as it stands: no compiled file can be out of date."""
    if language == SOURCE:
        return gettext.NullTranslations()
    with (FOLDER / f"{language}.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)  # leaves out what is marked fuzzy, so that a guess is never mailed
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def choose_language(wanted: str | None, store_language: str) -> str:
    """The first wanted language that mails speak, else the store's, else English."""
    have = list_languages()
    return match_language(wanted, have) or match_language(store_language, have) or SOURCE


@cache
def locale_of(language: str, country: str) -> Locale:
    """How dates and money are written in a language: as in the store's country where they know it there."""
    try:
        return Locale.parse(f"{language}_{country}")
    except (UnknownLocaleError, ValueError):
        return Locale.parse(language)
