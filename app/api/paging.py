"""How a page is asked for and answered: `page`, a size under three names, and items with `_links` and `_meta`."""

from functools import lru_cache
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import quote

import msgspec
from litestar import Request
from litestar.params import QueryParameter

from app.api.faults import invalid_field
from app.kit.paging import DEFAULT_PAGE_SIZE, MAX_PAGE, MAX_PAGE_SIZE, Page, PageRequest, page_count

T = TypeVar("T")

# What a query says of the page it wants, as parameters of whatever reads it; read_page makes one thing of them.
Number = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="Pages count from 1.")]
Offset = Annotated[
    int | None,
    QueryParameter(
        ge=1,
        le=MAX_PAGE_SIZE,
        description=(
            f"The size of a page, not where it begins: how many items it has, {DEFAULT_PAGE_SIZE} where nothing "
            "is said. `limit` and `per-page` mean the same."
        ),
    ),
]
Limit = Annotated[int | None, QueryParameter(ge=1, le=MAX_PAGE_SIZE, description="The same as `offset`.")]
PerPage = Annotated[
    int | None,
    QueryParameter(name="per-page", ge=1, le=MAX_PAGE_SIZE, description="The same as `offset`."),
]
After = Annotated[
    str,
    QueryParameter(
        max_length=2000,
        description="Where the page begins, as `_links.next` has it; `page` then only numbers it. So far pages cost"
        " what the first one costs, and what comes in meanwhile makes none repeat or vanish.",
    ),
]


async def provide_page(
    page: Number = 1, offset: Offset = None, limit: Limit = None, per_page: PerPage = None
) -> PageRequest:
    """The dependency `paging`: which page the query asks for."""
    return read_page(page, offset, limit, per_page)


def read_page(number: int, *sizes: int | None) -> PageRequest:
    """The page of this number and of the size that was said, under whichever names. Raises Invalid for two sizes."""
    said = {size for size in sizes if size is not None}
    if len(said) > 1:
        raise invalid_field("offset", "ambiguous", "`offset`, `limit` and `per-page` mean the same size.")
    return PageRequest(number, said.pop() if said else DEFAULT_PAGE_SIZE)


# The longest address whose links are remembered.
MOST_REMEMBERED: Final = 1000
# The parts of a query that say which page is meant.
_PLACES = (b"page", b"after")


class Link(msgspec.Struct, frozen=True):
    """The address of a page; null where there is no such page."""

    href: str | None


class Links(msgspec.Struct, frozen=True, rename={"self_": "self"}):
    self_: Link
    first: Link
    prev: Link
    next: Link
    last: Link


class PageMeta(msgspec.Struct, frozen=True, rename="camel"):
    """total_is_minimum stands there, and is true, where a search fits more than it counts and shows."""

    total_count: int
    page_count: int
    current_page: int
    per_page: int
    total_is_minimum: bool | msgspec.UnsetType = msgspec.UNSET


class PageAnswer(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list: its items, the addresses of the pages around it, and how many there are."""

    items: list[T]
    links: Links = msgspec.field(name="_links")
    meta: PageMeta = msgspec.field(name="_meta")


def page_answer(
    request: Request[Any, Any, Any], paging: PageRequest, items: list[T], total: int
) -> PageAnswer[T]:
    """A page of Structs."""
    return PageAnswer(items, page_links(request, paging, total), page_meta(paging, total))


def page_of(request: Request[Any, Any, Any], paging: PageRequest, page: Page[T]) -> PageAnswer[T]:
    return page_answer(request, paging, page.items, page.total)


def page_bytes(
    request: Request[Any, Any, Any],
    paging: PageRequest,
    items: bytes,
    total: int,
    *,
    after: str | None = None,
    is_capped: bool = False,
) -> bytes:
    """A page whose items are JSON already, joined by commas: passed on, not decoded. See page_links for after.

    is_capped: more than `total` were found, which the page then tells.
    """
    path, query = request.scope["path"], request.scope["query_string"]
    around = _around if len(path) + len(query) <= MOST_REMEMBERED else _around.__wrapped__
    return b'{"items":[%b%b' % (items, around(path, query, paging, total, after, is_capped))


def page_meta(paging: PageRequest, total: int, *, is_capped: bool = False) -> PageMeta:
    least = True if is_capped else msgspec.UNSET
    return PageMeta(total, page_count(total, paging.size), paging.number, paging.size, least)


def page_links(
    request: Request[Any, Any, Any], paging: PageRequest, total: int, *, after: str | None = None
) -> Links:
    """Links to the pages around, with every other part of the query kept.

    after: the cursor that next begins at, empty where the page is not full; None for lists without cursors. On
    the way by cursors a full page has a next one, whatever its number: rows may have come in before it.
    """
    path, query = request.scope["path"], request.scope["query_string"]
    here, first, prev, following, last = map(Link, _addresses(path, query, paging, total, after=after))
    return Links(self_=here, first=first, prev=prev, next=following, last=last)


# The links of a page in the order of _addresses.
_LINKS: Final = b'"_links":{"self":{"href":%b},"first":{"href":%b},"prev":{"href":%b},"next":{"href":%b},"last":{"href":%b}}'


# Readers ask for the same pages again and again, and putting addresses together takes as long as reading a short row.
@lru_cache(maxsize=1024)
def _around(
    path: str, query: bytes, paging: PageRequest, total: int, after: str | None, is_capped: bool
) -> bytes:
    """What stands behind the items of a page."""
    links = _addresses(path, query, paging, total, after=after)
    meta = msgspec.json.encode(page_meta(paging, total, is_capped=is_capped))
    # Addresses are quoted, so that nothing in them has to be escaped in JSON.
    told = _LINKS % tuple(b"null" if href is None else b'"%b"' % href.encode() for href in links)
    return b'],%b,"_meta":%b}' % (told, meta)


def _addresses(
    path: str, query: bytes, paging: PageRequest, total: int, *, after: str | None
) -> tuple[str | None, ...]:
    """Of the page itself, the first, the previous, the next and the last one; None where there is no such page."""
    base, begun = _base(path, query)
    begun = begun if after is not None else b""
    last = max(1, page_count(total, paging.size))
    number = paging.number
    following = f"{base}{number + 1}" if number < last else None
    here = f"{base}{number}&{quote(begun, safe='=%-_')}" if begun else f"{base}{number}"
    if after is not None:
        goes_on = number < last or begun
        following = f"{base}{number + 1}&after={after}" if after and goes_on else None
    return (
        here,
        f"{base}1",
        f"{base}{min(number - 1, last)}" if number > 1 else None,
        following,
        f"{base}{last}",
    )


@lru_cache(maxsize=1024)
def _base(path: str, query: bytes) -> tuple[str, bytes]:
    """The address of a page but for its number, and the part of the query that is a cursor."""
    parts = [part for part in query.split(b"&") if part]
    kept = b"&".join(part for part in parts if part.partition(b"=")[0] not in _PLACES)
    # Whatever a client put into the query comes back as a legal URI (RFC 3986), never as markup.
    said = quote(kept, safe="%&=+,-._~[]:;@!$()*/?")
    base = f"{quote(path)}?{said}&page=" if said else f"{quote(path)}?page="
    return base, b"".join(part for part in parts if part.startswith(b"after="))
