"""How form fields with bracket names become nested values: `a[b]=1&c[]=2` is {"a": {"b": "1"}, "c": ["2"]}.

A name is a word followed by bracketed parts. A last part `[]` makes a list, parts that are all numbers make
a list in their order, a plain name that is repeated makes a list. What could be read in two ways is refused.
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from app.api.faults import invalid_field
from app.kit.errors import Invalid

MAX_FIELDS = 1_000
MAX_DEPTH = 6
MAX_INDEX = 1_000

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")


class FormTooLargeError(ValueError):
    """A form has more fields than any of our calls needs."""


def parse_pairs(encoded: bytes) -> list[tuple[str, str]]:
    """Decode `application/x-www-form-urlencoded` (WHATWG URL), keeping order and repeats.

    Raises UnicodeDecodeError where the text is not UTF-8 and FormTooLargeError past MAX_FIELDS.
    """
    if encoded.count(b"&") >= MAX_FIELDS:
        raise FormTooLargeError
    pairs = []
    for part in encoded.split(b"&"):
        if part:
            name, _, value = part.replace(b"+", b" ").partition(b"=")
            pairs.append((unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()))
    return pairs


def fold(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Nest fields by their bracket names. Raises Invalid, naming the field, where a name makes no sense."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        parts = _split(name)
        node = tree
        for part in parts[:-1]:
            child = node.setdefault(part, {})
            if "" in node or not isinstance(child, dict):
                raise _ambiguous(name)
            node = child
        _put(node, parts[-1], value, name)
    return {name: _lists(value) for name, value in tree.items()}


def _split(name: str) -> list[str]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise invalid_field(name[:100], "invalid_name", "A name is a word followed by parts in brackets.")
    parts = [match[1], *_PART.findall(match[2])]
    if len(parts) > MAX_DEPTH:
        raise invalid_field(name[:100], "invalid_name", f"A name has at most {MAX_DEPTH} parts.")
    if "" in parts[:-1]:
        raise invalid_field(name[:100], "invalid_name", "Empty brackets stand at the end of a name only.")
    return parts


class _Repeated(list[Any]):
    """Values of one name in the order they came."""


def _put(node: dict[str, Any], part: str, value: Any, name: str) -> None:
    if ("" in node) if part else any(key for key in node):
        raise _ambiguous(name)
    if part not in node:
        node[part] = value if part else _Repeated([value])
    elif isinstance(node[part], dict):
        raise _ambiguous(name)
    elif isinstance(node[part], _Repeated):
        node[part].append(value)
    else:
        node[part] = _Repeated([node[part], value])


def _lists(value: Any) -> Any:
    if isinstance(value, _Repeated):
        return list(value)
    if not isinstance(value, dict):
        return value
    if "" in value:
        return list(value[""])
    folded = {name: _lists(child) for name, child in value.items()}
    if all(name.isascii() and name.isdigit() and len(name) < 5 and int(name) < MAX_INDEX for name in folded):
        return [folded[name] for name in sorted(folded, key=int)]
    return folded


def _ambiguous(name: str) -> Invalid:
    return invalid_field(name[:100], "ambiguous", "The same name stands for a value and for a group.")
