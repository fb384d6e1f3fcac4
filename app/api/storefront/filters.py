"""How filters are asked for in a query, on every list of variants or products that has them, and answered.

Options by name, `filter_by[Colour][]=Red`, or shorter `colour[]=red` where no other parameter has the name.
"""

import re
from typing import Any, Final

from litestar import Response

from app.api.caching import cached_response
from app.api.faults import invalid_field
from app.api.forms import fold
from app.api.limits import MAX_ID
from app.api.paging import page_bytes
from app.api.request import ShopRequest, query_pairs
from app.api.storefront.counter import Counter, PageCounter
from app.domain.catalogue.filter_counts import RESERVED
from app.domain.catalogue.filtering import EVERYTHING, Filters
from app.domain.catalogue.queries import Items
from app.kit.money import MAX_MINOR
from app.kit.paging import PageRequest

# What a query may ask at most.
MOST_OPTIONS: Final = 10
MOST_VALUES: Final = 50
MOST_TEXT: Final = 200
NESTED: Final = "filter_by"
# Of the reserved names those that are a list, and may come with or without brackets, `types[]` or `types[0]`.
LISTS: Final = ("types", "vendors", "tags")
SINGLE: Final = ("price_from", "price_to", "availability")
AVAILABILITY: Final = {"in_stock": True, "out_of_stock": False}
_INDEX: Final = re.compile(r"[0-9]{0,4}\]")
# Bytes of which a query that filters has at least one.
_MARKS: Final = (b"[", b"%5B", b"%5b", *(name.encode() for name in (NESTED, *LISTS, *SINGLE)))


def _listed(name: str, description: str, items: dict[str, Any], example: list[Any]) -> dict[str, Any]:
    schema = {"type": "array", "items": items, "maxItems": MOST_VALUES}
    return {
        "name": name, "in": "query", "required": False, "description": description,
        "schema": schema, "style": "form", "explode": True, "example": example,
    }  # fmt: skip


_WORD: Final = {"type": "string", "minLength": 1, "maxLength": MOST_TEXT}
_PRICE: Final = {"type": "integer", "minimum": 0, "maximum": MAX_MINOR}
_OPTION_VALUES: Final = {"type": "array", "items": _WORD, "maxItems": MOST_VALUES}
# What the document says of all this: brackets have no schema of their own in OpenAPI.
FILTER_PARAMETERS: Final[tuple[dict[str, Any], ...]] = (
    {
        "name": NESTED,
        "in": "query",
        "required": False,
        "style": "deepObject",
        "explode": True,
        "description": "Values of options by the option's name, as `filter_by[Colour][]=Red&filter_by[Colour][]=Blue"
        "&filter_by[Size][]=M`: any value of one option, all options together. Shorter: `colour[]=red`, with the"
        " keys that the filters of a collection or category tell.",
        "schema": {"type": "object", "additionalProperties": _OPTION_VALUES, "maxProperties": MOST_OPTIONS},
        "examples": {
            "colours": {"summary": "Red or blue, in M", "value": {"Colour": ["Red", "Blue"], "Size": ["M"]}}
        },
    },
    _listed(
        "types[]",
        "Ids of product types; any of them. `types` means the same.",
        {"type": "integer", "minimum": 1, "maximum": MAX_ID},
        [1, 2],
    ),
    _listed("vendors[]", "Vendors; any of them, in any case of letters.", _WORD, ["Fjellbu"]),
    _listed("tags[]", "Tags of the product; any of them, in any case of letters.", _WORD, ["waterproof"]),
    {
        "name": "price_from",
        "in": "query",
        "required": False,
        "description": "The lowest price, in minor units of the store's own currency.",
        "schema": _PRICE,
        "example": 1000,
    },
    {
        "name": "price_to",
        "in": "query",
        "required": False,
        "description": "The highest price, in minor units of the store's own currency.",
        "schema": _PRICE,
        "example": 25000,
    },
    {
        "name": "availability",
        "in": "query",
        "required": False,
        "description": "Only what can be bought now, or only what is sold out.",
        "schema": {"type": "string", "enum": list(AVAILABILITY)},
        "example": "in_stock",
    },
)


