"""What catalogue reads are given, as one value: Litestar resolves several at a time as tasks, which cost more
than the reads themselves.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Response
from litestar.di import NamedDependency, Provide

from app.api.caching import cached_response
from app.api.dependencies import provide_reads, provide_store
from app.api.paging import page_bytes
from app.api.request import ShopRequest
from app.db.reads import Reads
from app.domain.catalogue.queries import Items
from app.domain.stores.queries import StoreConfig
from app.kit.paging import PageRequest


@dataclass(frozen=True, slots=True)
class Counter:
    """The store that is meant, and the way to the database."""

    request: ShopRequest
    reads: Reads
    store: StoreConfig

    def send(self, body: bytes) -> Response[bytes]:
        """JSON that the database has joined, with its tag."""
        return cached_response(self.request, body)


@dataclass(frozen=True, slots=True)
class PageCounter(Counter):
    """The same, and the page that is asked for."""

    paging: PageRequest

    def send_page(self, found: Items) -> Response[bytes]:
        """A page of items that the database has joined, with its tag."""
        page = page_bytes(self.request, self.paging, [found.text], found.total, after=found.after)
        return cached_response(self.request, page)

    def beginning(self, after: str) -> PageRequest:
        """The page that is asked for, at the cursor where there is one."""
        return msgspec.structs.replace(self.paging, after=after) if after else self.paging


async def provide_counter(request: ShopRequest) -> Counter:
    return Counter(request, await provide_reads(request), await provide_store(request))


async def provide_page_counter(request: ShopRequest, paging: NamedDependency[PageRequest]) -> PageCounter:
    return PageCounter(request, await provide_reads(request), await provide_store(request), paging)


def counters() -> dict[str, Any]:
    """The dependencies `counter` and `pages`."""
    return {"counter": Provide(provide_counter), "pages": Provide(provide_page_counter)}
