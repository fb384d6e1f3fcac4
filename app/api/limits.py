"""How large and how small each kind of value may be: the bounded types of every surface."""

from typing import Annotated, Any

import msgspec
from litestar import Litestar
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from app.api.faults import invalid_field
from app.kit.paging import MAX_PAGE, MAX_PAGE_SIZE

MAX_ID = 2**63 - 1
MAX_QUANTITY = 999
MAX_MINOR = 10**14
# What a shop page may say in a field without a form of its own.
MAX_FREE_BYTES = 16 * 1024
MAX_FREE_DEPTH = 8

Id = Annotated[int, Meta(ge=1, le=MAX_ID, description="An id.")]
PageNumber = Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Pages count from 1.")]
PageSize = Annotated[int, Meta(ge=1, le=MAX_PAGE_SIZE, description="How many items a page has.")]
Quantity = Annotated[int, Meta(ge=1, le=MAX_QUANTITY, description="How many pieces.")]
QuantityOrNone = Annotated[int, Meta(ge=0, le=MAX_QUANTITY, description="How many pieces; 0 removes.")]
Amount = Annotated[int, Meta(ge=0, le=MAX_MINOR, description="Money in the currency's minor unit.")]

Word = Annotated[str, Meta(min_length=1, max_length=64)]
Line = Annotated[str, Meta(max_length=255)]
RequiredLine = Annotated[str, Meta(min_length=1, max_length=255)]
Text = Annotated[str, Meta(max_length=10_000)]
Email = Annotated[str, Meta(min_length=3, max_length=254, description="A mail address.")]
Phone = Annotated[str, Meta(max_length=40)]
Password = Annotated[str, Meta(min_length=8, max_length=128)]
Token = Annotated[str, Meta(min_length=1, max_length=200)]
Handle = Annotated[str, Meta(min_length=1, max_length=255)]
CountryWord = Annotated[str, Meta(min_length=2, max_length=100, description="English name or ISO 3166 code.")]
CurrencyCode = Annotated[str, Meta(min_length=3, max_length=3, pattern="^[A-Z]{3}$")]
SearchText = Annotated[str, Meta(min_length=1, max_length=200)]
Ids = Annotated[list[Id], Meta(max_length=MAX_PAGE_SIZE)]

# Litestar reads the bounds of a parameter from its own marker only and drops those of `Meta`, so values in
# paths and queries have types of their own; an application that mixes them up does not start.
PathId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="An id.")]
PathToken = Annotated[str, PathParameter(min_length=1, max_length=200)]
PathHandle = Annotated[str, PathParameter(min_length=1, max_length=255)]
QueryId = Annotated[int, QueryParameter(ge=1, le=MAX_ID, description="An id.")]
OptionalQueryId = Annotated[int | None, QueryParameter(ge=1, le=MAX_ID, description="An id.")]
QueryWord = Annotated[str, QueryParameter(min_length=1, max_length=64)]
OptionalQueryWord = Annotated[str | None, QueryParameter(min_length=1, max_length=64)]
QuerySearch = Annotated[str, QueryParameter(min_length=1, max_length=200, description="What to look for.")]
OptionalQuerySearch = Annotated[str | None, QueryParameter(max_length=200, description="What to look for.")]
QueryExpand = Annotated[
    str | None, QueryParameter(max_length=200, description="Extra objects, comma-separated.")
]


def bounded(value: Any, field: str) -> Any:
    """A value of free form as it is. Raises Invalid where it is nested or long beyond any honest use."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_FREE_DEPTH:
            raise invalid_field(field, "too_deep", f"Can be nested {MAX_FREE_DEPTH - 1} levels deep.")
        inner = [
            part.values() if isinstance(part, dict) else part
            for part in level
            if isinstance(part, (dict, list))
        ]
        level = [value for values in inner for value in values]
    if len(msgspec.json.encode(value)) > MAX_FREE_BYTES:
        raise invalid_field(field, "too_long", f"May have {MAX_FREE_BYTES // 1024} KB.")
    return value


def refuse_lost_bounds(app: Litestar) -> None:
    """Raise TypeError where a path or query parameter carries bounds that Litestar would drop."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            signatures = [handler.parsed_fn_signature]
            signatures += [provide.parsed_fn_signature for provide in handler.resolve_dependencies().values()]
            for signature in signatures:
                for name, parameter in signature.parameters.items():
                    if (
                        name != "data"
                        and any(part.has_metadata(Meta) for part in (parameter, *parameter.inner_types))
                        and not parameter.is_non_string_sequence
                    ):
                        raise TypeError(
                            f"{handler}: the bounds of {name!r} would be lost; see app/api/limits.py"
                        )
