"""Finding things by words: products (contract row B56), everything at once (B02), and what others look for (B03)."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from app.api.client import client_address, network_of
from app.api.dependencies import GivenShop
from app.api.expand import parse_expand
from app.api.paging import PageAnswer, page_bytes
from app.api.storefront.counter import Counter, InCurrency, PageCounter, counters
from app.api.storefront.wares import Expand, StorefrontFoundVariant, answers, page_of
from app.domain.catalogue.pieces import VARIANT_EXPANDS
from app.domain.discovery import queries
from app.domain.discovery.popular import popular_queries
from app.domain.discovery.queries import Wanted, search_products
from app.domain.discovery.sql import HIGHLIGHTS, KINDS, PAGES, POSTS, PRODUCTS

EXPANDS: Final = VARIANT_EXPANDS | {HIGHLIGHTS}
# What `type` calls the kinds that an answer names differently.
TYPES: Final = {"products": PRODUCTS, "pages": PAGES, "blogs": POSTS}

Query = Annotated[str, QueryParameter(min_length=1, max_length=200)]


class Highlights(msgspec.Struct):
    """HTML without any markup but <mark> around what matched."""

    title: str
    body: str


class FoundProduct(StorefrontFoundVariant, kw_only=True):
    highlights: Highlights | msgspec.UnsetType = msgspec.UNSET


class FoundPage(msgspec.Struct, kw_only=True):
    id: int
    title: str
    slug: str
    published_at: int
    published_at_atom: datetime
    highlights: Highlights | msgspec.UnsetType = msgspec.UNSET


class PostShelf(msgspec.Struct):
    """The blog category of a post."""

    id: int
    title: str
    slug: str


class FoundPost(FoundPage, kw_only=True):
    excerpt: str
    tags: list[str]
    media: dict[str, Any]
    category: PostShelf | None


class SearchAnswer(msgspec.Struct, kw_only=True, rename={"no_results": "noResults"}):
    """A page of each kind, or of the one that `type` names alone."""

    products: PageAnswer[FoundProduct] | msgspec.UnsetType = msgspec.UNSET
    pages: PageAnswer[FoundPage] | msgspec.UnsetType = msgspec.UNSET
    blog_posts: PageAnswer[FoundPost] | msgspec.UnsetType = msgspec.UNSET
    no_results: bool
    search: str


class PopularQuery(msgspec.Struct):
    query: str
    count: int


class PopularQueries(msgspec.Struct):
    items: list[PopularQuery]


@get(
    "/products/search",
    tags=["Catalogue"],
    dependencies=counters(),
    operation_id="searchProducts",
    summary="Products by words, SKU or barcode, best first",
    description="Typing errors are forgiven and the last word may be a beginning. Each product is shown as the"
    " variant that fits best. Where more than 1,000 fit, the best of them are paged and `_meta.totalIsMinimum` is"
    " true. `expand=highlights` adds title and body with what matched in `<mark>`.",
    responses=answers(page_of(FoundProduct), "A page of products."),
)
async def search(
    pages: NamedDependency[PageCounter],
    now: NamedDependency[datetime],
    q: Query,
    expand: Expand = None,
    currency: InCurrency = None,
) -> Response[bytes]:
    wanted = _wanted(pages, q, expand)
    found = await search_products(pages.reads, pages.store.id, wanted, pages.paging, now=now)
    return pages.send_page(await pages.priced_items(found, currency))


@get(
    "/search",
    tags=["Catalogue"],
    dependencies=counters(),
    operation_id="searchEverything",
    summary="Products, pages and blog posts by words, best first",
    description="As the search for products, and a page of pages and of posts beside it. What is found on the"
    " first page is counted for the popular queries.",
    responses=answers(SearchAnswer, "A page of each kind."),
)
async def search_everything(
    pages: NamedDependency[PageCounter],
    now: NamedDependency[datetime],
    shop: GivenShop,
    search: Query,
    kind: Annotated[
        Literal["pages", "products", "blogs"] | None,
        QueryParameter(name="type", description="Only things of this kind."),
    ] = None,
    expand: Expand = None,
    currency: InCurrency = None,
) -> Response[bytes]:
    wanted = msgspec.structs.replace(
        _wanted(pages, search, expand), kinds=KINDS if kind is None else (TYPES[kind],)
    )
    found = await queries.search(pages.reads, pages.store.id, wanted, pages.paging, now=now)
    shown = dict(found.pages)
    if PRODUCTS in shown:
        shown[PRODUCTS] = await pages.priced_items(shown[PRODUCTS], currency)
    if found.meant and pages.paging.number == 1:
        visitor = network_of(client_address(pages.request.scope, shop.settings.trusted_proxies))
        shop.searches.note(pages.store.id, found.meant, visitor=visitor)
    parts = [
        b'"%b":%b'
        % (
            name.encode(),
            page_bytes(pages.request, pages.paging, items.text, items.total, is_capped=items.is_capped),
        )
        for name, items in shown.items()
    ]
    parts.append(b'"noResults":%b' % msgspec.json.encode(found.is_empty))
    parts.append(b'"search":%b' % msgspec.json.encode(search))
    return pages.send(b"{%b}" % b",".join(parts), lasting=False)


@get(
    "/search/popular",
    tags=["Catalogue"],
    dependencies=counters(),
    operation_id="listPopularQueries",
    summary="What is searched for most",
    description="The 20 most frequent queries of the last 30 days that found something.",
    responses=answers(PopularQueries, "Queries and how often they were asked, most frequent first."),
)
async def popular(
    counter: NamedDependency[Counter], now: NamedDependency[datetime], shop: GivenShop
) -> Response[bytes]:
    await shop.searches.write()
    found = await popular_queries(counter.reads, counter.store.id, now=now)
    return counter.send(found, lasting=False)


def _wanted(pages: PageCounter, query: str, expand: str | None) -> Wanted:
    return Wanted(
        query,
        language=pages.store.language,
        synonyms=pages.store.search.synonyms,
        expands=parse_expand(expand, EXPANDS),
    )
