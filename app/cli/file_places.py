"""How a place in a shop file is named to whoever wrote it: by the entry's own name, else by its number from 1."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

# What tells entries of a list apart, the likeliest first; several keys where one alone is not enough.
_NAMES: Final = (("handle",), ("key",), ("title",), ("region", "name", "tax_class"), ("country", "name", "tax_class"),
                 ("name",), ("code",), ("sku",))  # fmt: skip
# Whose name opens something: it is not told.
_SECRET: Final = frozenset({"gift_cards"})
_STEP: Final = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_AT: Final = re.compile(r" - at `\$\.?([^`]*)`$")
_NUMBER_FOR_TEXT: Final = re.compile(r"Expected `str[^`]*`, got `(?:int|float)`")


def name_place(path: str, file: Mapping[str, Any]) -> str:
    """`tax_rates[1].rate` as `tax_rates "US-CA Sales tax", rate`; what is not found in the file is told as it is."""
    here: Any = file
    told, section, after_entry = "", "", False
    for name, index in _STEP.findall(path):
        if name:
            told += (", " if after_entry else "." if told else "") + name
            here, section, after_entry = (here.get(name) if isinstance(here, Mapping) else None), name, False
        elif isinstance(here, Sequence) and not isinstance(here, str) and int(index) < len(here):
            told += (
                f"{',' if after_entry else ''} {_name_entry(here, int(index), is_secret=section in _SECRET)}"
            )
            here, after_entry = here[int(index)], True
        else:
            return path
    return told


def explain_shape(message: str, file: Mapping[str, Any]) -> str:
    """What msgspec found wrong, with its place in front, and with what to do where a number has to be a text."""
    found = _AT.search(message)
    what = message[: found.start()] if found else message
    what = what.replace("Object contains unknown field", "unknown key")
    if _NUMBER_FOR_TEXT.search(what):
        what += ": put it in quotes"
    place = name_place(found[1], file) if found else ""
    return f"{place}: {what}" if place else what


def _name_entry(entries: Sequence[Any], index: int, *, is_secret: bool) -> str:
    if not is_secret:
        for keys in _NAMES:
            names = [_named(entry, keys) for entry in entries]
            if names[index] and names.count(names[index]) == 1:
                return f'"{names[index]}"'
    return f"no. {index + 1}"


def _named(entry: Any, keys: Sequence[str]) -> str:
    if not isinstance(entry, Mapping) or not isinstance(entry.get(keys[0]), str):
        return ""
    return " ".join(entry[key] for key in keys if isinstance(entry.get(key), str) and entry[key])
