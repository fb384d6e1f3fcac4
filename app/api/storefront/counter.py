"""What catalogue reads are given, as one value: Litestar resolves several at a time as tasks, which cost more
than the reads themselves.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any

import msgspec
from litestar import Response
from litestar.di import Provide
from litestar.params import QueryParameter

from app.api.asked import asked_tags
from app.api.caching import NotModified, cached_response, matches, version_tag
from app.api.dependencies import STATE_KEY, Shop, provide_store
from app.api.kept import KeptAnswers
from app.api.paging import Limit, Number, Offset, PerPage, page_bytes, read_page
from app.api.rate_limits import LIMIT
from app.api.request import ShopRequest
from app.db.reads import Reads
from app.domain.catalogue.currencies import price_in
from app.domain.catalogue.queries import Items
from app.domain.stores.queries import StoreConfig
from app.kit.paging import PageRequest

InCurrency = Annotated[
    str | None,
    QueryParameter(
        pattern="^[A-Z]{3}$",
        description="Prices in this currency, one of GET /options: those that a cart in it is asked for one unit."
        " Filters by price and `order_by=price` go by the store's own, as prices do where nothing is said.",
    ),
]


@dataclass(frozen=True, slots=True)
class Counter:
    """The store that is meant, and the way to the database.

    `version` is that of the store's catalogue before anything was read.
    """

    request: ShopRequest
    reads: Reads
    store: StoreConfig
    kept: KeptAnswers
    version: int

    def send(self, body: bytes, *, lasting: bool = True) -> Response[bytes]:
        """JSON that the database has joined, with its tag. Not `lasting` where it changes by the clock alone."""
        if not lasting:
            return cached_response(self.request, body)
        tag = version_tag(self.request.scope, self.store.id, self.version)
        self.kept.keep(self.request.scope, body, store_id=self.store.id, version=self.version, tag=tag)
        return cached_response(self.request, body, tag=tag)

    async def priced(self, body: bytes, currency: str | None) -> bytes:
        """A variant or product, or a list of them, at its prices in a currency; None is the store's own.

        Raises Invalid currency_not_offered.
        """
        if currency is None or currency == self.store.currency:
            return body
        return await price_in(self.reads, self.store, currency, body)

    async def priced_items(self, found: Items, currency: str | None) -> Items:
        """The same of the items of a page."""
        if currency is None or currency == self.store.currency:
            return found
        text = await price_in(self.reads, self.store, currency, b"[%b]" % found.text)
        return msgspec.structs.replace(found, text=text[1:-1])


@dataclass(frozen=True, slots=True)
class PageCounter(Counter):
    """The same, and the page that is asked for."""

    paging: PageRequest

    def send_page(self, found: Items, *, lasting: bool = True) -> Response[bytes]:
        """A page of items that the database has joined, with its tag; see `send`."""
        page = page_bytes(
            self.request,
            self.paging,
            found.text,
            found.total,
            after=found.after,
            is_capped=found.is_capped,
        )
        return self.send(page, lasting=lasting)

    def beginning(self, after: str) -> PageRequest:
        """The page that is asked for, at the cursor where there is one."""
        return msgspec.structs.replace(self.paging, after=after) if after else self.paging


async def _version(request: ShopRequest, store: StoreConfig) -> int:
    """Raises NotModified where the reader has the answer of this very version: nothing else is read then."""
    kept: KeptAnswers = request.app.state[STATE_KEY].kept
    version = await kept.versions.get(store.id)
    known = asked_tags(request.scope)
    if known is not None and known.strip() != "*":
        tag = version_tag(request.scope, store.id, version)
        if matches(known, tag):
            raise NotModified(tag)
    return version


async def provide_counter(request: ShopRequest) -> Counter:
    return Counter(*await _found(request))


async def _page_counter(request: ShopRequest, paging: PageRequest) -> PageCounter:
    return PageCounter(*await _found(request), paging)


async def _found(request: ShopRequest) -> tuple[ShopRequest, Reads, StoreConfig, KeptAnswers, int]:
    """What every counter is made of, in its order."""
    shop: Shop = request.app.state[STATE_KEY]
    store = await provide_store(request)
    return request, shop.reads, store, shop.kept, await _version(request, store)


async def provide_page_counter(
    request: ShopRequest,
    page: Number = 1,
    offset: Offset = None,
    limit: Limit = None,
    per_page: PerPage = None,
) -> PageCounter:
    return await _page_counter(request, read_page(page, offset, limit, per_page))


def asked_often(
    handler: Callable[..., Awaitable[Response[bytes]]],
) -> Callable[..., Awaitable[Response[bytes]]]:
    """Remember what a call asked for, so that the next one of its address goes straight to the handler.

    For handlers that are given nothing but `counter` or `pages` and what stands in the address.
    """

    @wraps(handler)
    async def answer(*args: Any, **given: Any) -> Response[bytes]:
        response = await handler(*args, **given)
        name = "pages" if "pages" in given else "counter"
        counter: Counter = given.pop(name)
        paging = counter.paging if isinstance(counter, PageCounter) else None

        async def again(scope: Any) -> Response[bytes]:
            request = ShopRequest(scope)
            given_now = await (_page_counter(request, paging) if paging else provide_counter(request))
            return await handler(*args, **given, **{name: given_now})

        # What is counted has to pass its limit each time.
        if LIMIT not in counter.request.route_handler.opt:
            shop: Shop = counter.request.app.state[STATE_KEY]
            shop.calls.remember(counter.request.scope, again)
        return response

    return answer


def counters() -> dict[str, Any]:
    """The dependencies `counter` and `pages`."""
    return {"counter": Provide(provide_counter), "pages": Provide(provide_page_counter)}
