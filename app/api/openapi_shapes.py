"""What the document says of objects that answers pass on as they are kept: their fields, by the name they have.

Such an answer holds what an order or a database row holds and is never taken apart by us, so its Struct says no more
than that it is an object. Whoever writes a client needs its fields all the same.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

_REFERENCE: Final = "#/components/schemas/{name}"


class AnswerAddress(msgspec.Struct):
    """An address as it was given for an order; `id` where it came from the address book."""

    id: int | None
    first_name: str
    last_name: str
    company: str | None
    address_one: str
    address_two: str | None
    apartment_suite: str | None
    city: str
    zip: str | None
    country: str
    country_code: str
    region: str | None
    province: str | None
    phone: str
    is_default: bool


class ChosenShipping(msgspec.Struct):
    """How an order is sent, as it was chosen: days to go, and the dates that they came to."""

    id: int | str
    title: str
    price: int
    min_days: int | None
    max_days: int | None
    earliest: str | msgspec.UnsetType | None = msgspec.UNSET
    latest: str | msgspec.UnsetType | None = msgspec.UNSET
    pickup: bool | msgspec.UnsetType = msgspec.UNSET
    location: Any = None


class ReviewLimits(msgspec.Struct):
    """What a review may have: ratings from, to and in which steps, and how many pictures."""

    rating_min: float
    rating_max: float
    rating_step: float
    files: int


class OrderFiles(msgspec.Struct):
    """The documents of a payment under review."""

    files: list[str]


class TextMedia(msgspec.Struct):
    """The picture of a text or shelf, where it has one."""

    src: str | msgspec.UnsetType = msgspec.UNSET


class MovedAddress(msgspec.Struct):
    """Where something is to be found whose handle has changed; `type` is what is there."""

    type: str
    handle: str
    path: str
    status: int


class ResolvedText(msgspec.Struct):
    """A page, blog post or blog category. Times in Unix seconds."""

    id: int
    title: str
    slug: str
    meta_title: str
    meta_description: str
    meta_keywords: str
    published_at: int | None


_OWN: Final = (
    AnswerAddress, ChosenShipping, ReviewLimits, OrderFiles, TextMedia, MovedAddress, ResolvedText,
)  # fmt: skip
# Fields by name, and the shape that each of their objects has, by the end of the shape's name.
FIELDS: Final[Mapping[str, str]] = {
    "shipping_address": "AnswerAddress",
    "billing_address": "AnswerAddress",
    "shipping_info": "StorefrontAddress",
    "shipping_option": "ChosenShipping",
    "review_limits": "ReviewLimits",
    "verify_payment_files": "OrderFiles",
    "media": "TextMedia",
}
# What an address stands for has the shape of what it is.
_RESOLVED: Final = (
    "StorefrontProduct", "StorefrontVariantDetail", "StorefrontCollection", "StorefrontCategory", "ResolvedText",
    "MovedAddress",
)  # fmt: skip
# Free by nature, in answers: rows that are exported as they are kept.
FREE: Final = frozenset({"exportAccount"})


def say_shapes(schemas: dict[str, Any]) -> None:
    """Give the objects that answers pass on the fields that they have."""
    _, own = msgspec.json.schema_components(_OWN, ref_template=_REFERENCE)
    schemas.update(own)
    for shape, schema in schemas.items():
        for name, field in schema.get("properties", {}).items():
            for bare in bare_objects(field):
                if name in FIELDS:
                    _become(bare, _reference(schemas, FIELDS[name]))
                elif shape.endswith("StorefrontOrder") and name in ("gift", "discount"):
                    bare["properties"] = _expanded(schemas, name)
                elif shape.endswith("StorefrontResolved"):
                    _become(bare, {"anyOf": [_reference(schemas, one) for one in _RESOLVED]})


def _expanded(schemas: Mapping[str, Any], name: str) -> dict[str, Any]:
    if name == "gift":
        return {"items": {"type": "array", "items": _reference(schemas, "StorefrontOrderLine")}}
    return {
        "code": {"type": ["string", "null"]},
        "amount": {"type": "integer", "description": "In minor units of the currency."},
        "applied": {"type": "array", "items": _reference(schemas, "StorefrontApplied")},
    }


def bare_objects(node: Any) -> Iterator[dict[str, Any]]:
    """The objects in a schema of which nothing is said."""
    if isinstance(node, list):
        for entry in node:
            yield from bare_objects(entry)
    elif isinstance(node, dict):
        is_bare = node.get("type") == "object" and not node.get("properties")
        if is_bare and node.get("additionalProperties") in (None, True, {}):
            yield node
        for entry in [one for name, one in node.items() if name not in ("example", "examples")]:
            yield from bare_objects(entry)


def _become(node: dict[str, Any], other: dict[str, Any]) -> None:
    node.clear()
    node.update(other)


def _reference(schemas: Mapping[str, Any], name: str) -> dict[str, str]:
    """Of a shape by the end of its name; Litestar puts the module before it where two are called the same."""
    full = next(key for key in schemas if key == name or key.endswith((f"_{name}", f".{name}")))
    return {"$ref": _REFERENCE.format(name=full)}
