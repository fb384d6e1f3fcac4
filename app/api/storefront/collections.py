"""Collections as shoppers see them (contract rows B69 to B71)."""

from typing import Literal

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from app.api.dependencies import large_shelves_of
from app.api.expand import parse_expand
from app.api.openapi import PARAMETERS
from app.api.paging import After
from app.api.storefront.counter import Counter, InCurrency, PageCounter, asked_often, counters
from app.api.storefront.filters import FILTER_PARAMETERS, asked_filters, send_head, send_shelf
from app.api.storefront.wares import (
    Direction,
    Expand,
    StorefrontCollection,
    StorefrontCollectionPage,
    StorefrontShelfVariant,
    answers,
    page_of,
)
from app.domain.catalogue.pieces import VARIANT_EXPANDS
from app.domain.catalogue.shelves import (
    get_collection,
    list_collection_filters,
    list_collection_products,
    list_collections,
)

Order = Literal["date", "title", "price", "best_selling", "published_at"]
EXPANDS = frozenset({"category"})


class CollectionController(Controller):
    path = "/collections"
    tags = ("Catalogue",)
    dependencies = counters()

    @get(
        operation_id="listCollections",
        summary="Collections by title",
        responses=answers(page_of(StorefrontCollection), "A page of collections."),
    )
    @asked_often
    async def collections(
        self,
        pages: NamedDependency[PageCounter],
        expand: Expand = None,
    ) -> Response[bytes]:
        expanded = bool(parse_expand(expand, EXPANDS))
        return pages.send_page(
            await list_collections(pages.reads, pages.store.id, pages.paging, expanded=expanded)
        )

    @get(
        "/{handle:str}",
        operation_id="getCollection",
        summary="One collection, with the filters of its products",
        description="A page with the one item, whose fields stand beside `items` too. `filters` says how many"
        " products each value leads to; with filters in the query, as on the list of products, what is chosen in"
        " one of them does not narrow its own counts.",
        opt={PARAMETERS: FILTER_PARAMETERS},
        responses=answers(StorefrontCollectionPage, "The collection."),
    )
    @asked_often
    async def collection(
        self,
        counter: NamedDependency[Counter],
        handle: FromPath[str],
        expand: Expand = None,
    ) -> Response[bytes]:
        expanded = bool(parse_expand(expand, EXPANDS))
        head = await get_collection(counter.reads, counter.store.id, handle, expanded=expanded)
        return send_head(
            counter,
            head,
            await _count(counter, handle),
        )

    @get(
        "/{handle:str}/products",
        operation_id="listCollectionProducts",
        summary="The products of a collection",
        description="In the collection's own order, or by `order_by`. Filters: any value of one,"
        " all of them together, and for the same variant, by which the product is then shown.",
        opt={PARAMETERS: FILTER_PARAMETERS},
        responses=answers(page_of(StorefrontShelfVariant), "A page of products."),
    )
    @asked_often
    async def products(
        self,
        pages: NamedDependency[PageCounter],
        handle: FromPath[str],
        after: After = "",
        order_by: FromQuery[Order | None] = None,
        order_type: FromQuery[Direction | None] = None,
        expand: Expand = None,
        currency: InCurrency = None,
    ) -> Response[bytes]:
        found = await list_collection_products(
            pages.reads,
            pages.store.id,
            handle,
            pages.beginning(after),
            filters=asked_filters(pages.request),
            large=large_shelves_of(pages.request),
            order_by=order_by,
            descending=None if order_type is None else order_type == "desc",
            expands=parse_expand(expand, VARIANT_EXPANDS),
        )
        return send_shelf(pages, await pages.priced_items(found, currency))


async def _count(counter: Counter, handle: str) -> bytes:
    filters, store_id = asked_filters(counter.request), counter.store.id
    large = large_shelves_of(counter.request)
    return await list_collection_filters(counter.reads, store_id, handle, filters, large=large)
