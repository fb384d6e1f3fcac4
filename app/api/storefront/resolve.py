"""What an address of the shop page stands for (contract row B09)."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from app.api.storefront.counter import Counter, InCurrency, counters
from app.api.storefront.wares import answers
from app.domain.discovery.resolving import resolve as resolve_address

Type = Literal[
    "product", "variant", "collection", "category", "page", "blog_post", "blog_category", "redirect"
]
_First = Annotated[str, QueryParameter(min_length=1, max_length=255, description="The first segment.")]
_Further = Annotated[str | None, QueryParameter(max_length=255, description="The next segment, if any.")]


class StorefrontResolved(msgspec.Struct):
    """`object` is what the call for one thing of that type answers.

    Of a `redirect` it has `type` (what is there), `handle` (its new one), `path` and `status`.
    """

    type: Type
    object: dict[str, Any]


@get(
    "/resolve",
    tags=["Catalogue"],
    dependencies=counters(),
    operation_id="resolve",
    summary="What an address of the shop stands for",
    description="Segments as the shop page has them: `products/{handle}`, `collections/{handle}`,"
    " `category/{handle}`, `pages/{slug}`, `blog/{slug}`, a handle alone, or below the handle of what it"
    " belongs to. A handle that has changed is a `redirect` for good.",
    responses=answers(StorefrontResolved, "What was found."),
)
async def resolve(
    counter: NamedDependency[Counter],
    now: NamedDependency[datetime],
    first: _First,
    second: _Further = None,
    third: _Further = None,
    currency: InCurrency = None,
) -> Response[bytes]:
    segments = [segment for segment in (first, second, third) if segment]
    found = await resolve_address(counter.reads, counter.store.id, segments, now=now)
    shown = found.object
    if found.type in ("product", "variant"):
        shown = await counter.priced(shown, currency)
    body = b'{"type":"%b","object":%b}' % (found.type.encode(), shown)
    return counter.send(body, lasting=found.is_lasting)