def asked_filters(request: ShopRequest) -> Filters:
    """The filters of a query. Raises Invalid, naming the parameter, for what makes no sense."""
    query = request.scope["query_string"]
    if not query or not any(mark in query for mark in _MARKS):
        return EVERYTHING
    plain: dict[str, list[str]] = {}
    bracketed: list[tuple[str, Any]] = []
    for name, value in query_pairs(request):
        bare, bracket, index = name.partition("[")
        if name in SINGLE or (bare in LISTS and (not bracket or _INDEX.fullmatch(index))):
            plain.setdefault(bare, []).append(value)
        elif bare == NESTED or (bracket and bare not in RESERVED):
            bracketed.append((name, value))
        elif bare in LISTS or bare in SINGLE:
            raise _bad_filter(name[:MOST_TEXT])
    words = {name: _texts(name, plain.get(name, [])) for name in LISTS}
    price_from, price_to = (_price(name, plain.get(name)) for name in ("price_from", "price_to"))
    if price_from is not None and price_to is not None and price_from > price_to:
        raise invalid_field("price_to", "too_small", "The highest price is below the lowest.")
    return Filters.of(
        _options(bracketed),
        types=tuple(sorted({_type_id(value) for value in words["types"]})),
        vendors=tuple(sorted(set(words["vendors"]))),
        tags=tuple(sorted(set(words["tags"]))),
        price_from=price_from,
        price_to=price_to,
        available=_available(plain.get("availability")),
    )


def _options(pairs: list[tuple[str, Any]]) -> dict[str, list[str]]:
    tree: dict[str, Any] = fold(pairs)
    nested = tree.pop(NESTED, {})
    if not isinstance(nested, dict):
        raise _bad_filter(NESTED)
    chosen: dict[str, list[str]] = {}
    for prefix, options in (("", tree), (NESTED, nested)):
        for option, values in options.items():
            name = f"{prefix}[{option}]" if prefix else option
            listed = values if isinstance(values, list) else [values]
            chosen.setdefault(option, []).extend(_texts(name[:MOST_TEXT], listed, option))
    if len(chosen) > MOST_OPTIONS:
        raise _bad_filter(NESTED)
    return chosen


def _texts(name: str, values: list[Any], *names: str) -> list[str]:
    """The values of one parameter, where all of them, and its names, are texts to look for."""
    if len(values) > MOST_VALUES:
        raise invalid_field(name, "too_long", f"At most {MOST_VALUES} values can be asked for.")
    for text in (*names, *values):
        if not isinstance(text, str) or not text.strip() or len(text) > MOST_TEXT or "\x00" in text:
            raise _bad_filter(name)
    return values


def _bad_filter(name: str) -> Exception:
    return invalid_field(
        name, "invalid_filter", f"A filter is option[]=value, {MOST_OPTIONS} options at most."
    )


def _number(name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise invalid_field(name, "invalid_number", f"A whole number from {least} to {most}.")
    return int(text)


def _type_id(text: str) -> int:
    return _number("types", text, 1, MAX_ID)


def _only(name: str, values: list[str] | None) -> str | None:
    if values and len(values) > 1:
        raise invalid_field(name, "repeated", "This can be said once.")
    return values[0] if values else None


def _price(name: str, values: list[str] | None) -> int | None:
    text = _only(name, values)
    return None if text is None else _number(name, text, 0, MAX_MINOR)


def _available(values: list[str] | None) -> bool | None:
    text = _only("availability", values)
    if text is None:
        return None
    if text not in AVAILABILITY:
        raise invalid_field("availability", "unknown_choice", "One of in_stock and out_of_stock.")
    return AVAILABILITY[text]


def send_shelf(pages: PageCounter, found: Items) -> Response[bytes]:
    """A page of a collection or category. Where it has no cursor it was ranked as a whole, and may be a moment old:
    then the answer is tagged by what it says and never by the catalogue's version.
    """
    if found.after is not None:
        return pages.send_page(found)
    page = page_bytes(pages.request, pages.paging, found.text, found.total)
    return cached_response(pages.request, page)


def send_head(counter: Counter, head: bytes, filters: bytes) -> Response[bytes]:
    """One collection or category as the contract has it: a page of one, its fields and filters beside."""
    page = page_bytes(counter.request, PageRequest(1, 1), head, 1)
    return cached_response(counter.request, b'%b,"filters":%b,%b' % (head[:-1], filters, page[1:]))
